"""What SMTP's refusals mean, as data, and what a failure means by how far the mail got."""

import re
import smtplib
from collections.abc import Mapping
from typing import Final

import structlog

from followups.channels.verdicts import Verdict, Word, later, misconfigured, rejected
from followups.choices import SuppressionReason
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected

log = structlog.get_logger(__name__)

_NO_MAILBOX = rejected("The mailbox does not exist.", SuppressionReason.HARD_BOUNCE)
_LOGIN = misconfigured("The mail server refused SMTP_USER and SMTP_PASS.")
_SENDER = misconfigured("The mail server refused EMAIL_FROM as the sender.")
_FULL = later(retry_after=3_600)
_POLICY = rejected("The recipient's mail server refused it by its policy.")  # says nothing of the address
_TOO_LARGE = rejected("The mail is too large for the recipient's mail server.")

# Reply codes that are about us, whatever else the reply says.
# https://www.rfc-editor.org/rfc/rfc4954#section-4 and https://www.rfc-editor.org/rfc/rfc3207#section-4
LOGIN_CODES: Final[Mapping[int, Verdict]] = {530: _LOGIN, 534: _LOGIN, 535: _LOGIN, 538: _LOGIN}

# Enhanced status codes; "5.7" stands for all of 5.7.x.
# https://www.iana.org/assignments/smtp-enhanced-status-codes
STATUSES: Final[Mapping[str, Verdict]] = {
    "5.1.1": _NO_MAILBOX,
    "5.1.2": _NO_MAILBOX,  # no such mail system
    "5.1.3": rejected("The address is not valid.", SuppressionReason.INVALID),
    "5.1.6": _NO_MAILBOX,  # moved away
    "5.1.7": _SENDER,
    "5.1.8": _SENDER,
    "5.1.10": _NO_MAILBOX,  # its domain takes no mail
    "5.2.1": _NO_MAILBOX,  # switched off
    "5.2.2": _FULL,
    "5.2.3": _TOO_LARGE,
    "5.3.4": _TOO_LARGE,
    "5.7": _POLICY,
}

# Plain reply codes, where no enhanced status says more. 550 alone is a missing mailbox or a policy: the
# address is not suppressed for it. https://www.rfc-editor.org/rfc/rfc5321#section-4.2.3
CODES: Final[Mapping[int, Verdict]] = {
    552: _FULL,
    553: rejected("The address is not valid.", SuppressionReason.INVALID),
}
REFUSED: Final = rejected("The mail server refused the message.")

# What a refusal of MAIL FROM means where it's about the mail and not about its sender.
SENDER_CODES: Final[Mapping[int, Verdict]] = {552: _TOO_LARGE}


def of_reply(code: int, text: bytes | str) -> Word:
    """The word for a reply to RCPT or DATA."""
    name, status = _read(code, text)
    if 400 <= code < 500:
        return NotProcessed(name)
    if code in LOGIN_CODES:
        return LOGIN_CODES[code](name)
    verdict = STATUSES.get(status) or STATUSES.get(status.rpartition(".")[0]) or CODES.get(code)
    if verdict is None or verdict is _POLICY:
        log.warning("smtp_refused", code=name)
    return (verdict or REFUSED)(name)


def outcome_of(error: Exception, *, handed_over: bool) -> Word:
    """The word for a failure; ``handed_over`` says whether the final dot had been written."""
    match error:
        case smtplib.SMTPRecipientsRefused():
            code, text = next(iter(error.recipients.values()))  # a mail has one recipient
            return of_reply(code, text)
        case smtplib.SMTPSenderRefused():
            name, _ = _read(error.smtp_code, error.smtp_error)
            if 400 <= error.smtp_code < 500:
                return NotProcessed(name)
            verdict = LOGIN_CODES.get(error.smtp_code) or SENDER_CODES.get(error.smtp_code, _SENDER)
            return verdict(name)
        case smtplib.SMTPDataError() if 400 <= error.smtp_code < 600:
            return of_reply(error.smtp_code, error.smtp_error)
    if handed_over:
        return OutcomeUnknown(type(error).__name__)
    match error:
        case smtplib.SMTPResponseException(smtp_code=int(code)) if code < 500:  # -1: no reply one can read
            return NotProcessed(_read(code, error.smtp_error)[0])
        case smtplib.SMTPAuthenticationError(smtp_code=int(code)):
            return _LOGIN(_read(code, error.smtp_error)[0])
        case smtplib.SMTPResponseException(smtp_code=int(code)):
            return Misconfigured(_read(code, error.smtp_error)[0], "The mail server turns us away.")
        case smtplib.SMTPServerDisconnected():
            return NotProcessed("disconnected")
        case smtplib.SMTPException():  # no STARTTLS, no way to sign in
            return Misconfigured(type(error).__name__, "The mail server can't be used as SMTP_* says.")
        case OSError():
            return NotProcessed(type(error).__name__)
    return Rejected(type(error).__name__, "This message can't be sent by email.")


def _read(code: int, text: bytes | str) -> tuple[str, str]:
    # The reply's own words stay out: they often hold the address.
    words = text.decode("ascii", "replace") if isinstance(text, bytes) else text
    found = re.match(r"\s*(\d\.\d{1,3}\.\d{1,3})\b", words)
    status = found[1] if found else ""
    return f"{code} {status}".strip(), status
