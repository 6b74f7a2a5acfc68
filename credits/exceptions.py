"""What the ledger refuses."""

from jyotiflow.exceptions import DomainError


class InsufficientCredits(DomainError):
    """You don't have enough credits for this."""

    status = 402
    code = "insufficient_credits"
