"""Data: PostgreSQL is the queue, Redis/Valkey only carries hints and caches."""

import os

from jyotiflow.settings.environment import env

DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres://localhost:5432/jyotiflow")}
DATABASES["default"].setdefault("OPTIONS", {}).update(
    # Celery closes Django's connection around every task; with a pool that hands it back instead.
    pool={"min_size": 1, "max_size": env.int("DATABASE_POOL_SIZE", default=20), "timeout": 10},
    connect_timeout=5,
    prepare_threshold=env.int("DATABASE_PREPARE_AFTER", default=5) or None,
)
DATABASES["default"]["ENGINE"] = "jyotiflow.postgresql"  # a restarted server must not fail the next request
DATABASE_TRUST_SECONDS = env.float("DATABASE_TRUST_SECONDS", default=1.0)
REDIS_URL = env.str("REDIS_URL", default="redis://localhost:6379/0")
# Read by the checks: production must name its servers.
UNNAMED_SERVERS = [name for name in ("DATABASE_URL", "REDIS_URL") if name not in os.environ]
REDIS_TIMEOUT_SECONDS = 0.5  # of what a worker asks before a call
CACHE_TIMEOUT_SECONDS = 0.2  # of the cache, which a request asks while its user waits
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "jyotiflow",
        "OPTIONS": {
            "socket_connect_timeout": CACHE_TIMEOUT_SECONDS,
            "socket_timeout": CACHE_TIMEOUT_SECONDS,
        },
    }
}
