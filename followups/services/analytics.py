"""The daily figures: recomputed from follow-ups for the days that changed. Nothing increments a counter."""

import time
from collections.abc import Iterable
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.postgres.functions import TransactionNow
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from followups.models import FollowUpAnalytics, FollowUpSetting
from followups.selectors.settings import effective_settings
from followups.services.audiences import What, close_months, keep_audiences

OVERLAP = timedelta(minutes=15)  # rows stamped by a slow clock, or by a transaction open at the last roll-up
LONG_SECONDS = 1.0
REST = 9  # times: a tenth of one processor at most
_RESTING = "analytics:resting"
_ONE_AT_A_TIME = 7_240_119  # advisory lock: two roll-ups of one day would only repeat the work

# A message counts on the day it was sent, a failure that was never sent on the day it failed, a charge or a
# refund on the day the credits moved. Revenue is what was kept of the messages sent.
# The day's bounds are written out each time, so that the planner knows them and takes the indexes by day.
# Of those sent it also tells whom they went to, and who read them: they are gone through once.
_FIRST = "(%(day)s::date)::timestamp AT TIME ZONE %(zone)s"
_NEXT = "(%(day)s::date + 1)::timestamp AT TIME ZONE %(zone)s"
_RECOMPUTE = f"""
    WITH facts AS (
        SELECT template_id, channel, language, count(*) AS sent,
               count(*) FILTER (WHERE status IN ('delivered', 'read')) AS delivered,
               count(*) FILTER (WHERE status = 'read') AS read,
               count(*) FILTER (WHERE status = 'failed') AS failed,
               count(*) FILTER (WHERE status IN ('delivered', 'read') AND refunded_at IS NOT NULL) AS late,
               0 AS charged, 0 AS refunded,
               coalesce(sum(credits_charged - credits_refunded)
                        FILTER (WHERE status IN ('sent', 'delivered', 'read')), 0) AS kept,
               array_agg(user_id) AS recipients, array_agg(user_id) FILTER (WHERE status = 'read') AS readers
          FROM follow_up_schedules WHERE sent_at >= {_FIRST} AND sent_at < {_NEXT}
         GROUP BY template_id, channel, language
        UNION ALL
        SELECT template_id, channel, language, 0, 0, 0, count(*), 0, 0, 0, 0, NULL, NULL
          FROM follow_up_schedules
         WHERE failed_at >= {_FIRST} AND failed_at < {_NEXT} AND status = 'failed' AND sent_at IS NULL
         GROUP BY template_id, channel, language
        UNION ALL
        SELECT template_id, channel, language, 0, 0, 0, 0, 0, sum(credits_charged), 0, 0, NULL, NULL
          FROM follow_up_schedules WHERE created_at >= {_FIRST} AND created_at < {_NEXT}
         GROUP BY template_id, channel, language
        UNION ALL
        SELECT template_id, channel, language, 0, 0, 0, 0, 0, 0, sum(credits_refunded), 0, NULL, NULL
          FROM follow_up_schedules WHERE refunded_at >= {_FIRST} AND refunded_at < {_NEXT}
         GROUP BY template_id, channel, language
    ), stored AS (
        INSERT INTO follow_up_analytics AS figures
               (id, date, template_id, channel, language, total_sent, total_delivered, total_read,
                total_failed, delivered_after_refund, credits_charged, credits_refunded, revenue_generated,
                created_at, updated_at)
        SELECT gen_random_uuid(), %(day)s::date, template_id, channel, language, sum(sent), sum(delivered),
               sum(read), sum(failed), sum(late), sum(charged), sum(refunded), sum(kept) * %(rate)s,
               now(), now()
          FROM facts GROUP BY template_id, channel, language
            ON CONFLICT (date, template_id, channel, language) DO UPDATE
           SET total_sent = excluded.total_sent, total_delivered = excluded.total_delivered,
               total_read = excluded.total_read, total_failed = excluded.total_failed,
               delivered_after_refund = excluded.delivered_after_refund,
               credits_charged = excluded.credits_charged, credits_refunded = excluded.credits_refunded,
               revenue_generated = excluded.revenue_generated, updated_at = excluded.updated_at
    )
    SELECT template_id, channel, language, recipients, coalesce(readers, '{{}}') FROM facts WHERE sent > 0
"""  # noqa: S608  only our own words are put in

# Of what failed and is tried anew also the days of its earlier attempts: it counts there no more.
_CHANGED_DAYS = """
    SELECT DISTINCT (moment AT TIME ZONE %(zone)s)::date
      FROM follow_up_schedules AS follow_up
      LEFT JOIN follow_up_attempts AS attempt
        ON attempt.follow_up_id = follow_up.id AND follow_up.failure_code <> '',
           LATERAL (
               VALUES (follow_up.created_at), (follow_up.sent_at), (follow_up.failed_at),
                      (follow_up.refunded_at), (attempt.gate_at), (attempt.finished_at)
           ) AS moments (moment)
     WHERE follow_up.updated_at >= coalesce(%(since)s, '-infinity'::timestamptz) AND moment IS NOT NULL
     ORDER BY 1
"""


def roll_up_at_ease() -> list[date]:
    """``roll_up_changed_days``; after a long one nothing until it has rested `REST` times as long as it took.

    So the figures of a busy installation lag by a minute, instead of taking a processor for themselves.
    """
    if cache.get(_RESTING):
        return []
    began = time.monotonic()
    days = roll_up_changed_days()
    took = time.monotonic() - began
    if took >= LONG_SECONDS:
        cache.set(_RESTING, True, timeout=took * REST)
    return days


def roll_up_changed_days() -> list[date]:
    """Recompute every day with a follow-up that changed since the last roll-up; returns those days.

    A new price of a credit counts from today on. Does nothing while the setting ``enable_analytics`` is
    off; switching it on catches up.
    """
    if not effective_settings().enable_analytics:
        return []
    latest = FollowUpAnalytics.objects.aggregate(latest=Max("updated_at"))["latest"]
    with connection.cursor() as cursor:
        cursor.execute(
            _CHANGED_DAYS,
            {"zone": settings.FOLLOWUP_REPORT_TIME_ZONE, "since": latest - OVERLAP if latest else None},
        )
        days = {row[0] for row in cursor.fetchall()}
    price = FollowUpSetting.objects.filter(setting_key="revenue_per_credit")
    if latest and price.filter(updated_at__gt=latest).exists():
        days.add(_today())
    recompute(days=sorted(days))
    return sorted(days)


@transaction.atomic
def recompute(*, days: Iterable[date]) -> None:
    """Recompute the figures of these days (in the report's time zone) from the follow-ups themselves.

    All days or none: the newest row tells the next roll-up where this one ended.
    """
    rate = effective_settings().revenue_per_credit
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])
        for day in days:
            zone = settings.FOLLOWUP_REPORT_TIME_ZONE
            cursor.execute(_RECOMPUTE, {"day": day, "zone": zone, "rate": rate})
            reached = {What(*row[:3]): (row[3], row[4]) for row in cursor.fetchall()}
            # What no longer has a fact behind it.
            FollowUpAnalytics.objects.filter(date=day, updated_at__lt=TransactionNow()).delete()
            keep_audiences(day=day, reached=reached)
    close_months(today=_today())


def _today() -> date:
    return timezone.localdate(timezone=ZoneInfo(settings.FOLLOWUP_REPORT_TIME_ZONE))
