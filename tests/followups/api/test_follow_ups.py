"""What users may do with their own follow-ups, and what bad input gets."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now
from rest_framework.test import APIClient

from credits.models import CreditEntry
from credits.selectors import balance_of
from followups.choices import State
from followups.models import Device, FollowUpSchedule, IdempotentAnswer
from followups.services.consent import opt_out
from jyotiflow.accounts.models import User
from sessions_app.models import Session
from tests.factories import SessionFactory, UserFactory

pytestmark = pytest.mark.django_db

SCHEDULE = "/api/followup/schedule"
MINE = "/api/followup/my-followups"


def at(**delta: int) -> str:
    return (now() + timedelta(**delta)).isoformat()


@pytest.fixture
def session(rich_user: User) -> Session:
    return SessionFactory(user=rich_user, completed=True)


def test_a_follow_up_is_scheduled_charged_and_listed(
    api: APIClient, rich_user: User, session: Session, make_template: Any
) -> None:
    template = make_template()
    when = at(days=2)
    answer = api.post(
        SCHEDULE,
        {
            "template_id": str(template.pk),
            "session_id": session.pk,
            "channel": "in_app",
            "scheduled_at": when,
        },
        format="json",
    )
    body = answer.json()
    assert answer.status_code == 201, body
    assert (body["success"], body["credits_charged"], body["status"]) == (True, 5, "pending")
    assert body["scheduled_at"] == when.replace("+00:00", "Z")
    listed = api.get(MINE).json()
    assert listed["count"] == 1
    (item,) = listed["data"]
    assert item["id"] == body["followup_id"]
    assert (item["status"], item["state"], item["delivery_status"]) == ("pending",) * 3
    assert item["message"] == f"Dear {rich_user.name}, how are you?"
    assert (item["credits_charged"], item["credits_refunded"], item["session_id"]) == (5, 0, session.pk)
    assert api.get("/api/user/credits").json()["data"] == {"credits": 95}
    assert api.get(f"/api/followup/session/{session.pk}").json()["count"] == 1


def test_without_a_time_the_system_picks_ten_o_clock_at_home_after_the_delay(
    api: APIClient, rich_user: User, make_template: Any
) -> None:
    answer = api.post(SCHEDULE, {"template_id": str(make_template().pk)}, format="json")
    assert answer.status_code == 201, answer.json()
    follow_up = FollowUpSchedule.objects.get()
    assert follow_up.scheduled_at.astimezone(rich_user.zone).strftime("%H:%M") == "10:00"
    assert timedelta(hours=24) <= follow_up.scheduled_at - now() + timedelta(minutes=1) <= timedelta(hours=48)


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"template_id": "not-a-uuid"}, 400, "", "template_id"),
        ({"template_id": str(uuid.uuid4())}, 404, "template_not_found", ""),
        ({"session_id": "nobody's"}, 404, "session_not_found", ""),
        ({"session_id": "with\x00nul"}, 400, "", ""),
        ({"channel": "email"}, 400, "", "channel"),
        ({"scheduled_at": "2030-01-01T10:00:00"}, 400, "", "scheduled_at"),
        ({"scheduled_at": "tomorrow"}, 400, "", "scheduled_at"),
        ({"scheduled_at": 1893456000}, 400, "", "scheduled_at"),
        ({"scheduled_at": "0001-01-01T00:00:00+14:00"}, 400, "", "scheduled_at"),
        ({"credits_to_charge": -10}, 400, "", "credits_to_charge"),
        ({"credits_to_charge": 0}, 400, "", "credits_to_charge"),
        ({"user_email": "someone@else.test"}, 403, "not_your_email", ""),
        ({"user_email": "no address"}, 400, "", "user_email"),
        ({"custom_variables": {"festival": "Pongal"}}, 400, "", "custom_variables"),
        ({"custom_variables": {"user_email": "x"}}, 400, "", "custom_variables"),
        ({"custom_variables": ["festival"]}, 400, "", "custom_variables"),
        ({"surprise": 1}, 400, "", "surprise"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(
    change: dict[str, Any],
    status: int,
    code: str,
    field: str,
    api: APIClient,
    rich_user: User,
    make_template: Any,
    refused: Any,
) -> None:
    body = {"template_id": str(make_template().pk), "scheduled_at": at(days=1), **change}
    refused(api.post(SCHEDULE, body, format="json"), status, code, field)
    assert not FollowUpSchedule.objects.exists()
    assert balance_of(rich_user) == 100


@pytest.mark.parametrize(
    ("when", "code"),
    [({"hours": -1}, "past_time"), ({"days": -400}, "past_time"), ({"days": 31}, "max_interval_days")],
)
def test_past_and_far_times_are_refused(
    when: dict[str, int], code: str, api: APIClient, rich_user: User, make_template: Any, refused: Any
) -> None:
    body = {"template_id": str(make_template().pk), "scheduled_at": at(**when)}
    refused(api.post(SCHEDULE, body, format="json"), 400, code, "scheduled_at")
    assert balance_of(rich_user) == 100


def test_someone_elses_session_is_not_found(
    api: APIClient, rich_user: User, make_template: Any, refused: Any
) -> None:
    other = SessionFactory(completed=True)
    body = {"template_id": str(make_template().pk), "session_id": other.pk}
    refused(api.post(SCHEDULE, body, format="json"), 404, "session_not_found")
    refused(api.get(f"/api/followup/session/{other.pk}"), 404, "session_not_found")
    refused(api.post(f"/api/followup/email/{other.pk}"), 404, "session_not_found")
    other.refresh_from_db()
    assert other.follow_up_count == 0


def test_too_few_credits_is_402(api: APIClient, user: User, make_template: Any, refused: Any) -> None:
    refused(
        api.post(SCHEDULE, {"template_id": str(make_template().pk)}, format="json"),
        402,
        "insufficient_credits",
    )
    assert not FollowUpSchedule.objects.exists()


def test_an_inactive_template_is_not_found(
    api: APIClient, rich_user: User, make_template: Any, refused: Any
) -> None:
    template = make_template(is_active=False)
    refused(api.post(SCHEDULE, {"template_id": str(template.pk)}, format="json"), 404, "template_not_found")


def test_a_message_that_could_not_arrive_is_not_sold(
    api: APIClient, rich_user: User, make_template: Any, refused: Any
) -> None:
    sms = make_template(channel="sms")
    User.objects.filter(pk=rich_user.pk).update(phone="")
    rich_user.refresh_from_db()
    refused(api.post(SCHEDULE, {"template_id": str(sms.pk)}, format="json"), 400, "unreachable", "channel")
    opt_out(user=rich_user, channel="in_app")
    refused(api.post(SCHEDULE, {"template_id": str(make_template().pk)}, format="json"), 400, "opted_out")
    assert balance_of(rich_user) == 100


def test_the_interval_holds_on_both_sides_and_ignores_withdrawn_ones(
    api: APIClient, rich_user: User, make_template: Any, refused: Any
) -> None:
    body = {"template_id": str(make_template().pk)}
    first = api.post(SCHEDULE, {**body, "scheduled_at": at(days=5)}, format="json").json()
    refused(
        api.post(SCHEDULE, {**body, "scheduled_at": at(days=5, hours=23)}, format="json"), 400, "min_interval"
    )
    refused(
        api.post(SCHEDULE, {**body, "scheduled_at": at(days=4, hours=1)}, format="json"), 400, "min_interval"
    )
    assert api.post(SCHEDULE, {**body, "scheduled_at": at(days=2)}, format="json").status_code == 201
    api.post(f"/api/followup/cancel/{first['followup_id']}")
    assert api.post(SCHEDULE, {**body, "scheduled_at": at(days=5, hours=1)}, format="json").status_code == 201


def test_a_session_takes_so_many_follow_ups_and_withdrawn_ones_do_not_count(
    api: APIClient, rich_user: User, session: Session, make_template: Any, refused: Any
) -> None:
    body = {"template_id": str(make_template().pk), "session_id": session.pk}
    made = [
        api.post(SCHEDULE, {**body, "scheduled_at": at(days=2 * day)}, format="json") for day in (1, 2, 3)
    ]
    assert [answer.status_code for answer in made] == [201, 201, 201]
    late = {**body, "scheduled_at": at(days=10)}
    refused(api.post(SCHEDULE, late, format="json"), 400, "max_followups_per_session")
    api.post(f"/api/followup/cancel/{made[0].json()['followup_id']}")
    assert api.post(SCHEDULE, late, format="json").status_code == 201


def test_cancelling_refunds_once(api: APIClient, rich_user: User, make_template: Any, refused: Any) -> None:
    made = api.post(SCHEDULE, {"template_id": str(make_template().pk)}, format="json").json()
    answer = api.post(f"/api/followup/cancel/{made['followup_id']}")
    assert (answer.status_code, answer.json()["credits_refunded"]) == (200, 5)
    refused(api.post(f"/api/followup/cancel/{made['followup_id']}"), 409, "not_pending")
    assert balance_of(rich_user) == 100
    assert api.get(f"{MINE}?status=cancelled").json()["count"] == 1


@pytest.mark.parametrize("path", ["cancel", "read"])
def test_another_users_follow_up_is_not_found(
    path: str, api: APIClient, rich_user: User, make_template: Any, refused: Any
) -> None:
    made = api.post(SCHEDULE, {"template_id": str(make_template().pk)}, format="json").json()
    stranger = APIClient()
    stranger.force_authenticate(UserFactory())
    refused(stranger.post(f"/api/followup/{path}/{made['followup_id']}"), 404)
    refused(stranger.post(f"/api/followup/{path}/{uuid.uuid4()}"), 404)
    refused(stranger.post(f"/api/followup/{path}/not-a-uuid"), 404)
    assert stranger.get(MINE).json() == {"success": True, "data": [], "count": 0}


@pytest.mark.parametrize("channel", ["email", "sms", "whatsapp"])
def test_sending_now_is_due_at_once(
    channel: str,
    api: APIClient,
    rich_user: User,
    session: Session,
    make_template: Any,
    run_queue: Any,
    refused: Any,
) -> None:
    make_template(channel=channel, credits_cost=2)
    answer = api.post(f"/api/followup/{channel}/{session.pk}")
    body = answer.json()
    assert answer.status_code == 200, body
    assert (body["credits_charged"], body["status"]) == (2, "pending")
    assert run_queue() == 1
    assert FollowUpSchedule.objects.get().status == State.SENT
    refused(api.post(f"/api/followup/{channel}/{session.pk}"), 400, "min_interval")  # the second click
    assert balance_of(rich_user) == 98


def test_sending_now_needs_a_completed_session(
    api: APIClient, rich_user: User, make_template: Any, refused: Any
) -> None:
    make_template(channel="email")
    refused(
        api.post(f"/api/followup/email/{SessionFactory(user=rich_user).pk}"), 409, "session_not_completed"
    )


def test_reading_in_the_app_marks_it_read(
    api: APIClient, rich_user: User, make_template: Any, run_queue: Any
) -> None:
    made = api.post(
        SCHEDULE, {"template_id": str(make_template().pk), "scheduled_at": at(seconds=0)}, format="json"
    )
    run_queue()
    path = f"/api/followup/read/{made.json()['followup_id']}"
    assert api.post(path).json()["status"] == "read"
    first = FollowUpSchedule.objects.get().read_at
    assert api.post(path).json()["status"] == "read"
    assert FollowUpSchedule.objects.get().read_at == first


class TestIdempotencyKey:
    """The same key is the same request."""

    def test_a_repeat_gets_the_first_answer(
        self, api: APIClient, rich_user: User, make_template: Any
    ) -> None:
        body = {"template_id": str(make_template().pk), "scheduled_at": at(days=2)}
        answers = [
            api.post(SCHEDULE, body, format="json", headers={"Idempotency-Key": "k1"}) for _ in range(3)
        ]
        assert [answer.status_code for answer in answers] == [201] * 3
        assert len({answer.content for answer in answers}) == 1
        assert balance_of(rich_user) == 95

    def test_another_body_is_a_conflict(
        self, api: APIClient, rich_user: User, make_template: Any, refused: Any
    ) -> None:
        body = {"template_id": str(make_template().pk), "scheduled_at": at(days=2)}
        api.post(SCHEDULE, body, format="json", headers={"Idempotency-Key": "k1"})
        other = {**body, "scheduled_at": at(days=9)}
        refused(
            api.post(SCHEDULE, other, format="json", headers={"Idempotency-Key": "k1"}),
            409,
            "idempotency_key_reused",
        )
        assert CreditEntry.objects.filter(kind="charge").count() == 1

    def test_a_refused_request_leaves_the_key_unused(
        self, api: APIClient, rich_user: User, make_template: Any
    ) -> None:
        template = make_template(is_active=False)
        body = {"template_id": str(template.pk)}
        assert api.post(SCHEDULE, body, format="json", headers={"Idempotency-Key": "k"}).status_code == 404
        assert not IdempotentAnswer.objects.exists()
        template.is_active = True
        template.save()
        assert api.post(SCHEDULE, body, format="json", headers={"Idempotency-Key": "k"}).status_code == 201

    def test_a_key_too_long_is_refused(
        self, api: APIClient, rich_user: User, make_template: Any, refused: Any
    ) -> None:
        body = {"template_id": str(make_template().pk)}
        answer = api.post(SCHEDULE, body, format="json", headers={"Idempotency-Key": "k" * 201})
        refused(answer, 400, field="Idempotency-Key")


def test_devices_are_registered_moved_and_forgotten(api: APIClient, user: User, refused: Any) -> None:
    stranger = UserFactory()
    Device.objects.create(user=stranger, token="shared-phone", platform="ios")
    body = {"token": "shared-phone", "platform": "android"}
    assert api.post("/api/followup/devices", body, format="json").status_code == 201
    assert Device.objects.get().user == user
    assert api.delete("/api/followup/devices", body, format="json").json()["success"]
    refused(api.delete("/api/followup/devices", body, format="json"), 404)
    refused(
        api.post("/api/followup/devices", {"token": "t", "platform": "abacus"}, format="json"),
        400,
        field="platform",
    )


def test_a_list_takes_the_same_queries_for_two_and_for_twenty(
    api: APIClient, rich_user: User, make_template: Any, django_assert_max_num_queries: Any
) -> None:
    template = make_template(credits_cost=0)
    for day in range(1, 21):
        api.post(
            SCHEDULE,
            {"template_id": str(template.pk), "scheduled_at": at(days=day, minutes=day)},
            format="json",
        )
    with django_assert_max_num_queries(3):
        assert api.get(MINE).json()["count"] == 20
    page = api.get(f"{MINE}?limit=5&offset=18").json()
    assert (len(page["data"]), page["count"]) == (2, 20)


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "offset=-1", "status=lost"])
def test_a_bad_query_is_refused(query: str, api: APIClient, refused: Any) -> None:
    refused(api.get(f"{MINE}?{query}"), 400, field=query.partition("=")[0])


def test_nobody_is_let_in_without_signing_in(anonymous: APIClient, refused: Any) -> None:
    refused(anonymous.get(MINE), 401)
    refused(anonymous.post(SCHEDULE, {}, format="json"), 401)
