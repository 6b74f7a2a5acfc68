"""Moving finished follow-ups to the archive, and forgetting what is kept for some time only.

The archive's tables inherit the queue's: every read and every later change of a row finds it there as well.
"""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Model
from django.utils.timezone import now

from followups.choices import OPEN_ATTEMPT_STATES, SENT_STATES, WITHDRAWN_STATES
from followups.models import Attempt, FollowUpSchedule, InAppMessage, ProviderEvent, SandboxMessage

log = structlog.get_logger(__name__)

SHORTEST_DAYS: Final = 30  # in the queue: a provider reports within days, and staff try again what failed
LONGEST_RUN_SECONDS: Final = 20  # then the next run goes on

# What is tried anew by staff, and what that became, stays: each names the other.
_FINISHED: Final = """
    SELECT id FROM ONLY follow_up_schedules AS follow_up
     WHERE updated_at < now() - make_interval(days => %(days)s)
       AND status = ANY(%(final)s) AND expires_at < now() AND retry_of_id IS NULL
       AND NOT EXISTS (SELECT FROM ONLY follow_up_schedules AS again WHERE again.retry_of_id = follow_up.id)
       AND NOT EXISTS (SELECT FROM ONLY follow_up_attempts AS attempt
                        WHERE attempt.follow_up_id = follow_up.id AND attempt.state = ANY(%(open)s))
     ORDER BY updated_at
     LIMIT %(batch)s
       FOR UPDATE SKIP LOCKED
"""
_MOVE: Final = """
    WITH moved AS (DELETE FROM ONLY {table} WHERE {key} = ANY(%s) RETURNING *)
    INSERT INTO {archive} ({columns}) SELECT {values} FROM moved
"""
# The archive of each table, and the column that holds the follow-up's id.
_ARCHIVES: Final[Sequence[tuple[type[Model], str, str]]] = (
    (FollowUpSchedule, "follow_up_archive", "id"),
    (Attempt, "follow_up_attempts_archive", "follow_up_id"),
    (InAppMessage, "follow_up_in_app_archive", "follow_up_id"),
)


def archive_finished(*, batch: int = 500) -> int:
    """Move what has been finished for ``FOLLOWUP_ARCHIVE_AFTER_DAYS`` to the archive; returns how many.

    In batches, each whole in its own transaction: nobody ever sees a follow-up twice or not at all.
    """
    return _in_batches(_archive_batch, batch)


def forget_old_events(*, batch: int = 2_000) -> int:
    """Delete providers' reports older than ``FOLLOWUP_KEEP_EVENTS_DAYS``; returns how many."""
    return _in_batches(_forget_events, batch)


def forget_sandbox(*, batch: int = 2_000) -> int:
    """Delete messages of the sandbox's outbox older than ``FOLLOWUP_KEEP_SANDBOX_DAYS``; returns how many."""
    return _in_batches(_forget_sandbox, batch)


def _in_batches(act: Callable[[int], int], batch: int) -> int:
    started = time.monotonic()
    done = 0
    while True:
        some = act(batch)
        done += some
        if some < batch or time.monotonic() - started > LONGEST_RUN_SECONDS:
            return done


@transaction.atomic
def _archive_batch(batch: int) -> int:
    limits = {
        "days": settings.FOLLOWUP_ARCHIVE_AFTER_DAYS,
        "final": [*SENT_STATES, *WITHDRAWN_STATES],
        "open": [*OPEN_ATTEMPT_STATES],
        "batch": batch,
    }
    with connection.cursor() as cursor:
        cursor.execute(_FINISHED, limits)
        ids = [row[0] for row in cursor.fetchall()]
        for model, archive, key in _ARCHIVES if ids else ():
            columns = [str(field.column) for field in model._meta.concrete_fields]
            values = ["now()" if column == "archived_at" else column for column in columns]
            cursor.execute(
                _MOVE.format(
                    table=model._meta.db_table,
                    archive=archive,
                    key=key,
                    columns=", ".join(columns),
                    values=", ".join(values),
                ),
                [ids],
            )
    if ids:
        log.info("follow_ups_archived", count=len(ids))
    return len(ids)


def _forget_events(batch: int) -> int:
    """Of the oldest, which have the lowest numbers, those past their time: no index is kept for that."""
    last = now() - timedelta(days=settings.FOLLOWUP_KEEP_EVENTS_DAYS)
    oldest = ProviderEvent.objects.order_by("pk").values_list("pk", "received_at")[:batch]
    return _delete(ProviderEvent, [key for key, received_at in oldest if received_at < last])


def _forget_sandbox(batch: int) -> int:
    last = now() - timedelta(days=settings.FOLLOWUP_KEEP_SANDBOX_DAYS)
    old = SandboxMessage.objects.filter(created_at__lt=last).order_by("created_at")
    return _delete(SandboxMessage, list(old.values_list("pk", flat=True)[:batch]))


def _delete(model: type[Model], keys: Sequence[object]) -> int:
    return model._default_manager.filter(pk__in=keys).delete()[0] if keys else 0
