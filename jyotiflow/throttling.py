"""Rate limits that hold under parallel requests and let everybody through while Redis is away."""

import time
from typing import Any

import structlog
from redis.exceptions import RedisError
from rest_framework.throttling import SimpleRateThrottle

logger = structlog.get_logger(__name__)


class SafeThrottle(SimpleRateThrottle):
    """Counts requests in fixed windows by one atomic increment; without Redis it lets everybody through.

    A subclass gives ``scope`` (a rate in the settings) or ``rate``, and ``get_cache_key``.
    """

    # Set by the base from the rate, both None for a rate of None.
    num_requests: int | None
    duration: int | None

    def allow_request(self, request: Any, view: Any) -> bool:
        key = self.get_cache_key(request, view)
        if key is None or self.num_requests is None or self.duration is None:
            return True
        window, elapsed = divmod(time.time(), self.duration)
        self.seconds_left = self.duration - elapsed
        counter = f"{key}:{window:.0f}"
        try:
            self.cache.add(counter, 0, timeout=self.duration)
            return bool(self.cache.incr(counter) <= self.num_requests)
        except (RedisError, OSError, ValueError) as error:  # ValueError: the counter expired in between
            logger.warning("throttle_unavailable", error=type(error).__name__)
            return True

    def wait(self) -> float:
        """Seconds until the next window."""
        return self.seconds_left
