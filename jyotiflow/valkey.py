"""The one Redis/Valkey client for what is neither a task nor a cache entry: shared state that may be lost."""

from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

PREFIX = "jyotiflow"


@cache
def valkey() -> redis.Redis:
    """A client shared by this process's threads. It waits half a second at most and never asks twice."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=settings.REDIS_TIMEOUT_SECONDS,
        socket_timeout=settings.REDIS_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
