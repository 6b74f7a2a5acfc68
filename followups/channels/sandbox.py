"""The sandbox: a local outbox in place of a provider that has no credentials yet."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from django.conf import settings
from django.db import DatabaseError

from followups.channels.base import Accepted, Channel, Intent, Message
from followups.channels.email import EmailChannel
from followups.channels.push import PushChannel
from followups.channels.sms import SmsChannel
from followups.channels.whatsapp import WhatsAppChannel, content_variables
from followups.exceptions import OutcomeUnknown, Unreachable
from followups.models import SandboxMessage
from followups.timing import ClosedHours
from jyotiflow.accounts.models import User

# What the sandbox stands in for: its addresses and its privacy are those of the real channel.
_REAL: Final[Mapping[str, Callable[[], Channel]]] = {
    "email": lambda: EmailChannel(sender=settings.EMAIL_FROM),
    "sms": lambda: SmsChannel(account_sid="", auth_token=""),
    "whatsapp": lambda: WhatsAppChannel(account_sid="", auth_token=""),
    "push": lambda: PushChannel(key_path=""),
}


class SandboxChannel(Channel):
    """Keeps the message instead of sending it. One row a follow-up, as at a provider that takes keys."""

    provider = "sandbox"
    repeat_is_harmless = True
    is_local = True

    def __init__(self, *, channel: str) -> None:
        self.plays = channel
        self._real = _REAL[channel]()
        self.is_private = self._real.is_private

    def addresses(self, user: User) -> tuple[str, ...]:
        """Where the real channel would send."""
        return self._real.addresses(user)

    def addresses_of(self, users: Sequence[User]) -> Mapping[int, tuple[str, ...]]:
        """As the real channel."""
        return self._real.addresses_of(users)

    def address_fault(self, address: str) -> Unreachable | None:
        """As the real channel: the sandbox sells nothing that could not be sent."""
        return self._real.address_fault(address)

    def closed_hours(self, intent: Intent) -> ClosedHours | None:
        """As the real channel. (It has no objections: the sandbox asks nobody's approval.)"""
        return self._real.closed_hours(intent)

    def send(self, message: Message) -> Accepted:
        """Put the message into the outbox; a repeat answers with the first one's id."""
        row = SandboxMessage(
            follow_up_id=message.follow_up_id,
            attempt_id=message.attempt_id,
            channel=self.plays,
            to="\n".join(message.to),
            language=message.language,
            subject=message.subject,
            body=message.text,
            html=message.html,
            headers=self._headers(message),
        )
        try:
            SandboxMessage.objects.bulk_create([row], ignore_conflicts=True)
            kept = SandboxMessage.objects.values_list("pk", flat=True).get(follow_up_id=message.follow_up_id)
        except DatabaseError as error:
            raise OutcomeUnknown(type(error).__name__) from None
        return Accepted(provider_message_id=str(kept))

    def _headers(self, message: Message) -> dict[str, str]:
        if isinstance(self._real, EmailChannel):
            return self._real.headers(message)
        if message.whatsapp_content_sid:
            return {
                "ContentSid": message.whatsapp_content_sid,
                "ContentVariables": content_variables(message),
            }
        return {}
