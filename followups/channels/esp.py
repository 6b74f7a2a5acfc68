"""How mail services behind Anymail name their errors, and the answers and events they come in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import requests
from anymail.backends.base import AnymailBaseBackend
from anymail.backends.base_requests import AnymailRequestsBackend
from anymail.exceptions import (
    AnymailAPIError,
    AnymailError,
    AnymailRecipientsRefused,
)
from anymail.message import AnymailMessage
from django.core.mail.backends.base import BaseEmailBackend

from followups.channels import http
from followups.channels.meanings import meaning
from followups.channels.verdicts import ErrorKey, Word, exception_of
from followups.choices import ErrorPhase
from followups.exceptions import Misconfigured, OutcomeUnknown

# Recipient states in which nothing was sent: https://anymail.dev/en/stable/sending/anymail_additions/
NOT_SENT: Final = ("invalid", "rejected", "failed")


@dataclass(frozen=True)
class Key:
    """How a mail service takes an idempotency key, and how long after its first use it surely keeps it.

    ``used`` is its word for a key that came before with another text, ``in_use`` for one whose first request
    is still running.
    """

    header: str
    kept_for: timedelta
    used: str
    in_use: str


# Services that send a mail once however often it's asked for under one key; fewer hours than they promise.
KEYS: Final[Mapping[str, Key]] = {
    # https://resend.com/docs/dashboard/emails/idempotency-keys: kept for 24 hours
    "resend": Key(
        "Idempotency-Key",
        timedelta(hours=20),
        used="invalid_idempotent_request",
        in_use="concurrent_idempotent_requests",
    ),
}
# The same for their SMTP servers, as a mail header: their hosts, and no promise of ours.
SMTP_KEYS: Final[Mapping[str, str]] = {"smtp.resend.com": "Resend-Idempotency-Key"}


def prepare(connection: BaseEmailBackend) -> None:
    """Put our timeouts on an open connection to a mail service, and take its retries away."""
    if isinstance(connection, AnymailBaseBackend):
        # A service without metadata still gets the mail: its events are matched by message id then.
        connection.ignore_unsupported_features = True
    if isinstance(connection, AnymailRequestsBackend):
        connection.timeout = http.timeouts()
        http.never_retry(connection.session)


def put_key(connection: BaseEmailBackend, key: Key, follow_up_id: UUID) -> None:
    """Put the next mail's key on an open connection: Anymail has no place for a request's header."""
    if isinstance(connection, AnymailRequestsBackend):
        connection.session.headers[key.header] = str(follow_up_id)


def took_it_before(error: Exception, key: Key | None) -> bool:
    """Whether the service has had this key with another text: an earlier try of the follow-up was taken."""
    return key is not None and _conflict(error) == key.used


def _conflict(error: Exception) -> str:
    """What a service says of a key it can't use."""
    match error:
        case AnymailAPIError(response=requests.Response(status_code=409) as response):
            try:
                return str(response.json()["name"])
            except (ValueError, TypeError, KeyError):
                return ""
    return ""


def outcome_of(error: AnymailError, mail: AnymailMessage, *, service: str, key: Key | None = None) -> Word:
    """The word for an error of Anymail, which it may also raise over an answer that says yes."""
    if key and _conflict(error) == key.in_use:
        return OutcomeUnknown("key_in_use")  # this request was not taken, an earlier one may be
    match error:
        case AnymailRecipientsRefused():
            return of_recipient(mail, service=service) or _word(service, "rejected")
        case AnymailAPIError(response=requests.Response() as response):
            return _of_answer(response, service)
        case AnymailAPIError(__cause__=requests.RequestException() as cause):
            return http.outcome_of(cause)
        case AnymailAPIError():
            return OutcomeUnknown(type(error).__name__)
    if mail.anymail_status.esp_response is not None:
        return OutcomeUnknown(type(error).__name__)
    return Misconfigured(type(error).__name__, "The mail service can't carry a mail of ours.")


def of_recipient(mail: AnymailMessage, *, service: str) -> Word | None:
    """The word for what the service said of the one recipient; ``None`` when it took the mail."""
    refusals = [state for state in mail.anymail_status.status or () if state in NOT_SENT]
    return _word(service, refusals[0]) if refusals else None


def keys_of(service: str, *codes: str) -> list[ErrorKey]:
    """What an error is called, by a service's own rules before those for all."""
    return [(owner, code) for code in codes for owner in (service, "esp")]


def _word(service: str, *codes: str) -> Word:
    return exception_of(meaning(ErrorPhase.CALL, keys_of(service, *codes)), codes[0])


def _of_answer(response: requests.Response, service: str) -> Word:
    status = response.status_code
    if status < 400:
        return OutcomeUnknown(str(status))
    word = _word(service, str(status), "5xx") if status >= 500 else _word(service, str(status))
    return http.with_wait(word, response)
