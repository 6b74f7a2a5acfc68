"""Faults 67-75 of the first implementation: what is stored."""

import uuid
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils.timezone import now
from rest_framework.test import APIClient

from credits.services import grant
from followups.choices import ReceiptKind
from followups.conf import SETTINGS
from followups.models import FollowUpSchedule, FollowUpSetting, FollowUpTemplate
from followups.services.analytics import roll_up_changed_days
from followups.services.receipts import Receipt, record_receipt
from followups.services.settings import update_settings
from jyotiflow.accounts.models import User
from tests.factories import SessionFactory, UserFactory
from tests.followups.conftest import ScriptedChannel
from tests.followups.first_implementation.conftest import SCHEDULE, client_of, in_hours

pytestmark = pytest.mark.django_db
ADMIN = "/api/followup/admin"


def rows(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def test_orig_67_each_event_counts_as_what_it_is(
    admin_api: APIClient, schedule: Any, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    update_settings(changes={"min_interval_hours": 0})
    template = make_template(channel="email", credits_cost=0)
    for _ in range(4):
        schedule(template, 0)
    run_queue()
    ends = [["delivered", "read", "read"], ["delivered", "machine_open"], ["failed"], []]
    for follow_up, kinds in zip(FollowUpSchedule.objects.all(), ends, strict=True):
        for number, kind in enumerate(kinds):
            reference = str(follow_up.attempts.get().pk)
            record_receipt(
                Receipt("scripted", f"{follow_up.pk}{number}", ReceiptKind(kind), attempt_reference=reference)
            )
    roll_up_changed_days()
    data = admin_api.get(f"{ADMIN}/analytics").json()["data"]
    counts = [data[f"total_{name}"] for name in ("sent", "delivered", "read", "failed")]
    assert counts == [4, 2, 1, 1]
    assert (data["delivery_rate"], data["read_rate"]) == (50.0, 50.0)


@pytest.mark.django_db(transaction=True)
def test_orig_68_nobody_waits_for_a_second_connection_while_holding_one(
    make_template: Any, in_parallel: Any
) -> None:
    template = make_template()  # more requests at once than the pool has connections
    users = UserFactory.create_batch(30)
    for user in users:
        grant(user=user, amount=5, reason="test", key=f"k{user.pk}")
    body = {"template_id": str(template.pk), "scheduled_at": in_hours(1)}

    def ask(user: User) -> Any:
        return client_of(user).post(SCHEDULE, body, format="json").status_code

    assert in_parallel(*(lambda user=user: ask(user) for user in users)) == [201] * 30


def test_orig_70_a_follow_up_refers_to_its_session_by_the_same_type() -> None:
    types = rows(
        "SELECT data_type, character_maximum_length FROM information_schema.columns"
        " WHERE table_schema = 'public'"
        " AND (table_name, column_name) IN (('sessions', 'id'), ('follow_up_schedules', 'session_id'))"
    )
    assert types == [("character varying", 255)] * 2
    keys = rows(
        "SELECT confrelid::regclass::text FROM pg_constraint"
        " WHERE contype = 'f' AND conrelid = 'follow_up_schedules'::regclass"
    )
    assert {"sessions", "follow_up_templates", User._meta.db_table} <= {key for (key,) in keys}


def test_orig_71_there_is_one_table_of_templates() -> None:
    found = rows(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = 'public' AND table_name LIKE '%template%' ORDER BY 1"
    )
    assert found == [("follow_up_template_versions",), ("follow_up_templates",)]


def test_orig_72_starters_load_twice_without_doubles_and_keep_edits() -> None:
    call_command("load_starters", verbosity=0)
    count = FollowUpTemplate.objects.count()
    FollowUpTemplate.objects.filter(key__isnull=False).update(credits_cost=9)
    FollowUpSetting.objects.update(setting_value="8")
    call_command("load_starters", verbosity=0)
    assert (
        FollowUpTemplate.objects.count()
        == FollowUpTemplate.objects.filter(credits_cost=9).count()
        == count
        > 4
    )
    assert set(FollowUpSetting.objects.values_list("setting_value", flat=True)) == {"8"}
    assert FollowUpSetting.objects.count() == len(SETTINGS)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "bogus"},
        {"origin": "bogus"},
        {"credits_charged": -1},
        {"credits_refunded": 6},
        {"status": "sent"},
        {"status": "sending"},
        {"status": "failed"},
        {"cancelled_at": now()},
        {"user_id": 0},
        {"template_id": uuid.uuid4()},
        {"session_id": "none"},
    ],
    ids=lambda change: "-".join(change),
)
def test_orig_73_the_database_refuses_rows_that_can_not_be(
    schedule: Any, make_template: Any, change: dict[str, object]
) -> None:
    schedule(make_template(), 1)
    with pytest.raises(IntegrityError), transaction.atomic():
        update_and_check(change)


def update_and_check(change: dict[str, object]) -> None:
    FollowUpSchedule.objects.update(**change)
    connection.check_constraints()  # foreign keys wait for the end of a transaction


def test_orig_73_one_automatic_follow_up_per_session_and_template(
    rich_user: User, schedule: Any, make_template: Any
) -> None:
    session, template = SessionFactory(user=rich_user, completed=True), make_template()
    for hours in (1, 48):
        schedule(template, hours, session_id=session.pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        FollowUpSchedule.objects.update(origin="automatic")


def test_orig_74_a_sessions_count_and_flag_follow_its_messages(
    rich_user: User, user_api: APIClient, schedule: Any, make_template: Any, run_queue: Any
) -> None:
    session, template = SessionFactory(user=rich_user, completed=True), make_template()

    def told() -> tuple[int, bool]:
        (shown,) = user_api.get("/api/user/sessions").json()["data"]
        return shown["follow_up_count"], shown["follow_up_sent"]

    schedule(template, 0, session_id=session.pk)
    later = schedule(template, 48, session_id=session.pk).json()["followup_id"]
    assert told() == (2, False)
    user_api.post(f"/api/followup/cancel/{later}")
    assert told() == (1, False)
    run_queue()
    assert told() == (1, True)


def test_orig_75_lists_have_pages_and_the_message(
    rich_user: User, user_api: APIClient, schedule: Any, make_template: Any
) -> None:
    template = make_template()
    for hours in (1, 30):
        schedule(template, hours)
    first, second = (
        user_api.get(f"/api/followup/my-followups?limit=1&offset={offset}").json()["data"][0]
        for offset in (0, 1)
    )
    assert first["scheduled_at"] > second["scheduled_at"]
    assert first["message"] == f"Dear {rich_user.name}, how are you?"
    assert first["subject"] == f"How are you, {rich_user.name}?"
