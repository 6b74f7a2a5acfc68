"""What the follow-up domain refuses, and the four words a channel may answer with."""

from dataclasses import dataclass

from followups.choices import SuppressionReason
from jyotiflow.exceptions import DomainError, NotFound


class TemplateNotFound(NotFound):
    """There is no such active template."""

    code = "template_not_found"


class SessionNotFound(NotFound):
    """There is no such session of yours."""

    code = "session_not_found"


class FollowUpNotFound(NotFound):
    """There is no such follow-up of yours."""

    code = "follow_up_not_found"


class LimitReached(DomainError):
    """A limit on follow-ups is reached."""

    code = "limit_reached"


class Unreachable(DomainError):
    """This message can't reach you on that channel."""

    code = "unreachable"


@dataclass
class NotProcessed(Exception):
    """The provider certainly did not take the message: send later, after ``retry_after`` seconds if given."""

    code: str
    retry_after: float | None = None
    counts: bool = True  # a 429 is not the message's fault and doesn't use up a try
    answered: bool = True  # False where nobody was there to say no


@dataclass
class Rejected(Exception):
    """The provider certainly refused the message for good; ``suppress`` marks the address."""

    code: str
    reason: str
    suppress: SuppressionReason | None = None


@dataclass
class Misconfigured(Exception):
    """Our account or credentials are at fault: the channel halts, its messages wait."""

    code: str
    reason: str


@dataclass
class OutcomeUnknown(Exception):
    """The provider may or may not have taken the message: never sent again without proof."""

    code: str
