"""The vocabulary of the error tables: what a provider's code means, in one of the four words.

An entry is called with the code it stands for and returns the exception to raise.
"""

from collections.abc import Callable
from typing import TypeAlias

from followups.choices import SuppressionReason
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected

Word: TypeAlias = NotProcessed | Rejected | Misconfigured | OutcomeUnknown
Verdict: TypeAlias = Callable[[str], Word]

FOUR_WORDS = (NotProcessed, Rejected, Misconfigured, OutcomeUnknown)


def later(*, retry_after: float | None = None, counts: bool = True) -> Verdict:
    """Certainly not processed; ``retry_after`` in seconds."""
    return lambda code: NotProcessed(code, retry_after, counts)


def rejected(reason: str, suppress: SuppressionReason | None = None) -> Verdict:
    """Refused for good; the reason is a sentence for the reader of the message."""
    return lambda code: Rejected(code, reason, suppress)


def misconfigured(reason: str) -> Verdict:
    """Our account is at fault; the reason is a sentence for operators."""
    return lambda code: Misconfigured(code, reason)


def unknown() -> Verdict:
    """Perhaps processed, perhaps not."""
    return OutcomeUnknown
