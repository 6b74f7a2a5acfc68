"""Are the parts alive? Pulses live in the cache for a short while; nothing durable depends on them."""

from dataclasses import dataclass

from celery.signals import heartbeat_sent
from django.core.cache import cache
from django.db import DatabaseError, connection

PULSE_SECONDS = 30
PARTS = ("worker", "beat")


@dataclass(frozen=True)
class Health:
    """One word per part: ``ok`` or what is wrong, in words without addresses."""

    checks: dict[str, str]

    @property
    def is_healthy(self) -> bool:
        return all(word == "ok" for word in self.checks.values())


def record_pulse(part: str) -> None:
    """A part shows it's alive; it counts as gone when it doesn't for 30 seconds."""
    cache.set(f"pulse:{part}", True, timeout=PULSE_SECONDS)


@heartbeat_sent.connect
def _worker_lives(**_: object) -> None:
    record_pulse("worker")


def check_health() -> Health:
    """Look at the database, Redis, the workers and beat."""
    checks = {"database": _check_database()}
    try:
        pulses = cache.get_many([f"pulse:{part}" for part in PARTS])
        checks["redis"] = "ok"
    except Exception as error:  # the client raises its own, the socket's and the parser's errors
        pulses = {}
        checks["redis"] = f"unreachable ({type(error).__name__})"
    for part in PARTS:
        checks[part] = "ok" if f"pulse:{part}" in pulses else f"no sign of life for {PULSE_SECONDS} seconds"
    return Health(checks)


def _check_database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return f"unreachable ({type(error).__name__})"
    return "ok"
