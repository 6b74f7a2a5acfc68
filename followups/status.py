"""The state machine of a follow-up as tables: which report moves which state where."""

from collections.abc import Mapping
from typing import Final

from followups.choices import ReceiptKind, State

RANK: Final[Mapping[State, int]] = {
    State.SENDING: 1,
    State.IN_DOUBT: 2,
    State.SENT: 3,
    State.FAILED: 4,
    State.DELIVERED: 5,
    State.READ: 6,
}

STATE_BY_RECEIPT: Final[Mapping[ReceiptKind, State]] = {
    ReceiptKind.ACCEPTED: State.SENT,
    ReceiptKind.DELIVERED: State.DELIVERED,
    ReceiptKind.COMPLAINED: State.DELIVERED,  # one complains about what one got
    ReceiptKind.READ: State.READ,
    ReceiptKind.FAILED: State.FAILED,
    ReceiptKind.BOUNCED: State.FAILED,
}

# Reports that are true although they lower the rank: a mail can bounce after its server said "delivered".
TRUE_DOWNWARD: Final = frozenset({(State.DELIVERED, ReceiptKind.BOUNCED)})
TAKEN: Final = frozenset({State.SENT, State.DELIVERED, State.READ})
ARRIVED: Final = frozenset({State.DELIVERED, State.READ})


def next_state(
    current: State, receipt: ReceiptKind, *, has_bounced: bool = False, has_failed: bool = False
) -> State | None:
    """Where a report moves a follow-up, or ``None`` when it changes nothing.

    States only rise in rank, whatever the order reports arrive in; ``delivered`` after ``failed`` rises too
    (WhatsApp reports it), and the refund given meanwhile stands. ``has_bounced`` says that a bounce was
    reported before: then ``delivered`` is the older news. ``has_failed`` says that this try was reported
    failed: then only that it arrived after all is news. A pending one moves when a try thought lost turns
    out to have been taken; cancelled ones don't move.
    """
    target = STATE_BY_RECEIPT.get(receipt)
    if has_failed and receipt in (ReceiptKind.ACCEPTED, ReceiptKind.FAILED):
        return None
    if current == State.PENDING:
        return target if target in TAKEN else None
    if target is None or current not in RANK or (has_bounced and target == State.DELIVERED):
        return None
    if RANK[target] > RANK[current] or (current, receipt) in TRUE_DOWNWARD:
        return target
    return None
