"""Faults 44-52 of the first implementation: security and privacy."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from credits.models import CreditEntry
from credits.selectors import balance_of
from credits.services import grant
from followups.choices import State
from followups.links import unsubscribe_url
from followups.models import FollowUpSchedule, SandboxMessage
from jyotiflow.accounts.models import MachineKey, User
from jyotiflow.accounts.services import create_machine_key
from jyotiflow.health import PARTS, record_pulse
from tests.factories import SessionFactory, UserFactory
from tests.followups.conftest import ScriptedChannel
from tests.followups.first_implementation.conftest import SCHEDULE, client_of, in_hours, make_due

pytestmark = pytest.mark.django_db
COMPLETE = "/api/followup/auto/session-complete"


def test_orig_44_nobody_but_a_machine_with_a_key_announces_sessions(
    rich_user: User, admin_api: APIClient, make_template: Any
) -> None:
    make_template(sequence_order=1)
    session = SessionFactory(user=rich_user)
    body = {"session_id": session.pk, "user_email": rich_user.email, "service_type": "x"}
    for client in (APIClient(), APIClient(headers={"X-API-Key": "guess"})):
        assert client.post(COMPLETE, body, format="json").status_code == 401
    for client in (client_of(rich_user), admin_api):  # signed in, even as an admin, is not a machine
        assert client.post(COMPLETE, body, format="json").status_code in (401, 403)
    session.refresh_from_db()
    assert session.status == "open"
    assert balance_of(rich_user) == 100


def test_orig_44_a_machine_charges_the_owner_only_and_learns_no_balance(
    rich_user: User, user: User, make_template: Any
) -> None:
    make_template(sequence_order=1)
    _, key = create_machine_key(name="platform", scope=MachineKey.Scope.SESSIONS_COMPLETE)
    client = APIClient(headers={"X-API-Key": key})
    poor = UserFactory()
    grant(user=poor, amount=3, reason="test", key="three")
    session = SessionFactory(user=poor)
    other = {"session_id": session.pk, "user_email": "nobody@example.test", "service_type": "x"}
    answers = [
        client.post(COMPLETE, {**other, "user_email": who}, format="json")
        for who in ("nobody@example.test", rich_user.email)
    ]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].json() == answers[1].json()  # which accounts exist is not told
    assert [balance_of(rich_user), balance_of(poor)] == [100, 3]
    # Too few credits: nothing is booked, and the answer names no number of credits.
    done = client.post(COMPLETE, {**other, "user_email": poor.email}, format="json")
    assert (done.status_code, done.json()["followups"], done.json()["credits_charged"]) == (200, [], 0)
    assert "3" not in done.json()["message"]


def test_orig_45_anothers_session_can_not_be_used_or_seen(
    rich_user: User, user_api: APIClient, schedule: Any, make_template: Any
) -> None:
    template = make_template(content="{{guidance_summary}}", tamil_content="", channel="email")
    session = SessionFactory(completed=True, guidance_summary="What was told in confidence.")
    answers = [
        schedule(template, 1, session_id=session.pk),
        user_api.post(f"/api/followup/email/{session.pk}"),
        user_api.get(f"/api/followup/session/{session.pk}"),
    ]
    unknown = user_api.get("/api/followup/session/no-such-session")
    for answer in (*answers, unknown):
        assert (answer.status_code, answer.json()) == (404, unknown.json())
    assert user_api.get(f"/api/followup/my-followups?session_id={session.pk}").json()["count"] == 0
    session.refresh_from_db()
    assert (session.follow_up_count, balance_of(rich_user)) == (0, 100)


@pytest.mark.parametrize("path", ["/api/notify/followup", "/api/notify", "/api/notification", "/notify"])
def test_orig_46_there_is_no_open_relay(path: str, user_api: APIClient) -> None:
    body = {"channel": "email", "to": "all@example.test", "subject": "x", "message": "y"}
    for client in (APIClient(), user_api):
        assert client.post(path, body, format="json").status_code in (401, 403, 404)
    assert not SandboxMessage.objects.exists()
    assert not FollowUpSchedule.objects.exists()


def test_orig_47_each_refusal_keeps_its_own_status(
    user: User, api: APIClient, anonymous: APIClient, make_template: Any
) -> None:
    body = {"template_id": str(make_template().pk)}
    nobody = "00000000-0000-4000-8000-000000000000"
    refusals = {
        400: api.post(SCHEDULE, {}, format="json"),
        401: anonymous.get("/api/followup/my-followups"),
        402: api.post(SCHEDULE, body, format="json"),
        403: api.get("/api/followup/admin/templates"),
        404: api.post(f"/api/followup/cancel/{nobody}"),
        405: api.get(SCHEDULE),
    }
    for status, answer in refusals.items():
        assert answer.status_code == status
        assert set(answer.json()) - {"errors"} == {"success", "message", "code"}
    other = api.post(SCHEDULE, {**body, "user_email": "other@example.test"}, format="json")
    assert other.status_code == 403


def test_orig_47_a_bug_shows_no_internals(rich_user: User, schedule: Any, make_template: Any) -> None:
    template = make_template()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE follow_up_preferences RENAME TO lost")
    answer = schedule(template, 1)
    assert answer.status_code == 500
    assert answer.json() == {
        "success": False,
        "message": "Something went wrong on our side.",
        "code": "server_error",
    }
    assert balance_of(rich_user) == 100


def test_orig_48_no_error_is_answered_as_success(
    api: APIClient, anonymous: APIClient, admin_api: APIClient
) -> None:
    machine = anonymous.post(COMPLETE, {}, format="json")
    answers = [machine, anonymous.post(SCHEDULE, {}, format="json"), api.post(SCHEDULE, [], format="json")]
    answers.append(api.post("/api/followup/sms/x"))
    answers.append(admin_api.put("/api/followup/admin/settings", {}, format="json"))
    answers += [api.get("/api/followup/my-followups"), admin_api.get("/api/followup/admin/analytics")]
    for answer in answers:
        assert answer.json()["success"] is (answer.status_code < 400)
    assert sum(answer.status_code >= 400 for answer in answers) == 5


def test_orig_49_health_is_true_and_tells_no_addresses(anonymous: APIClient) -> None:
    path = "/api/followup/health/followup"
    sick = anonymous.get(path)
    assert (sick.status_code, sick.json()["status"]) == (503, "unhealthy")
    for part in PARTS:
        record_pulse(part)
    well = anonymous.get(path)
    assert (well.status_code, well.json()["status"]) == (200, "healthy")
    assert set(well.json()["checks"].values()) == {"ok"}
    assert "://" not in well.content.decode()


@pytest.mark.parametrize(
    "page", ["limit=201", "limit=0", "limit=-1", "limit=1e3", "offset=-1", "offset=99999999999999999999"]
)
@pytest.mark.parametrize("path", ["my-followups", "admin/schedules", "admin/templates"])
def test_orig_50_pages_are_bounded(admin_api: APIClient, path: str, page: str) -> None:
    answer = admin_api.get(f"/api/followup/{path}?{page}")
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [page.split("=")[0]]


def test_orig_51_one_can_opt_out_and_what_was_bought_is_refunded(
    rich_user: User, schedule: Any, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    template = make_template(channel="email")
    schedule(template, 0)
    link = unsubscribe_url(user_id=rich_user.pk, channel="email").removeprefix("http://testserver")
    assert Client().get(link).status_code == 200
    assert schedule(template, 99).status_code == 201  # looking at the page acts on nothing
    assert Client().post(link, {"List-Unsubscribe": "One-Click"}).status_code == 200
    make_due()
    run_queue()
    assert provider.taken == []
    assert {follow_up.status for follow_up in FollowUpSchedule.objects.all()} == {State.FAILED}
    assert balance_of(rich_user) == 100
    assert schedule(template, 200).json()["code"] == "opted_out"


def test_orig_52_a_new_email_orphans_nothing(
    rich_user: User, schedule: Any, make_template: Any, run_queue: Any
) -> None:
    template = make_template(channel="email")
    schedule(template, 0)
    second = schedule(template, 48).json()["followup_id"]
    User.objects.filter(pk=rich_user.pk).update(email="new@example.test")
    UserFactory(email=rich_user.email)  # somebody else takes the old one
    client = client_of(User.objects.get(pk=rich_user.pk))
    assert client.get("/api/followup/my-followups").json()["count"] == 2
    assert client.post(f"/api/followup/cancel/{second}").json()["credits_refunded"] == 5
    run_queue()
    assert SandboxMessage.objects.get().to == "new@example.test"
    assert balance_of(rich_user) == 95
    assert set(CreditEntry.objects.values_list("account__user_id", flat=True)) == {rich_user.pk}
    body = {"template_id": str(template.pk), "scheduled_at": in_hours(72), "user_email": "NEW@example.test"}
    assert client.post(SCHEDULE, body, format="json").status_code == 201
