"""Quotes, other times and preferences over HTTP: shapes, refusals, nobody else's."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now
from rest_framework.test import APIClient

from credits.selectors import balance_of
from followups.models import ConsentEvent, FollowUpSchedule
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import User
from tests.factories import SessionFactory, UserFactory

pytestmark = pytest.mark.django_db

QUOTE = "/api/followup/quote"
PREFERENCES = "/api/followup/preferences"


def at(**delta: int) -> str:
    return (now() + timedelta(**delta)).isoformat()


@pytest.fixture
def follow_up(rich_user: User, make_template: Any) -> FollowUpSchedule:
    return schedule_follow_up(
        user=rich_user, template_id=make_template().pk, scheduled_at=now() + timedelta(days=2)
    )


class TestQuote:
    def test_it_tells_price_words_and_time_at_home(
        self, api: APIClient, rich_user: User, make_template: Any
    ) -> None:
        session = SessionFactory(user=rich_user, completed=True)
        wanted = (now() + timedelta(days=2)).replace(microsecond=0)
        body = {
            "template_id": str(make_template().pk),
            "channel": "in_app",
            "session_id": session.pk,
            "scheduled_at": wanted.isoformat(),
            "user_email": rich_user.email.upper(),
        }
        answer = api.post(QUOTE, body, format="json")
        assert answer.status_code == 200, answer.json()
        as_json = wanted.isoformat().replace("+00:00", "Z")
        assert answer.json() == {
            "success": True,
            "data": {
                "template_id": body["template_id"],
                "channel": "in_app",
                "credits_cost": 5,
                "credits_available": 100,
                "language": "en",
                "subject": f"How are you, {rich_user.name}?",
                "message": f"Dear {rich_user.name}, how are you?",
                "scheduled_at": as_json,
                "goes_at": as_json,
                "waits_for": "",
                "timezone": "Asia/Kolkata",
                "local_time": wanted.astimezone(rich_user.zone).isoformat(),
                "accepted": True,
                "refusals": [],
            },
        }
        assert (FollowUpSchedule.objects.count(), balance_of(rich_user)) == (0, 100)

    def test_it_tells_every_refusal_with_the_status_of_a_booking(
        self, api: APIClient, user: User, make_template: Any
    ) -> None:
        body = {"template_id": str(make_template().pk), "scheduled_at": at(days=400)}
        data = api.post(QUOTE, body, format="json").json()["data"]
        assert data["accepted"] is False
        assert [(refusal["code"], refusal["status"]) for refusal in data["refusals"]] == [
            ("max_interval_days", 400),
            ("insufficient_credits", 402),
        ]
        assert all(refusal["message"].endswith(".") for refusal in data["refusals"])

    @pytest.mark.parametrize(
        ("change", "status", "field"),
        [
            ({"template_id": str(uuid.uuid4())}, 404, ""),
            ({"session_id": "nobody's"}, 404, ""),
            ({"user_email": "someone@else.test"}, 403, ""),
            ({"credits_to_charge": 0}, 400, "credits_to_charge"),
            ({"scheduled_at": "2030-01-01T10:00:00"}, 400, "scheduled_at"),
            ({"custom_variables": {"x": "y"}}, 400, "custom_variables"),
        ],
    )
    def test_what_no_booking_could_mean_is_refused_like_one(
        self,
        api: APIClient,
        rich_user: User,
        make_template: Any,
        refused: Any,
        change: dict[str, Any],
        status: int,
        field: str,
    ) -> None:
        body = {"template_id": str(make_template().pk), **change}
        refused(api.post(QUOTE, body, format="json"), status, field=field)


class TestReschedule:
    def test_it_moves_for_nothing(self, api: APIClient, rich_user: User, follow_up: FollowUpSchedule) -> None:
        when = at(days=4)
        answer = api.post(f"/api/followup/reschedule/{follow_up.pk}", {"scheduled_at": when}, format="json")
        assert answer.status_code == 200, answer.json()
        assert answer.json() == {
            "success": True,
            "message": "Your follow-up is moved.",
            "scheduled_at": when.replace("+00:00", "Z"),
        }
        (item,) = api.get("/api/followup/my-followups").json()["data"]
        assert (item["scheduled_at"], item["credits_charged"]) == (when.replace("+00:00", "Z"), 5)
        assert balance_of(rich_user) == 95

    @pytest.mark.parametrize(
        ("body", "status", "code", "field"),
        [
            ({}, 400, "", "scheduled_at"),
            ({"scheduled_at": "2030-01-01T10:00:00"}, 400, "", "scheduled_at"),
            ({"scheduled_at": None}, 400, "", "scheduled_at"),
            ({"scheduled_at": at(days=-1)}, 400, "past_time", "scheduled_at"),
            ({"scheduled_at": at(days=40)}, 400, "max_interval_days", "scheduled_at"),
            ({"scheduled_at": at(days=3), "credits_charged": 0}, 400, "", "credits_charged"),
            ({"scheduled_at": at(days=3), "status": "sent"}, 400, "", "status"),
        ],
    )
    def test_bad_times_and_other_fields_are_refused(
        self,
        api: APIClient,
        follow_up: FollowUpSchedule,
        refused: Any,
        body: dict[str, Any],
        status: int,
        code: str,
        field: str,
    ) -> None:
        refused(
            api.post(f"/api/followup/reschedule/{follow_up.pk}", body, format="json"), status, code, field
        )

    def test_nobody_else_s(self, follow_up: FollowUpSchedule, refused: Any) -> None:
        stranger = APIClient()
        stranger.force_authenticate(UserFactory(admin=True))
        path = f"/api/followup/reschedule/{follow_up.pk}"
        refused(stranger.post(path, {"scheduled_at": at(days=3)}, format="json"), 404, "follow_up_not_found")

    def test_once_it_is_cancelled_it_is_a_conflict(
        self, api: APIClient, follow_up: FollowUpSchedule, refused: Any
    ) -> None:
        api.post(f"/api/followup/cancel/{follow_up.pk}")
        path = f"/api/followup/reschedule/{follow_up.pk}"
        refused(api.post(path, {"scheduled_at": at(days=3)}, format="json"), 409, "not_pending")

    def test_a_repeat_with_its_key_gets_the_first_answer(
        self, api: APIClient, follow_up: FollowUpSchedule
    ) -> None:
        path, body = f"/api/followup/reschedule/{follow_up.pk}", {"scheduled_at": at(days=3)}
        first = api.post(path, body, format="json", headers={"Idempotency-Key": "k"})
        api.post(path, {"scheduled_at": at(days=6)}, format="json")
        assert api.post(path, body, format="json", headers={"Idempotency-Key": "k"}).json() == first.json()
        follow_up.refresh_from_db()
        assert follow_up.scheduled_at > now() + timedelta(days=5)


class TestPreferences:
    def test_what_is_put_is_what_is_got_then(self, api: APIClient, user: User) -> None:
        document = {
            "preferred_language": "ta",
            "timezone": "America/New_York",
            "phone": "+919840012345",
            "channels": {"email": True, "sms": False, "whatsapp": True, "push": True, "in_app": True},
            "quiet_hours": {"start": "22:00", "end": "07:30"},
            "paused_until": "2026-01-01T00:00:00Z",
        }
        saved = api.put(PREFERENCES, document, format="json")
        assert saved.status_code == 200, saved.json()
        assert saved.json()["data"] == document
        assert api.get(PREFERENCES).json() == {**document, "success": True, "data": document}
        again = api.put(PREFERENCES, api.get(PREFERENCES).json()["data"], format="json")
        assert again.json()["data"] == document
        assert ConsentEvent.objects.get(user=user).wording == "preferences by API 1"

    def test_what_is_left_out_stays(self, api: APIClient) -> None:
        before = api.get(PREFERENCES).json()["data"]
        after = api.put(PREFERENCES, {"channels": {"push": False}}, format="json").json()["data"]
        assert after == {**before, "channels": {**before["channels"], "push": False}}
        assert api.put(PREFERENCES, {}, format="json").json()["data"] == after

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"timezone": "Chennai"}, "timezone"),
            ({"timezone": None}, "timezone"),
            ({"phone": "12"}, "phone"),
            ({"phone": "+91 98400 12345\r\nBcc: a@b"}, "phone"),
            ({"preferred_language": "hi"}, "preferred_language"),
            ({"channels": {"pigeon": True}}, "channels"),
            ({"channels": {"sms": "perhaps"}}, "channels"),
            ({"channels": ["sms"]}, "channels"),
            ({"channels": None}, "channels"),
            ({"quiet_hours": {"start": "22:00"}}, "quiet_hours"),
            ({"quiet_hours": {"start": "25:00", "end": "07:00"}}, "quiet_hours"),
            ({"quiet_hours": "night"}, "quiet_hours"),
            ({"paused_until": "2030-01-01T10:00:00"}, "paused_until"),
            ({"paused_until": "9999-12-31T23:59:59Z"}, "paused_until"),
            ({"email": "other@example.test"}, "email"),
            ({"role": "admin"}, "role"),
            ({"is_staff": True}, "is_staff"),
            ({"user": 1}, "user"),
        ],
    )
    def test_nonsense_and_other_fields_are_refused_and_change_nothing(
        self, api: APIClient, user: User, refused: Any, change: dict[str, Any], field: str
    ) -> None:
        before = api.get(PREFERENCES).json()
        answer = api.put(PREFERENCES, {"preferred_language": "ta", **change}, format="json")
        assert answer.status_code == 400, answer.json()
        assert any(name.split(".")[0] == field for name in answer.json()["errors"]), answer.json()
        assert api.get(PREFERENCES).json() == before

    def test_each_sees_their_own(self, api: APIClient) -> None:
        api.put(PREFERENCES, {"phone": "+919840012345"}, format="json")
        other = APIClient()
        other.force_authenticate(UserFactory())
        assert other.get(PREFERENCES).json()["phone"] == ""
