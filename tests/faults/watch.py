"""Looks at the database during a scenario: who was in doubt, which sessions slept in a transaction; and lets
the clock of back-offs run faster.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Set

from django.db import connection

from tests.faults.database import change, rows

BETWEEN_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 5.0  # what is left of a longer wait
THAW_SECONDS = 5.0  # after which a frozen process has gone on with what it was in
IDLE_SECONDS = 1.9  # in a transaction, doing nothing: shorter than the shortest time-out of a call


class Watch(threading.Thread):
    """Runs until ``stop``; ``frozen`` names the members whose sessions can't be blamed."""

    def __init__(self, *, frozen: Callable[[], Set[str]]) -> None:
        super().__init__(daemon=True)
        self.disturbed: set[str] = set()  # follow-ups that were in doubt or whose lease expired
        self.idle: Counter[str] = Counter()  # sessions idle in a transaction, by member
        self.states: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self._frozen = frozen
        self._end = threading.Event()
        self._seen: set[tuple[int, str]] = set()
        self._last_frozen: dict[str, float] = {}

    def stop(self) -> None:
        """End, and wait until it has."""
        self._end.set()
        self.join()

    def run(self) -> None:
        try:
            while not self._end.wait(BETWEEN_SECONDS):
                self._look()
                hurry()
        except BaseException as error:  # the scenario reports it
            self.failure = error
        finally:
            connection.close()

    def _look(self) -> None:
        found = rows(
            "SELECT id::text FROM follow_up_schedules"
            " WHERE status = 'in_doubt' OR (status = 'sending' AND lease_until < now())"
        )
        self.disturbed |= {follow_up for (follow_up,) in found}
        self.states = Counter(dict(rows("SELECT status, count(*) FROM follow_up_schedules GROUP BY status")))
        self._last_frozen |= dict.fromkeys(self._frozen(), time.monotonic())
        sleepers = rows(
            "SELECT pid, xact_start::text, application_name FROM pg_stat_activity"
            " WHERE state = 'idle in transaction' AND now() - state_change > make_interval(secs => %s)",
            IDLE_SECONDS,
        )
        for pid, since, name in sleepers:
            is_thawing = time.monotonic() - self._last_frozen.get(name, -THAW_SECONDS) < THAW_SECONDS
            if not is_thawing and (pid, since) not in self._seen:
                self._seen.add((pid, since))
                self.idle[name or "unnamed"] += 1


def hurry() -> int:
    """Advance the clock for what waits after a failed try; promised times stay as they are."""
    return change(
        "UPDATE follow_up_schedules SET due_at = now() + make_interval(secs => %s * random())"
        " WHERE status = 'pending' AND due_at > scheduled_at"
        "   AND due_at > now() + make_interval(secs => %s)",
        LONGEST_BACKOFF_SECONDS,
        LONGEST_BACKOFF_SECONDS,
    )


def unfinished() -> int:
    """Follow-ups still to be sent."""
    ((count,),) = rows("SELECT count(*) FROM follow_up_schedules WHERE status IN ('pending', 'sending')")
    return int(count)


def in_doubt() -> int:
    """Follow-ups whose outcome nobody knows."""
    ((count,),) = rows("SELECT count(*) FROM follow_up_schedules WHERE status = 'in_doubt'")
    return int(count)
