"""What the hot statements read: indexes, and never a whole table, however many rows it has."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import CharField, Count, Max, QuerySet
from django.db.models.functions import Cast
from django.utils.timezone import now

from followups.models import Attempt, FollowUpSchedule, ProviderEvent
from followups.selectors.analytics import Period
from followups.selectors.follow_ups import all_follow_ups, follow_ups_of, with_status
from followups.services import analytics, dispatch
from followups.services.archiving import _FINISHED
from jyotiflow.accounts.models import User
from jyotiflow.accounts.selectors import people_like
from sessions_app.models import Session

pytestmark = pytest.mark.django_db
LARGE = (
    "follow_up_schedules",
    "follow_up_archive",
    "follow_up_attempts",
    "follow_up_events",
    "sessions",
    "accounts_user",
)


@pytest.fixture
def plan(db: None) -> Any:
    """The plan PostgreSQL makes when it must not read a table from end to end unless it has no other way."""

    def explain(statement: str, parameters: Any = None) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {statement}", parameters)
            return "\n".join(row[0] for row in cursor.fetchall())

    return explain


def reads_whole(text: str) -> set[str]:
    return {table for table in LARGE if f"Seq Scan on {table}" in text}


def sql_of(rows: QuerySet[Any]) -> tuple[str, Any]:
    statement, parameters = rows.query.sql_with_params()
    return str(statement), parameters


def test_a_claim_finds_what_is_due_and_takes_it_by_its_id(plan: Any) -> None:
    text = plan(
        dispatch._CLAIM,
        {"channels": ["email"], "shares": [1000], "limit": 500, "lease": 90},
    )
    assert reads_whole(text) == set()
    assert "follow_up_due" in text
    assert "Index Cond: (id = ANY" in text  # not a join, whose size nobody can estimate
    assert "follow_up_archive" not in text


def test_the_figures_of_a_day_are_read_by_the_bounds_of_the_day(plan: Any) -> None:
    text = plan(analytics._RECOMPUTE, {"day": now().date(), "zone": "Asia/Kolkata", "rate": 1})
    assert reads_whole(text) == set()
    # Bounds the planner doesn't know make it walk an index from end to end.
    assert "Join Filter" not in text
    for column in ("sent_at", "failed_at", "created_at", "refunded_at"):
        assert re.search(rf"Cond: .*{column} >= '[^']+'", text), column


def test_failures_are_counted_from_an_index_alone(plan: Any) -> None:
    period = Period(
        start=now().date(), end=now().date(), channel="sms", language="ta", template=str(UUID(int=0))
    )
    counted = period.of_failures().values("failure_code", "channel").annotate(count=Count("*"))
    text = plan(*sql_of(counted.annotate(example=Max(Cast("pk", CharField())))))
    assert re.findall(r"Index Only Scan using (\w+)", text) == [
        "follow_up_failed_day",
        "follow_up_archive_failed_day",
    ]


def test_changed_days_and_finished_ones_are_found_without_reading_tables(plan: Any) -> None:
    changed = plan(analytics._CHANGED_DAYS, {"zone": "UTC", "since": now() - timedelta(minutes=15)})
    assert reads_whole(changed) == set()
    finished = {"days": 90, "final": ["sent"], "open": ["calling"], "batch": 500}
    assert reads_whole(plan(_FINISHED, finished)) == set()


@pytest.mark.parametrize(
    "rows",
    [
        lambda: follow_ups_of(User(pk=1)),
        lambda: all_follow_ups(),
        lambda: with_status(all_follow_ups(), "failed"),
        lambda: all_follow_ups().filter(session="x"),
        lambda: all_follow_ups().filter(template_id=UUID(int=0)),
        lambda: FollowUpSchedule.objects.filter(provider_message_id="x"),
        lambda: Attempt.objects.filter(follow_up_id=UUID(int=0)),
        lambda: ProviderEvent.objects.filter(provider_message_id="x"),
        lambda: Session.objects.order_by("-created_at", "-id"),
        lambda: people_like("reader"),
    ],
)
def test_a_list_reads_no_whole_table(plan: Any, rows: Any) -> None:
    statement, parameters = sql_of(rows()[:50])
    assert reads_whole(plan(statement, parameters)) == set()


def test_open_ones_are_never_looked_for_in_the_archive(plan: Any) -> None:
    for status in ("pending", "sending", "in_doubt"):
        statement, parameters = sql_of(FollowUpSchedule.objects.filter(status=status))
        assert "follow_up_archive" not in plan(statement, parameters)
    statement, parameters = sql_of(Attempt.objects.filter(state__in=["calling", "in_doubt"]))
    assert "follow_up_attempts_archive" not in plan(statement, parameters)
