"""A provider for the state machine: it remembers what it took, and answers questions about it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from followups.channels.base import CANNOT_TELL, Accepted, Candidate, Channel, Message, Sighting
from followups.choices import SuppressionReason
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected
from jyotiflow.accounts.models import User

LATEST = 240  # seconds after the call at which a slow provider acts at the latest: within the settle delay


class Ending(Enum):
    """How a call goes at the far end, and what of it gets back to us."""

    TAKEN = "taken"
    TAKEN_SILENTLY = "taken, and the answer is lost"
    TAKEN_LATE = "taken minutes after we gave up"
    LOST = "lost on the way, which we can't know"
    BUG = "taken, and our own code breaks"
    BUSY = "too many requests"
    NOT_TAKEN = "certainly not taken"
    REFUSED = "refused for good"
    DEAD_ADDRESS = "refused, and the address is dead"
    OUR_FAULT = "our credentials are wrong"


class Answer(Enum):
    """How a question about an attempt is answered."""

    TRUTH = "what is so"
    LAGS = "absent, though it may be there: the list is behind"
    SILENCE = "it can't tell"
    AWAY = "it can't be reached"


_NOT_TAKEN: dict[Ending, Exception] = {
    Ending.LOST: OutcomeUnknown("timeout"),
    Ending.BUSY: NotProcessed("429", retry_after=60, counts=False),
    Ending.NOT_TAKEN: NotProcessed("connection_refused"),
    Ending.REFUSED: Rejected("refused", "It was refused."),
    Ending.DEAD_ADDRESS: Rejected("dead", "Nobody is there.", SuppressionReason.INVALID),
    Ending.OUR_FAULT: Misconfigured("401", "Wrong credentials."),
}


@dataclass(frozen=True)
class Taken:
    """One message the provider has."""

    attempt_id: UUID
    follow_up_id: UUID

    @property
    def message_id(self) -> str:
        return f"message {self.attempt_id}"


class RememberingChannel(Channel):
    """Takes messages as ``ending`` says and answers questions as ``answer`` says."""

    def __init__(
        self,
        *,
        provider: str,
        can_be_asked: bool = False,
        repeats_in_doubt: int = 0,
        repeat_is_harmless: bool = False,
    ) -> None:
        self.provider = provider
        self.can_be_asked = can_be_asked
        self.repeats_in_doubt = repeats_in_doubt
        self.repeat_is_harmless = repeat_is_harmless
        self.forget()

    def forget(self) -> None:
        """As new: nothing taken, every call succeeds, every answer is true."""
        self.ending, self.answer = Ending.TAKEN, Answer.TRUTH
        self.taken: list[Taken] = []
        self.lies: Counter[UUID] = Counter()  # by attempt
        self._late: dict[Taken, float] = {}

    def addresses(self, user: User) -> tuple[str, ...]:
        return (user.email,)

    def send(self, message: Message) -> Accepted:
        it = Taken(message.attempt_id, message.follow_up_id)
        if self.ending in _NOT_TAKEN:
            raise _NOT_TAKEN[self.ending]
        if self.ending == Ending.TAKEN_LATE:
            self._late[it] = 0
            raise OutcomeUnknown("timeout")
        self.taken.append(it)
        if self.ending == Ending.TAKEN_SILENTLY:
            raise OutcomeUnknown("timeout")
        if self.ending == Ending.BUG:
            raise RuntimeError("a bug after the socket write")
        return Accepted(it.message_id)

    def time_passes(self, seconds: float) -> None:
        """What is late and due by now is taken."""
        self._late = {it: age + seconds for it, age in self._late.items()}
        for it in [it for it, age in self._late.items() if age >= LATEST]:
            del self._late[it]
            self.taken.append(it)

    def find(self, *, attempt_id: UUID, since: datetime, **_: Any) -> Sighting:
        match self.answer:
            case Answer.AWAY:
                raise ConnectionError
            case Answer.SILENCE:
                return CANNOT_TELL
            case Answer.LAGS:
                self.lies[attempt_id] += 1
                return Sighting(is_whole=True)
        own = (it.message_id for it in self.taken if it.attempt_id == attempt_id)
        return Sighting(tuple(Candidate(message_id, made_at=since) for message_id in own), is_whole=True)

    def taken_too_often(self) -> Iterator[UUID]:
        """Follow-ups it has more often than its kind allows, though it never said twice that it had not."""
        misled = {it.follow_up_id for it in self.taken if self.lies[it.attempt_id] > 1}
        for follow_up_id, times in Counter(it.follow_up_id for it in self.taken).items():
            is_free = self.repeat_is_harmless or follow_up_id in misled
            if not is_free and times > 1 + self.repeats_in_doubt:
                yield follow_up_id
