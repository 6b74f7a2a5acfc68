"""What every channel is: a configured backend that takes one message and answers in four words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.core.checks import CheckMessage

from followups.choices import ReceiptKind, SuppressionReason
from followups.exceptions import Unreachable
from followups.models import TemplateText
from followups.timing import ClosedHours
from jyotiflow.accounts.models import User


@dataclass(frozen=True)
class Intent:
    """A message somebody thinks of sending: what, to whom, and when."""

    version: TemplateText
    template_type: str
    language: str
    to: str  # the address, or the first of several
    moment: datetime
    last_inbound_at: datetime | None = None  # when the reader last wrote to us on this channel


@dataclass(frozen=True)
class Message:
    """One rendered message, ready for a provider. Texts are NFC; ``html`` is set for email only."""

    attempt_id: UUID
    follow_up_id: UUID
    user_id: int
    to: tuple[str, ...]  # one address; for push, every device token
    language: str
    subject: str
    text: str
    html: str = ""
    unsubscribe_url: str = ""
    callback_url: str = ""  # where the provider reports on this attempt
    whatsapp_content_sid: str = ""
    whatsapp_variables: Mapping[str, str] = field(default_factory=dict)  # {"1": value, …} by first use
    valid_for_seconds: int | None = None


@dataclass(frozen=True)
class Accepted:
    """The provider took the message. ``delivered``: it has reached its reader already."""

    provider_message_id: str = ""
    delivered: bool = False
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """A message on the provider's list that may be the one looked for."""

    provider_message_id: str
    made_at: datetime


@dataclass(frozen=True)
class Sighting:
    """What the provider lists that may be an attempt in doubt.

    ``is_whole``: everything was seen, so a message that is not among the candidates is not there.
    """

    candidates: tuple[Candidate, ...] = ()
    is_whole: bool = False


CANNOT_TELL = Sighting()


@dataclass(frozen=True)
class Report:
    """How a provider says a message stands, in our words; ``event_key`` is the one its callbacks have."""

    event_key: str
    kind: ReceiptKind
    code: str = ""
    reason: str = ""
    suppress: SuppressionReason | None = None
    occurred_at: datetime | None = None


class Channel:
    """Base of the backends in ``FOLLOWUP_CHANNELS``; ``OPTIONS`` become keyword arguments.

    A backend is built once a process, used by many threads, and touches no follow-up rows.
    """

    name = ""  # the key in FOLLOWUP_CHANNELS
    provider = ""  # whose ids and events these are
    # True where sending the same follow-up twice shows once (a unique row, a replacing tag): an unknown
    # outcome is then simply tried again.
    repeat_is_harmless = False
    # The same, but only for so long after the first attempt: the provider takes the follow-up's id as an
    # idempotency key, and forgets it.
    keeps_key_for: timedelta | None = None
    # Whether ``find`` can prove that a message is not there. If so, nothing is repeated without that proof;
    # if not, an attempt in doubt is repeated so many times a follow-up, at least once thus and bounded.
    can_be_asked = False
    repeats_in_doubt = 0
    # Whether ``find`` tells messages apart by their text, or only by address and time.
    finds_by_text = True
    # True where our own database is the far end: it needs no breaker and no rate.
    is_local = False
    # Whether what may be sent depends on when the reader last wrote to us.
    has_reply_window = False
    # True where only a user of ours can be written to, and only about a follow-up.
    needs_follow_up = False
    # Question and guidance must not show in lock-screen previews or carrier logs.
    is_private = True

    def addresses(self, user: User) -> tuple[str, ...]:
        """Where this user can be reached, as it stands now; empty when nowhere."""
        raise NotImplementedError

    def addresses_of(self, users: Sequence[User]) -> Mapping[int, tuple[str, ...]]:
        """The same of many users, by their ids. A channel whose addresses are rows asks for all at once."""
        return {user.pk: self.addresses(user) for user in users}

    def address_fault(self, address: str) -> Unreachable | None:
        """Why nothing can be sent to an address of ours, whatever it says."""
        return None

    def objection(self, intent: Intent) -> Unreachable | None:
        """Why the provider or the law would refuse this message, so that it's neither sold nor sent."""
        return None

    def closed_hours(self, intent: Intent) -> ClosedHours | None:
        """Hours in which the law lets this message wait."""
        return None

    def send(self, message: Message) -> Accepted:
        """Hand one message to the provider.

        Raises ``NotProcessed``, ``Rejected``, ``Misconfigured`` or ``OutcomeUnknown``, and nothing else.
        """
        raise NotImplementedError

    def find(self, *, to: tuple[str, ...], body_hash: str, attempt_id: UUID, since: datetime) -> Sighting:
        """Ask the provider what it has that may be an attempt whose answer never came.

        May raise one of the four words where it doesn't answer.
        """
        return CANNOT_TELL

    # Whether ``fetch`` tells how a message stands: the provider is asked when its callbacks don't come.
    can_be_polled = False

    def fetch(self, provider_message_id: str) -> Report | None:
        """Ask the provider how one message stands; ``None`` when it knows no such message.

        May raise one of the four words where it doesn't answer.
        """
        return None

    def forget_address(self, address: str) -> None:
        """An address the provider called dead; a channel that stores addresses drops it."""

    def check(self) -> list[CheckMessage]:
        """System checks of this backend's options: an error names the variable to set."""
        return []
