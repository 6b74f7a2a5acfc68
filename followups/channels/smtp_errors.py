"""How SMTP names its refusals, and what a failure means by how far the mail got."""

import re
import smtplib
from collections.abc import Iterator, Sequence
from typing import Final

from followups.channels.meanings import meaning
from followups.channels.verdicts import Word, exception_of
from followups.choices import ErrorPhase
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected

# Reply codes that are about us, whatever else the reply says.
# https://www.rfc-editor.org/rfc/rfc4954#section-4 and https://www.rfc-editor.org/rfc/rfc3207#section-4
ABOUT_US: Final = frozenset({530, 534, 535, 538})


def of_reply(code: int, text: bytes | str, *, stage: Sequence[str] = ()) -> Word:
    """The word for a reply; ``stage`` names what was refused where that says more than the reply's numbers.

    Without it, it's a reply to RCPT or DATA: the enhanced status says most, then the plain code.
    """
    name, status = _read(code, text)
    if code in ABOUT_US:
        return _word([str(code)], name)
    if 400 <= code < 500:
        return _word([*_families(status), str(code), "4xx"], name)
    if stage:
        return _word(stage, name)
    return _word(list(_families(status)), name, otherwise=[str(code)])


def outcome_of(error: Exception, *, handed_over: bool) -> Word:
    """The word for a failure; ``handed_over`` says whether the final dot had been written."""
    match error:
        case smtplib.SMTPRecipientsRefused():
            code, text = next(iter(error.recipients.values()))  # a mail has one recipient
            return of_reply(code, text)
        case smtplib.SMTPSenderRefused(smtp_code=int(code)) if 400 <= code < 600:
            return of_reply(code, error.smtp_error, stage=[f"MAIL {code}", "MAIL"])
        case smtplib.SMTPDataError() if 400 <= error.smtp_code < 600:
            return of_reply(error.smtp_code, error.smtp_error)
    if handed_over:
        return OutcomeUnknown(type(error).__name__)
    match error:
        case smtplib.SMTPResponseException(smtp_code=int(code)) if not 400 <= code < 600:
            return NotProcessed(_read(code, error.smtp_error)[0])  # -1: no reply one can read
        case smtplib.SMTPAuthenticationError(smtp_code=int(code)):
            return of_reply(code, error.smtp_error, stage=["AUTH"])
        case smtplib.SMTPResponseException(smtp_code=int(code)):
            return of_reply(code, error.smtp_error, stage=["CONNECT"])
        case smtplib.SMTPServerDisconnected():
            return NotProcessed("disconnected", answered=False)
        case smtplib.SMTPException():  # no STARTTLS, no way to sign in
            return Misconfigured(type(error).__name__, "The mail server can't be used as SMTP_* says.")
        case OSError():
            return NotProcessed(type(error).__name__, answered=False)
    return Rejected(type(error).__name__, "This message can't be sent by email.")


def _word(codes: Sequence[str], name: str, *, otherwise: Sequence[str] = ()) -> Word:
    rule = meaning(
        ErrorPhase.CALL, [("smtp", code) for code in codes], [("smtp", code) for code in otherwise]
    )
    return exception_of(rule, name)


def _families(status: str) -> Iterator[str]:
    """5.7.26, then 5.7, which stands for all of 5.7.x."""
    if status:
        yield from (status, status.rpartition(".")[0])


def _read(code: int, text: bytes | str) -> tuple[str, str]:
    # The reply's own words stay out: they often hold the address.
    words = text.decode("ascii", "replace") if isinstance(text, bytes) else text
    found = re.match(r"\s*(\d\.\d{1,3}\.\d{1,3})\b", words)
    status = found[1] if found else ""
    return f"{code} {status}".strip(), status
