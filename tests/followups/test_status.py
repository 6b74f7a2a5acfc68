"""The state machine: whatever order the reports arrive in, a follow-up ends in one state."""

from collections.abc import Iterable
from itertools import combinations_with_replacement, permutations

import pytest

from followups.choices import ReceiptKind, State
from followups.status import RANK, STATE_BY_RECEIPT, next_state

IN_MOTION = (State.SENDING, State.IN_DOUBT, State.SENT)
SILENT = sorted(set(ReceiptKind) - set(STATE_BY_RECEIPT))


def after(start: State, receipts: Iterable[ReceiptKind]) -> State:
    """Where the reports move a follow-up, applied one after the other."""
    state, known = start, set[ReceiptKind]()
    for receipt in receipts:
        bounced, failed = ReceiptKind.BOUNCED in known, ReceiptKind.FAILED in known
        state = next_state(state, receipt, has_bounced=bounced, has_failed=failed) or state
        known.add(receipt)
    return state


@pytest.mark.parametrize(
    ("receipts", "end"),
    [
        (["accepted"], State.SENT),
        (["accepted", "delivered", "read"], State.READ),
        (["read", "delivered", "accepted"], State.READ),
        (["delivered", "delivered", "delivered"], State.DELIVERED),
        (["accepted", "failed"], State.FAILED),
        (["failed", "delivered"], State.DELIVERED),  # WhatsApp says so, and it did arrive
        (["failed", "read"], State.READ),
        (["delivered", "bounced"], State.FAILED),  # a mail server's second thought
        (["bounced", "delivered"], State.FAILED),
        (["delivered", "bounced", "delivered"], State.FAILED),
        (["bounced", "failed", "delivered"], State.FAILED),
        (["delivered", "failed"], State.DELIVERED),
        (["read", "bounced"], State.READ),  # a person read it
        (["complained"], State.DELIVERED),
        (["machine_open"], State.SENDING),
    ],
)
def test_worked_orders(receipts: list[str], end: State) -> None:
    assert after(State.SENDING, map(ReceiptKind, receipts)) == end


@pytest.mark.parametrize("start", IN_MOTION)
@pytest.mark.parametrize("size", range(1, 6))
def test_every_order_of_up_to_five_reports_ends_in_one_state(start: State, size: int) -> None:
    for receipts in combinations_with_replacement(STATE_BY_RECEIPT, size):
        ends = {after(start, order) for order in set(permutations(receipts))}
        assert len(ends) == 1, receipts


@pytest.mark.parametrize("receipt", ReceiptKind)
@pytest.mark.parametrize("state", RANK)
@pytest.mark.parametrize("has_bounced", [False, True])
def test_rank_never_falls_but_for_a_bounce_after_delivered(
    state: State, receipt: ReceiptKind, has_bounced: bool
) -> None:
    moved = next_state(state, receipt, has_bounced=has_bounced)
    if (state, receipt) == (State.DELIVERED, ReceiptKind.BOUNCED):
        assert moved == State.FAILED
    elif moved is not None:
        assert RANK[moved] > RANK[state]


@pytest.mark.parametrize("receipt", ReceiptKind)
def test_a_cancelled_one_never_moves(receipt: ReceiptKind) -> None:
    assert next_state(State.CANCELLED, receipt) is None


@pytest.mark.parametrize("receipt", ReceiptKind)
def test_a_pending_one_moves_only_on_proof_that_an_earlier_try_was_taken(receipt: ReceiptKind) -> None:
    taken = {
        ReceiptKind.ACCEPTED: State.SENT,
        ReceiptKind.DELIVERED: State.DELIVERED,
        ReceiptKind.COMPLAINED: State.DELIVERED,
        ReceiptKind.READ: State.READ,
    }
    assert next_state(State.PENDING, receipt) == taken.get(receipt)


@pytest.mark.parametrize("state", [State.PENDING, State.SENDING, State.IN_DOUBT])
def test_of_a_failed_try_only_its_arrival_is_news(state: State) -> None:
    told = {receipt: next_state(state, receipt, has_failed=True) for receipt in STATE_BY_RECEIPT}
    assert told[ReceiptKind.DELIVERED] == State.DELIVERED
    assert told[ReceiptKind.READ] == State.READ
    assert told[ReceiptKind.ACCEPTED] is told[ReceiptKind.FAILED] is None


@pytest.mark.parametrize("receipt", SILENT)
@pytest.mark.parametrize("state", State)
def test_reports_about_something_else_move_nothing(state: State, receipt: ReceiptKind) -> None:
    assert next_state(state, receipt) is None


def test_every_state_has_a_rank_or_stands_still() -> None:
    assert set(State) - set(RANK) == {State.PENDING, State.CANCELLED}
    assert len(set(RANK.values())) == len(RANK)
    assert [kind.value for kind in SILENT] == ["machine_open", "other", "unsubscribed"]
