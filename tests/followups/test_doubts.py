"""Whose a listed message is, and how doubt ends."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from followups.doubts import CLOCK_SKEW, Ending, ending, nearest_in_time

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(*seconds: float, names: str = "abcdef") -> dict[str, datetime]:
    return {name: NOON + timedelta(seconds=each) for name, each in zip(names, seconds, strict=False)}


class TestNearest:
    """One message a call, one call a message."""

    def test_each_call_gets_its_own_whatever_the_order(self) -> None:
        calls, messages = at(0, 5, 60), at(1, 6, 61, names="xyz")
        for order in permutations(messages):
            found = nearest_in_time(calls, {name: messages[name] for name in order})
            assert found == {"a": "x", "b": "y", "c": "z"}

    def test_a_message_goes_to_the_call_that_is_nearest(self) -> None:
        assert nearest_in_time(at(0, 300), at(301, names="x")) == {"b": "x"}

    def test_a_message_from_before_a_call_is_not_that_calls(self) -> None:
        skew = CLOCK_SKEW.total_seconds()
        assert nearest_in_time(at(0), at(-skew - 1, names="x")) == {}
        assert nearest_in_time(at(0), at(-skew, names="x")) == {"a": "x"}

    def test_of_more_messages_than_calls_the_rest_is_left(self) -> None:
        assert nearest_in_time(at(0), at(50, 2, 9, names="xyz")) == {"a": "y"}

    def test_nothing_is_found_among_nothing(self) -> None:
        assert nearest_in_time(at(0), {}) == nearest_in_time({}, at(0)) == {}


@pytest.mark.parametrize("can_be_asked", [True, False])
@pytest.mark.parametrize("repeats_left", [0, 1])
def test_absent_twice_is_absent(can_be_asked: bool, repeats_left: int) -> None:
    assert (
        ending(looks=9, misses=2, can_be_asked=can_be_asked, repeats_left=repeats_left, is_overdue=True)
        == Ending.ABSENT
    )


@pytest.mark.parametrize(
    ("looks", "misses", "is_overdue", "expected"),
    [
        (1, 1, False, Ending.WAIT),
        (2, 0, False, Ending.WAIT),
        (1_000, 1, False, Ending.WAIT),
        (1_000, 1, True, Ending.GIVE_UP),
        (1, 0, True, Ending.GIVE_UP),
    ],
)
def test_a_provider_that_can_be_asked_is_never_repeated_to_without_proof(
    looks: int, misses: int, is_overdue: bool, expected: Ending
) -> None:
    for repeats_left in (0, 1):
        assert (
            ending(
                looks=looks,
                misses=misses,
                can_be_asked=True,
                repeats_left=repeats_left,
                is_overdue=is_overdue,
            )
            == expected
        )


@pytest.mark.parametrize(
    ("looks", "repeats_left", "expected"),
    [(1, 1, Ending.WAIT), (2, 1, Ending.REPEAT), (2, 0, Ending.GIVE_UP), (3, -1, Ending.GIVE_UP)],
)
def test_where_nobody_can_be_asked_two_looks_end_the_doubt(
    looks: int, repeats_left: int, expected: Ending
) -> None:
    assert (
        ending(looks=looks, misses=0, can_be_asked=False, repeats_left=repeats_left, is_overdue=False)
        == expected
    )
