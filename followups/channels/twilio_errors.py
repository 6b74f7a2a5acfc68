"""How Twilio names its errors, of a request to create a message and of one that did not arrive."""

import requests

from followups.channels.http import with_wait
from followups.channels.meanings import meaning
from followups.channels.verdicts import Rule, Word, exception_of
from followups.choices import ErrorPhase

_REDIRECTED = "405"  # whoever redirects a POST is not Twilio: as one that knows no POST


def refusal(response: requests.Response) -> Word:
    """The word for an answer that is not 2xx."""
    status = response.status_code
    code = _code_in(response)
    if status == 429 or status >= 500:  # the status has the last word, whatever code comes with it
        rule = _meaning(str(status), "5xx") if status >= 500 else _meaning("429")
        return with_wait(exception_of(rule, str(status)), response)
    by_status = _REDIRECTED if status < 400 else str(status)
    rule = meaning(ErrorPhase.CALL, [("twilio", code)] if code else [], otherwise=[("twilio", by_status)])
    return with_wait(exception_of(rule, code or str(status)), response)


def delivery_fault(code: str, status: str = "failed") -> Rule:
    """Why a message Twilio had taken did not arrive: by the ``ErrorCode`` of a callback or a fetched message,
    or by its status where it has none. An unknown one failed for good."""
    return meaning(ErrorPhase.REPORT, [("twilio", code or status)])


def _meaning(*codes: str) -> Rule:
    return meaning(ErrorPhase.CALL, [("twilio", code) for code in codes])


def _code_in(response: requests.Response) -> str:
    try:
        return str(int(response.json()["code"]))
    except (ValueError, TypeError, KeyError):
        return ""
