"""How the channels stand: paused or not, their provider alive or not, how much may be claimed."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from django.conf import settings
from redis.exceptions import RedisError

from followups.choices import BreakerState
from followups.models import ChannelSwitch
from jyotiflow.valkey import PREFIX, valkey

# Claimed and unfinished on one channel: more would outlive their leases in the broker's queue, and a slow
# provider's share must not become everybody's wait.
IN_FLIGHT_LIMIT = 1_000
RATED_SECONDS: Final = 5  # of a channel with a rate, no more is claimed than goes out in so many seconds
SMALLEST_SHARE: Final = 10


@dataclass(frozen=True)
class Breaker:
    """A channel's breaker; ``seconds`` until it lets a probe through, where it's open."""

    state: BreakerState = BreakerState.CLOSED
    seconds: float = 0.0
    unanswered: int = 0


def breaker_key(channel: str) -> str:
    """Where the breaker's counts are kept."""
    return f"{PREFIX}:breaker:{channel}"


def rate_key(channel: str) -> str:
    """Where the time of the channel's next token is kept."""
    return f"{PREFIX}:rate:{channel}"


def is_paused(channel: str) -> bool:
    """Whether staff have switched the channel off, as of this moment."""
    return ChannelSwitch.objects.filter(channel=channel, is_paused=True).exists()


def breakers() -> Mapping[str, Breaker]:
    """The breaker of every configured channel. Raises ``RedisError`` when nobody can be asked."""
    names = list(settings.FOLLOWUP_CHANNELS)
    pipeline = valkey().pipeline(transaction=False)
    pipeline.time()
    for name in names:
        pipeline.hmget(breaker_key(name), "open_until", "cool_down", "unanswered")
    (seconds, microseconds), *found = pipeline.execute()
    now = seconds + microseconds / 1_000_000
    return {name: _breaker(values, now) for name, values in zip(names, found, strict=True)}


def _breaker(values: list[Any], now: float) -> Breaker:
    open_until, cool_down, unanswered = (float(value or 0) for value in values)
    if open_until > now:
        return Breaker(BreakerState.OPEN, open_until - now, int(unanswered))
    state = BreakerState.PROBING if cool_down else BreakerState.CLOSED
    return Breaker(state, 0.0, int(unanswered))


def claimable() -> Mapping[str, int]:
    """How many follow-ups of each channel may be claimed and unfinished at once.

    None behind an open breaker, one as a probe; of a channel with a rate, what it can send soon. When nobody
    can be asked the usual limit holds: what can't be handed over then goes back.
    """
    try:
        found = breakers()
    except RedisError:
        found = {}
    return {name: _share(name, found.get(name, Breaker())) for name in settings.FOLLOWUP_CHANNELS}


def _share(name: str, breaker: Breaker) -> int:
    match breaker.state:
        case BreakerState.OPEN:
            return 0
        case BreakerState.PROBING:
            return 1
    per_second = settings.FOLLOWUP_PER_SECOND.get(name, 0)
    if not per_second:
        return IN_FLIGHT_LIMIT
    return min(IN_FLIGHT_LIMIT, max(SMALLEST_SHARE, ceil(per_second * RATED_SECONDS)))
