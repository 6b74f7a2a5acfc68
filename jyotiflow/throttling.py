"""Rate limits that hold under parallel requests and let everybody through while Redis is away."""

import time
from typing import Any, ClassVar

import structlog
from redis.exceptions import RedisError
from rest_framework.throttling import SimpleRateThrottle

logger = structlog.get_logger(__name__)

SILENCE_SECONDS = 5  # for which a Redis that didn't answer is not asked again by this process


class SafeThrottle(SimpleRateThrottle):
    """Counts requests in fixed windows by one atomic increment; without Redis it lets everybody through.

    A subclass gives ``scope`` (a rate in the settings) or ``rate``, and ``get_cache_key``.
    """

    # Set by the base from the rate, both None for a rate of None.
    num_requests: int | None
    duration: int | None
    cache: Any  # Django's Redis cache

    # When to ask again a Redis that is silent, by the monotonic clock; one for all throttles of a process.
    _silent_until: ClassVar[float] = 0.0

    def allow_request(self, request: Any, view: Any) -> bool:
        key = self.get_cache_key(request, view)
        if key is None or self.num_requests is None or self.duration is None:
            return True
        window, elapsed = divmod(time.time(), self.duration)
        self.seconds_left = self.duration - elapsed
        if SafeThrottle._silent_until:
            if time.monotonic() < SafeThrottle._silent_until:
                return True
            # One request looks whether it's back, and waits for it; the others meanwhile don't.
            SafeThrottle._silent_until = time.monotonic() + SILENCE_SECONDS
        try:
            is_allowed = self._count(f"{key}:{window:.0f}") <= self.num_requests
        except (RedisError, OSError) as error:
            SafeThrottle._silent_until = time.monotonic() + SILENCE_SECONDS
            logger.warning("throttle_unavailable", error=type(error).__name__)
            return True
        SafeThrottle._silent_until = 0.0
        return is_allowed

    def _count(self, counter: str) -> int:
        # Django's own `add` and `incr` would take three round trips for this one.
        name = self.cache.make_and_validate_key(counter)
        with self.cache._cache.get_client(name, write=True).pipeline() as pipeline:
            pipeline.set(name, 0, ex=self.duration, nx=True)
            pipeline.incr(name)
            return int(pipeline.execute()[1])

    def wait(self) -> float:
        """Seconds until the next window."""
        return self.seconds_left
