"""Email, by SMTP or by any mail service Anymail knows."""

import threading
from email import charset
from email.utils import parseaddr
from importlib.util import find_spec
from typing import Final

from anymail.exceptions import AnymailError
from anymail.message import AnymailMessage
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.validators import validate_email
from django.utils.encoding import punycode

from followups.channels import esp, smtp_errors
from followups.channels.base import Accepted, Channel, Message
from followups.channels.verdicts import Word
from followups.choices import SuppressionReason
from followups.exceptions import Misconfigured, Rejected, Unreachable
from jyotiflow.accounts.models import User

SECURITIES: Final = ("none", "starttls", "ssl")

# Seven bits on the wire: no relay on the way has to re-encode the body, which would break its signature.
_UTF8 = charset.Charset("utf-8")
_UTF8.body_encoding = charset.QP


class EmailChannel(Channel):
    """One mail with a text and an HTML part; ``sender`` is its From."""

    def __init__(self, *, sender: str) -> None:
        self.sender = sender
        self._domain = punycode(_address(sender).rpartition("@")[2])
        self.provider = settings.EMAIL_ESP or "smtp"
        self.key = esp.KEYS.get(self.provider)
        self.keeps_key_for = self.key.kept_for if self.key else None
        # Nobody can be asked: without a key one more, under the same Message-ID.
        self.repeats_in_doubt = 0 if self.key else 1
        self._local = threading.local()  # a connection a thread, kept open between mails

    def addresses(self, user: User) -> tuple[str, ...]:
        """The user's email."""
        return (user.email,)

    def address_fault(self, address: str) -> Unreachable | None:
        """Only what looks like one."""
        if _is_address(address):
            return None
        message = "This is not an email address."
        return Unreachable(message, code="invalid_address", errors={"channel": [message]})

    def headers(self, message: Message) -> dict[str, str]:
        """What stands in the mail's head beside sender, recipient and subject."""
        headers = {"Auto-Submitted": "auto-generated"}  # keeps out-of-office replies away: RFC 3834
        if message.unsubscribe_url:  # RFC 8058
            headers["List-Unsubscribe"] = f"<{message.unsubscribe_url}>"
            headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        if self.provider == "smtp":  # mail services set their own
            headers["Message-ID"] = self.message_id(message)
            if name := esp.SMTP_KEYS.get(settings.SMTP_HOST):
                headers[name] = str(message.follow_up_id)
        return headers

    def message_id(self, message: Message) -> str:
        """The same for every attempt at a follow-up, so that a mailbox may drop the second of two."""
        return f"<{message.follow_up_id}@{self._domain}>"

    def send(self, message: Message) -> Accepted:
        """Send the mail over this thread's connection."""
        mail = self._build(message)
        connection: BaseEmailBackend | None = None
        try:
            connection = self._connection(message)
            connection.send_messages([mail])
        except Exception as error:
            outcome = _outcome_of(error, connection, mail, self)
            self.close()
            if esp.took_it_before(error, self.key):
                return Accepted()
            raise outcome from None  # the original's text often holds the address
        if refusal := esp.of_recipient(mail, service=self.provider):
            raise refusal
        if self.provider == "smtp":
            return Accepted(provider_message_id=mail.extra_headers["Message-ID"])
        return Accepted(provider_message_id=str(mail.anymail_status.message_id or ""))

    def close(self) -> None:
        """Give up this thread's connection; the next mail opens a new one."""
        connection = self._local.__dict__.pop("connection", None)
        if hasattr(connection, "drop"):
            connection.drop()

    def check(self) -> list[CheckMessage]:
        """The sender is an address, the mail service exists, the security is one we know."""
        faults: list[CheckMessage] = []
        if not _is_address(_address(self.sender)):
            faults.append(
                Error(
                    "EMAIL_FROM is not an address.",
                    hint="Use the form JyotiFlow <followups@example.org>.",
                    id="followups.E020",
                )
            )
        if settings.EMAIL_ESP and not (
            settings.EMAIL_ESP.isidentifier() and find_spec(f"anymail.backends.{settings.EMAIL_ESP}")
        ):
            faults.append(
                Error(
                    "EMAIL_ESP is not a mail service Anymail knows.",
                    hint="Use the module's name, such as postmark, sendgrid or amazon_ses.",
                    id="followups.E021",
                )
            )
        elif settings.EMAIL_ESP:
            faults += _service_faults()
        if settings.SMTP_SECURITY not in SECURITIES:
            faults.append(
                Error("SMTP_SECURITY is none of " + ", ".join(SECURITIES) + ".", id="followups.E022")
            )
        return faults

    def _build(self, message: Message) -> AnymailMessage:
        if not _is_address(message.to[0]):
            raise Rejected("invalid_address", "The address is not valid.", SuppressionReason.INVALID)
        mail = AnymailMessage(  # Django's own, with a place for metadata
            subject=_header_text(message.subject),
            body=message.text,
            from_email=self.sender,
            to=[message.to[0]],
            headers=self.headers(message),
            metadata=self._metadata(message),
        )
        mail.encoding = _UTF8
        if message.html:
            mail.attach_alternative(message.html, "text/html")
        return mail

    def _metadata(self, message: Message) -> dict[str, str]:
        """What comes back in a mail service's events. Under one key each try must read the same."""
        if self.key:
            return {"follow_up_id": str(message.follow_up_id)}
        return {"attempt_id": str(message.attempt_id)}

    def _connection(self, message: Message) -> BaseEmailBackend:
        if not hasattr(self._local, "connection"):
            self._local.connection = get_connection()
        connection: BaseEmailBackend = self._local.connection
        if connection.open():
            esp.prepare(connection)
        if self.key:
            esp.put_key(connection, self.key, message.follow_up_id)
        return connection


def _header_text(text: str) -> str:
    """The text on one line, so that nothing in it can become a header, and none of it be read as encoded.

    A mail program would decode ``=?utf-8?q?…?=`` (RFC 2047); an invisible joiner keeps it apart.
    """
    return " ".join(text.split()).replace("=?", "=\u2060?")


def _service_faults() -> list[CheckMessage]:
    """What Anymail itself finds missing: a key, or a library the service's backend needs."""
    faults: list[CheckMessage] = []
    try:
        get_connection()
    except (ImproperlyConfigured, ImportError) as error:
        text = " ".join(str(error).split())
        faults.append(Error(f"EMAIL_ESP={settings.EMAIL_ESP} can't be used: {text}", id="followups.E023"))
    if not settings.ANYMAIL.get("WEBHOOK_SECRET"):
        faults.append(
            Warning(
                "ANYMAIL_WEBHOOK_SECRET is not set, so delivery events of the mail service are refused.",
                hint="Set user:password and put the same into the webhook's URL at the service.",
                id="followups.W024",
            )
        )
    return faults


def _outcome_of(
    error: Exception, connection: BaseEmailBackend | None, mail: AnymailMessage, channel: EmailChannel
) -> Word:
    if isinstance(error, AnymailError):
        return esp.outcome_of(error, mail, service=channel.provider, key=channel.key)
    if isinstance(error, ImproperlyConfigured) or (connection is None and not isinstance(error, OSError)):
        return Misconfigured(type(error).__name__, "EMAIL_ESP, its ANYMAIL_* or the SMTP_* are not right.")
    # A backend that doesn't tell how far it got may have got all the way.
    handed_over = connection is not None and getattr(connection, "handed_over", True)
    return smtp_errors.outcome_of(error, handed_over=handed_over)


def _address(text: str) -> str:
    return parseaddr(text)[1]


def _is_address(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True
