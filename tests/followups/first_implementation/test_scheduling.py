"""Faults 12-27 of the first implementation: scheduling."""

import ast
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils.timezone import now
from rest_framework.test import APIClient

from credits.selectors import balance_of
from followups.channels.base import Accepted
from followups.choices import Origin, State
from followups.conf import SETTINGS
from followups.models import FollowUpSchedule, SandboxMessage, SessionPlan
from followups.services.delivery import deliver
from followups.services.dispatch import claim_due
from followups.services.planning import plan_missed_sessions, plan_session
from followups.services.rescuing import rescue_expired
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.withdrawing import cancel_follow_up
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict
from sessions_app.models import Session
from sessions_app.services import complete_session
from tests.factories import SessionFactory
from tests.followups.conftest import ScriptedChannel
from tests.followups.first_implementation.conftest import (
    SCHEDULE,
    client_of,
    expire_leases,
    in_hours,
    make_due,
)

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[3]


def times_of(user: User) -> list[datetime]:
    return sorted(FollowUpSchedule.objects.filter(user=user).values_list("scheduled_at", flat=True))


def test_orig_12_a_lost_task_or_worker_loses_no_message(
    schedule: Any, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    schedule(make_template(channel="email"), 0)
    for _ in range(3):  # the task is published and never runs
        assert len(claim_due(limit=10)) == 1
        assert run_queue() == 0
        expire_leases()
        assert rescue_expired() == 1
    assert run_queue() == 1
    assert len(provider.taken) == 1
    assert FollowUpSchedule.objects.get().status == State.SENT


@pytest.mark.django_db(transaction=True)
def test_orig_13_many_workers_on_the_same_rows_send_each_once(
    rich_user: User, make_template: Any, provider: ScriptedChannel, in_parallel: Any
) -> None:
    update_settings(changes={"min_interval_hours": 0})
    template = make_template(channel="email", credits_cost=1)
    for _ in range(12):
        schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now())

    def work() -> int:
        claims = claim_due(limit=5)
        for claim in [*claims, *claims]:  # each hint comes twice
            deliver(follow_up_id=claim.follow_up_id, token=claim.token)
        return len(claims)

    assert sum(in_parallel(*[work] * 6)) == 12
    assert len(provider.taken) == len({message.follow_up_id for message in provider.taken}) == 12
    assert balance_of(rich_user) == 88


def test_orig_14_a_cancel_during_the_send_is_refused(
    rich_user: User, schedule: Any, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    refused = []

    def user_cancels_meanwhile(message: Any) -> Any:
        with pytest.raises(Conflict) as error:
            cancel_follow_up(follow_up_id=message.follow_up_id, owner=rich_user)
        refused.append(error.value.code)
        return Accepted("id-1")

    provider.script = [user_cancels_meanwhile]
    schedule(make_template(channel="email"), 0)
    run_queue()
    assert refused == ["not_pending"]
    assert FollowUpSchedule.objects.get().status == State.SENT
    assert balance_of(rich_user) == 95


@pytest.mark.parametrize("when", ["2099-01-01T10:00:00", "2099-01-01", "tomorrow", 1e9, ""])
def test_orig_15_a_time_without_zone_is_refused_and_costs_nothing(
    rich_user: User, user_api: APIClient, make_template: Any, when: object
) -> None:
    body = {"template_id": str(make_template().pk), "scheduled_at": when}
    answer = user_api.post(SCHEDULE, body, format="json")
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["scheduled_at"]
    assert balance_of(rich_user) == 100


def test_orig_16_who_has_a_follow_up_can_pick_a_time_for_another(schedule: Any, make_template: Any) -> None:
    template = make_template()
    assert [schedule(template, hours).status_code for hours in (1, 48, 25)] == [201, 201, 400]


def test_orig_17_every_time_has_a_zone_in_the_database_and_in_answers(
    user_api: APIClient, make_template: Any
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public'"
            " AND data_type = 'timestamp without time zone'"
        )
        assert cursor.fetchone() == (0,)
    wanted = (now() + timedelta(days=2)).astimezone(ZoneInfo("Asia/Kolkata"))
    body = {"template_id": str(make_template().pk), "scheduled_at": wanted.isoformat()}
    answer = user_api.post(SCHEDULE, body, format="json").json()
    (item,) = user_api.get("/api/followup/my-followups").json()["data"]
    for told in (answer["scheduled_at"], item["scheduled_at"], item["created_at"]):
        assert datetime.fromisoformat(told).tzinfo is not None
    assert datetime.fromisoformat(item["scheduled_at"]) == wanted


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York", "Pacific/Auckland", "Asia/Kathmandu"])
def test_orig_18_ten_oclock_is_the_users_ten_oclock(
    rich_user: User, schedule: Any, make_template: Any, zone: str
) -> None:
    User.objects.filter(pk=rich_user.pk).update(timezone=zone)
    client = client_of(User.objects.get(pk=rich_user.pk))
    body = {"template_id": str(make_template(local_time=time(10), delay_hours=24).pk)}
    booked = datetime.fromisoformat(client.post(SCHEDULE, body, format="json").json()["scheduled_at"])
    assert booked.astimezone(ZoneInfo(zone)).time() == time(10)
    assert timedelta(hours=24) <= booked - datetime.now(UTC) + timedelta(seconds=5) <= timedelta(hours=49)


def test_orig_19_the_interval_holds_when_no_time_is_given(
    rich_user: User, schedule: Any, make_template: Any
) -> None:
    template = make_template()
    assert [schedule(template).status_code for _ in range(3)] == [201] * 3
    assert all(later - earlier >= timedelta(hours=24) for earlier, later in pairwise(times_of(rich_user)))


def test_orig_20_an_earlier_slot_is_free_and_cancelled_ones_leave_theirs(
    user_api: APIClient, schedule: Any, make_template: Any
) -> None:
    template = make_template()
    assert schedule(template, 24 * 5).status_code == 201
    middle = schedule(template, 24 * 3)
    assert middle.status_code == 201
    assert schedule(template, 24 * 3 + 1).status_code == 400
    user_api.post(f"/api/followup/cancel/{middle.json()['followup_id']}")
    assert schedule(template, 24 * 3 + 1).status_code == 201


def test_orig_21_cancelled_and_failed_ones_do_not_use_up_a_session(
    rich_user: User, user_api: APIClient, schedule: Any, make_template: Any
) -> None:
    session, template = SessionFactory(user=rich_user, completed=True), make_template()
    for _ in range(4):
        booked = schedule(template, 1, session_id=session.pk)
        assert booked.status_code == 201
        user_api.post(f"/api/followup/cancel/{booked.json()['followup_id']}")
    statuses = [schedule(template, 48 * day, session_id=session.pk).status_code for day in range(1, 5)]
    assert statuses == [201, 201, 201, 400]


@pytest.mark.django_db(transaction=True)
def test_orig_21_the_cap_is_not_raced(rich_user: User, make_template: Any, in_parallel: Any) -> None:
    update_settings(changes={"min_interval_hours": 0})
    session, template = SessionFactory(user=rich_user, completed=True), make_template()
    body = {"template_id": str(template.pk), "session_id": session.pk, "scheduled_at": in_hours(1)}
    statuses = in_parallel(
        *[lambda: client_of(rich_user).post(SCHEDULE, body, format="json").status_code] * 8
    )
    assert sorted(statuses) == [201] * 3 + [400] * 5
    session.refresh_from_db()
    assert session.follow_up_count == 3


@pytest.mark.parametrize(
    ("hours", "code"),
    [(24 * 400, "max_interval_days"), (24 * 30 + 1, "max_interval_days"), (-1, "past_time")],
)
def test_orig_22_past_and_far_times_are_refused(
    rich_user: User, schedule: Any, make_template: Any, hours: float, code: str
) -> None:
    answer = schedule(make_template(), hours)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert balance_of(rich_user) == 100


def test_orig_23_there_is_no_setting_that_nothing_reads(admin_api: APIClient) -> None:
    places = [path for name in ("services", "selectors") for path in (ROOT / "followups" / name).glob("*.py")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in places]
    read = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    by_channel = {name for name in SETTINGS if name.startswith("provider_cost_")}
    assert "provider_cost" in read
    assert set(SETTINGS) - by_channel <= read
    dead = admin_api.put("/api/followup/admin/settings", {"enable_smart_scheduling": True}, format="json")
    assert dead.status_code == 400


def test_orig_24_templates_serve_their_own_service_in_order_on_their_own_channel(
    rich_user: User, make_template: Any, at_any_hour: None, run_queue: Any
) -> None:
    at_once = {"delay_hours": 0, "local_time": None}
    make_template(name="never automatic", channel="push")
    make_template(name="second", channel="sms", sequence_order=2, **at_once)
    make_template(name="first", channel="email", sequence_order=1, service_types=["tarot"], **at_once)
    make_template(name="others'", channel="email", sequence_order=1, service_types=["palmistry"], **at_once)
    complete_session(session_id=SessionFactory(user=rich_user, service_type="tarot").pk)
    planned = FollowUpSchedule.objects.order_by("scheduled_at")
    assert [follow_up.template.name for follow_up in planned] == ["first", "second"]
    make_due()
    run_queue()
    sent = dict(SandboxMessage.objects.values_list("channel", "to"))
    assert sent == {"email": rich_user.email, "sms": rich_user.phone}


def test_orig_25_nothing_is_planned_before_the_guidance_is_there(
    rich_user: User, user_api: APIClient, make_template: Any
) -> None:
    make_template(channel="email", sequence_order=1, content="{{guidance_summary}}", tamil_content="")
    is_open = SessionFactory(user=rich_user)
    failed = SessionFactory(user=rich_user, status=Session.Status.FAILED)
    for session in (is_open, failed):
        answer = user_api.post(f"/api/followup/email/{session.pk}")
        assert (answer.status_code, answer.json()["code"]) == (409, "session_not_completed")
    with pytest.raises(Conflict):
        complete_session(session_id=failed.pk)
    assert not FollowUpSchedule.objects.exists()
    complete_session(session_id=is_open.pk, guidance_summary="Walk before sunrise.")
    (item,) = user_api.get("/api/followup/my-followups").json()["data"]
    assert item["message"] == "Walk before sunrise."


def test_orig_26_a_completed_session_gets_its_follow_up_even_when_its_own_planning_failed(
    rich_user: User, make_template: Any
) -> None:
    make_template(sequence_order=1)
    session = SessionFactory(user=rich_user, completed=True)  # completed, but never planned
    assert plan_missed_sessions() == 1
    assert plan_missed_sessions() == 0
    assert FollowUpSchedule.objects.get().session == session
    assert SessionPlan.objects.get().session == session


def test_orig_26_a_failed_planning_does_not_undo_the_session(rich_user: User, make_template: Any) -> None:
    make_template(sequence_order=1)
    session = SessionFactory(user=rich_user)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE follow_up_plans RENAME TO lost")
        complete_session(session_id=session.pk)
        cursor.execute("ALTER TABLE lost RENAME TO follow_up_plans")
    session.refresh_from_db()
    assert session.status == Session.Status.COMPLETED
    assert balance_of(rich_user) == 100
    assert not FollowUpSchedule.objects.exists()
    Session.objects.update(completed_at=now() - timedelta(minutes=1))
    assert plan_missed_sessions() == 1
    assert balance_of(rich_user) == 95


def test_orig_27_the_automatic_path_books_by_the_templates_own_id(
    rich_user: User, admin_api: APIClient, schedule: Any, make_template: Any
) -> None:
    make_template(sequence_order=1)
    plan_session(session_id=SessionFactory(user=rich_user, completed=True).pk)
    automatic = FollowUpSchedule.objects.get(origin=Origin.AUTOMATIC)
    (listed,) = admin_api.get("/api/followup/admin/templates").json()["data"]
    assert listed["id"] == str(automatic.template_id)
    by_hand = schedule(automatic.template, 24 * 9)
    assert by_hand.status_code == 201
    assert FollowUpSchedule.objects.get(origin=Origin.MANUAL).template_id == automatic.template_id
