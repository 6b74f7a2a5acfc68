"""The queue at this moment, by channel: what is due, what waits, what is stuck or in doubt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection

from followups.selectors.follow_ups import STUCK_AFTER

LEASE_GRACE: Final = timedelta(minutes=1)  # expired leases are taken back every 15 seconds
COUNTED_UP_TO: Final = 10_000  # of each, in index entries alone: looking costs the same however many wait

_QUEUE: Final = "FROM ONLY follow_up_schedules WHERE channel = names.channel AND status ="


def _count(condition: str) -> str:
    return f"(SELECT count(*) FROM (SELECT 1 {_QUEUE} {condition} LIMIT %(most)s) AS counted)"  # noqa: S608


_LOOK: Final = f"""
    SELECT names.channel,
           {_count("'pending' AND due_at <= now()")},
           least((SELECT min(due_at) {_QUEUE} 'pending' AND due_at <= now()),
                 (SELECT min(due_at) {_QUEUE} 'sending')),
           {_count("'pending' AND due_at > now() AND due_at <= now() + interval '1 hour'")},
           {_count("'pending' AND due_at > now() AND due_at <= now() + interval '24 hours'")},
           {_count("'pending' AND due_at < now() - %(stuck)s")}
               + {_count("'sending' AND due_at < now() - %(stuck)s")},
           {_count("'sending'")},
           {_count("'sending' AND lease_until <= now() - %(grace)s")},
           {_count("'in_doubt'")},
           {_count("'pending'")}
      FROM unnest(%(channels)s::text[]) WITH ORDINALITY AS names (channel, place)
     ORDER BY names.place
"""  # noqa: S608  only our own words are put in


@dataclass(frozen=True)
class Queue:
    """One channel's, or all channels' together. Counts stop at ``COUNTED_UP_TO`` a channel."""

    channel: str
    due: int = 0
    oldest_due_at: datetime | None = None  # of claimed ones too: without a worker they wait like any other
    next_hour: int = 0
    next_day: int = 0  # with the next hour
    overdue: int = 0  # due for longer than `STUCK_AFTER`, claimed or not
    under_way: int = 0
    abandoned: int = 0  # under way, and its lease ran out
    in_doubt: int = 0
    pending: int = 0  # due or not


def queues() -> Mapping[str, Queue]:
    """The queue of every configured channel, in one query."""
    values: dict[str, Any] = {
        "channels": list(settings.FOLLOWUP_CHANNELS),
        "most": COUNTED_UP_TO,
        "stuck": STUCK_AFTER,
        "grace": LEASE_GRACE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, values)
        return {row[0]: Queue(*row) for row in cursor.fetchall()}


def together(found: Sequence[Queue]) -> Queue:
    """Several channels' as one."""
    oldest = [each.oldest_due_at for each in found if each.oldest_due_at]
    return Queue(
        channel="",
        due=sum(each.due for each in found),
        oldest_due_at=min(oldest, default=None),
        next_hour=sum(each.next_hour for each in found),
        next_day=sum(each.next_day for each in found),
        overdue=sum(each.overdue for each in found),
        under_way=sum(each.under_way for each in found),
        abandoned=sum(each.abandoned for each in found),
        in_doubt=sum(each.in_doubt for each in found),
        pending=sum(each.pending for each in found),
    )
