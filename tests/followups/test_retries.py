"""The waits between tries: longer each time, never shorter than the provider asks, never endless."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followups.retries import BACKOFF_SECONDS, JITTER, LONGEST_WAIT, MAX_TRIES, backoff, gives_up

spreads = st.floats(0, 1, exclude_max=True)


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
