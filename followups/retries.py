"""How long to wait before trying again, and when to stop."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from followups.timing import after_quiet_hours

MAX_TRIES: Final = 5
BACKOFF_SECONDS: Final = (30, 300, 1_800, 7_200, 21_600)  # after the first, second, … try
LONGEST_WAIT: Final = timedelta(hours=24)
JITTER: Final = 0.25  # spread, so that a provider's return isn't met by all messages at once
RETRY_GROWTH: Final = 6  # after a reported failure: 1 hour, then 6, then 24 at the most
HALT_WAIT: Final = timedelta(minutes=5)  # between looks while a channel is misconfigured


def backoff(tries: int, *, retry_after: float | None = None, spread: float = 0.0) -> timedelta:
    """The wait after the ``tries``-th try; ``retry_after`` (seconds) is the provider's word and a minimum.

    Never longer than ``LONGEST_WAIT``.

    ``spread`` in [0, 1) is the caller's random number.
    """
    base = BACKOFF_SECONDS[min(max(tries, 1), len(BACKOFF_SECONDS)) - 1]
    wait = max(base, retry_after or 0) * (1 + JITTER * spread)
    # Compared as seconds: a provider may ask for more than a timedelta holds.
    return timedelta(seconds=min(wait, LONGEST_WAIT.total_seconds()))


def gives_up(tries: int) -> bool:
    """Whether a message that was not processed this often is called failed."""
    return tries >= MAX_TRIES


def gap(tries: int) -> timedelta:
    """The wait before a report that found no message is tried again: doubled each time, an hour at most."""
    return timedelta(seconds=min(30 * 2 ** min(tries, 10), 3_600))


def new_attempt_at(
    *,
    moment: datetime,
    expires_at: datetime,
    first_wait: float,
    most_retries: int,
    retries: int,
    zone: ZoneInfo,
    quiet: Sequence[tuple[time, time]] = (),
    spread: float = 0.0,
) -> datetime | None:
    """When to try again what was taken and reported undelivered; ``None`` when that makes no sense any more.

    ``retries`` have been made; each waits ``RETRY_GROWTH`` times as long as the one before, at first
    ``first_wait`` seconds, and then to the end of the ``quiet`` hours it would fall in.
    """
    if retries >= most_retries:
        return None
    wait = first_wait * RETRY_GROWTH**retries * (1 + JITTER * spread)
    again = moment + timedelta(seconds=min(wait, LONGEST_WAIT.total_seconds()))
    for start, end in (*quiet, *quiet):  # the end of one may lie in another
        again = after_quiet_hours(again, zone, start, end)
    return again if again < expires_at else None
