"""The waits between tries: longer each time, never shorter than the provider asks, never endless."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followups.retries import (
    BACKOFF_SECONDS,
    JITTER,
    LONGEST_WAIT,
    MAX_TRIES,
    backoff,
    gives_up,
    new_attempt_at,
)
from followups.timing import is_quiet

spreads = st.floats(0, 1, exclude_max=True)
few, hour_of_day = st.integers(0, 6), st.integers(0, 23)


@pytest.mark.parametrize(("tries", "seconds"), [(1, 30), (2, 300), (3, 1_800), (4, 7_200), (5, 21_600)])
def test_each_try_waits_longer(tries: int, seconds: int) -> None:
    assert backoff(tries) == timedelta(seconds=seconds)


@pytest.mark.parametrize(("tries", "like"), [(0, 1), (-3, 1), (6, 5), (10_000, 5)])
def test_a_count_out_of_range_waits_as_the_nearest(tries: int, like: int) -> None:
    assert backoff(tries) == backoff(like)


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [(None, 30), (0, 30), (-5, 30), (29.5, 30), (61, 61), (3_600, 3_600)]
)
def test_the_providers_word_is_a_minimum(retry_after: float | None, seconds: float) -> None:
    assert backoff(1, retry_after=retry_after) == timedelta(seconds=seconds)


@pytest.mark.parametrize("retry_after", [86_401, 1e9, 1e20, float("inf")])
def test_no_provider_can_park_a_message_for_good(retry_after: float) -> None:
    assert backoff(1, retry_after=retry_after) == LONGEST_WAIT


def test_a_number_that_is_none_is_ignored() -> None:
    assert backoff(2, retry_after=float("nan")) == timedelta(seconds=300)


@given(st.integers(1, 8), st.floats(0, 86_400), spreads)
def test_the_spread_only_adds_and_only_a_quarter(tries: int, retry_after: float, spread: float) -> None:
    plain = max(backoff(tries), timedelta(seconds=retry_after))
    wait = backoff(tries, retry_after=retry_after, spread=spread)
    tick = timedelta.resolution  # a timedelta rounds to whole microseconds
    assert min(plain, LONGEST_WAIT) - tick <= wait <= min(plain * (1 + JITTER) + tick, LONGEST_WAIT)


@given(st.integers(1, 20), spreads, spreads)
def test_a_later_try_never_waits_less(tries: int, first: float, second: float) -> None:
    assert backoff(tries + 1, spread=max(first, second)) >= backoff(tries, spread=min(first, second))


def test_five_tries_are_made_and_no_sixth() -> None:
    assert [gives_up(tries) for tries in range(1, 7)] == [False, False, False, False, True, True]
    assert len(BACKOFF_SECONDS) == MAX_TRIES


# --- After a reported failure -----------------------------------------------------------------------------

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NIGHT = (time(21), time(8))


def again(**facts: Any) -> timedelta | None:
    plain: dict[str, Any] = {
        "moment": NOON,
        "expires_at": NOON + timedelta(days=3),
        "first_wait": 3_600,
        "most_retries": 2,
        "retries": 0,
        "zone": ZoneInfo("UTC"),
    }
    facts = plain | facts
    moment = new_attempt_at(**facts)
    return moment - facts["moment"] if moment else None


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


@pytest.mark.parametrize(
    ("facts", "wait"),
    [
        ({}, hours(1)),
        ({"retries": 1}, hours(6)),
        ({"retries": 2}, None),
        ({"retries": 7}, None),
        ({"most_retries": 0}, None),
        ({"most_retries": 5, "retries": 2}, hours(24)),  # never longer
        ({"most_retries": 5, "retries": 4}, hours(24)),
        ({"spread": 1 - 2**-53}, hours(1.25)),
        ({"expires_at": NOON + hours(1)}, None),  # too late to be sent
        ({"expires_at": NOON + hours(1.1)}, hours(1)),
        ({"first_wait": 0}, hours(0)),
        ({"quiet": [NIGHT]}, hours(1)),
        ({"quiet": [NIGHT], "retries": 1}, hours(6)),
        ({"quiet": [NIGHT], "moment": NOON + hours(8.5)}, hours(11.5)),  # 21:30 is quiet: 8:00
        ({"quiet": [NIGHT, (time(8), time(9))], "moment": NOON + hours(8.5)}, hours(12.5)),
        ({"quiet": [NIGHT, (time(13), time(23))]}, hours(20)),  # 13:00, and 23:00, are quiet: 8:00
        ({"quiet": [NIGHT], "zone": ZoneInfo("Asia/Kolkata"), "moment": NOON + hours(3)}, hours(11.5)),
        ({"quiet": [NIGHT], "moment": NOON + hours(8.5), "expires_at": NOON + hours(20)}, None),
    ],
)
def test_what_was_taken_and_failed_is_tried_again_later_each_time_and_not_for_ever(
    facts: dict[str, Any], wait: timedelta | None
) -> None:
    found = again(**facts)
    assert (found is None) == (wait is None)
    assert found is None or wait is None or abs(found - wait) < timedelta(seconds=1)


@given(
    st.integers(0, 6),
    st.integers(0, 6),
    st.floats(0, 86_400),
    spreads,
    st.integers(0, 23),
    st.integers(0, 23),
)
def test_another_attempt_is_never_early_never_late_and_never_in_quiet_hours(
    retries: int, most: int, first: float, spread: float, start: int, end: int
) -> None:
    found = again(
        retries=retries, most_retries=most, first_wait=first, spread=spread, quiet=[(time(start), time(end))]
    )
    if found is None:
        return
    assert retries < most
    assert min(timedelta(seconds=first), LONGEST_WAIT) - timedelta.resolution <= found < timedelta(days=3)
    assert not is_quiet(NOON + found, ZoneInfo("UTC"), time(start), time(end))
