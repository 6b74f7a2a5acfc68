"""`python -m benchmarks.ticks TIMES`: the milliseconds of claims of 500 and of claims of nothing, as JSON."""

import json
import sys
import time
from typing import Final

import django

django.setup()  # before anything that has models

from django.db import connection  # noqa: E402

from followups.services.dispatch import claim_due, release  # noqa: E402

CLAIMED: Final = 500
_LET_COME_DUE: Final = """
    WITH next AS (
        SELECT id FROM follow_up_schedules WHERE status = 'pending' AND channel = 'email'
         ORDER BY due_at LIMIT %s)
    UPDATE follow_up_schedules AS follow_up SET due_at = now() - interval '1 s'
      FROM next WHERE follow_up.id = next.id
"""
_LET_WAIT: Final = """
    UPDATE follow_up_schedules SET due_at = greatest(scheduled_at, now() + interval '1 h')
     WHERE status = 'pending' AND due_at <= now() + interval '5 min'
"""


def main(times: int) -> dict[str, list[float]]:
    """Ticks that find much, that find nothing for the first time since, and that find nothing again.

    What was claimed goes back to wait, without being timed. The first tick after it still meets the entries
    it left in the index, and marks them as dead.
    """
    found: dict[str, list[float]] = {"full": [], "first_empty": [], "empty": []}
    with connection.cursor() as cursor:
        cursor.execute(_LET_WAIT)
        cursor.execute(
            "SELECT count(*) FROM follow_up_schedules WHERE status = 'pending' AND channel = 'email'"
        )
        claimed = min(CLAIMED, cursor.fetchone()[0])
        for turn in range(-2, times):  # the first ones warm up
            cursor.execute(_LET_COME_DUE, [claimed])
            for kind, expected in (("full", claimed), ("first_empty", 0), ("empty", 0)):
                started = time.perf_counter()
                claims = claim_due(limit=CLAIMED)
                spent = (time.perf_counter() - started) * 1000
                if len(claims) != expected:
                    raise RuntimeError(f"{len(claims)} were claimed, not {expected}")
                if turn >= 0:
                    found[kind].append(spent)
                if claims:
                    release(tokens=[claim.token for claim in claims])
                    cursor.execute(_LET_WAIT)
    return found


if __name__ == "__main__":
    json.dump(main(int(sys.argv[1])), sys.stdout)
