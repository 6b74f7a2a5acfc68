"""The machine endpoint, the providers' callbacks, unsubscribing and health."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now
from pytest_django import Settings
from rest_framework.test import APIClient
from twilio.request_validator import RequestValidator

from credits.selectors import balance_of
from followups.choices import State
from followups.models import Attempt, FollowUpSchedule, ProviderEvent
from followups.services.planning import plan_missed_sessions
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import MachineKey, User
from jyotiflow.health import PARTS, record_pulse
from sessions_app.models import Session
from tests.factories import SessionFactory
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db

COMPLETE = "/api/followup/auto/session-complete"
SECRET = "machine-secret"


@pytest.fixture
def machine() -> APIClient:
    MachineKey.objects.create(name="platform", key_hash=MachineKey.hash(SECRET), scope="sessions:complete")
    return APIClient(headers={"X-API-Key": SECRET})


@pytest.fixture
def sequence(make_template: Any) -> None:
    make_template(name="First", sequence_order=1, credits_cost=5)
    make_template(name="Second", sequence_order=2, credits_cost=2, delay_hours=72)
    make_template(name="For others", sequence_order=3, service_types=["palm_reading"])


def body_of(session: Session) -> dict[str, str]:
    return {"session_id": session.pk, "user_email": session.user.email, "service_type": session.service_type}


@pytest.mark.usefixtures("sequence")
class TestSessionComplete:
    """Another service says that a session is completed."""

    def test_it_plans_once_and_answers_the_same(self, machine: APIClient, rich_user: User) -> None:
        session = SessionFactory(user=rich_user)
        first = machine.post(COMPLETE, body_of(session), format="json")
        body = first.json()
        assert first.status_code == 200, body
        assert [each["template_name"] for each in body["followups"]] == ["First", "Second"]
        assert body["followup_id"] == body["followups"][0]["followup_id"]
        assert body["credits_charged"] == 7
        again = machine.post(COMPLETE, body_of(session), format="json")
        assert again.json() == body
        assert balance_of(rich_user) == 93
        times = [follow_up.scheduled_at for follow_up in FollowUpSchedule.objects.order_by("scheduled_at")]
        assert times[1] - times[0] >= timedelta(hours=24)
        assert {time.astimezone(rich_user.zone).hour for time in times} == {10}
        session.refresh_from_db()
        assert (session.status, session.follow_up_count) == ("completed", 2)

    def test_the_email_must_be_the_owners(self, machine: APIClient, rich_user: User, refused: Any) -> None:
        session = SessionFactory(user=rich_user)
        refused(machine.post(COMPLETE, {**body_of(session), "user_email": "x@y.test"}, format="json"), 403)
        refused(machine.post(COMPLETE, {**body_of(session), "session_id": "unknown"}, format="json"), 404)
        session.refresh_from_db()
        assert session.status == "open"

    def test_without_credits_nothing_is_booked_and_the_session_is_completed(
        self, machine: APIClient, user: User
    ) -> None:
        session = SessionFactory(user=user)
        body = machine.post(COMPLETE, body_of(session), format="json").json()
        assert (body["followup_id"], body["followups"], body["credits_charged"]) == (None, [], 0)
        session.refresh_from_db()
        assert session.status == "completed"
        assert {each["skipped"] for each in session.follow_up_plan.decisions} == {"insufficient_credits"}

    def test_a_failed_session_is_a_conflict(self, machine: APIClient, rich_user: User, refused: Any) -> None:
        session = SessionFactory(user=rich_user, status="failed")
        refused(machine.post(COMPLETE, body_of(session), format="json"), 409, "session_failed")

    def test_only_a_key_with_the_scope_may_call(
        self, anonymous: APIClient, api: APIClient, rich_user: User, refused: Any
    ) -> None:
        body = body_of(SessionFactory(user=rich_user))
        refused(anonymous.post(COMPLETE, body, format="json"), 401)
        refused(anonymous.post(COMPLETE, body, format="json", headers={"X-API-Key": "guess"}), 401)
        assert Session.objects.get().status == "open"

    def test_a_session_whose_planning_was_missed_is_planned_later(self, rich_user: User) -> None:
        session = SessionFactory(user=rich_user, completed=True)
        assert plan_missed_sessions() == 1
        assert plan_missed_sessions() == 0
        assert FollowUpSchedule.objects.filter(session=session).count() == 2


class TestTwilioReceipts:
    """Signed, or nothing is written."""

    @pytest.fixture
    def attempt(
        self,
        rich_user: User,
        make_template: Any,
        provider: ScriptedChannel,
        run_queue: Any,
        settings: Settings,
    ) -> Attempt:
        settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = "AC1", "token"
        settings.TWILIO_AUTH_TOKEN_PREVIOUS = "older"
        provider.provider = "twilio"
        schedule_follow_up(user=rich_user, template_id=make_template(channel="email").pk, scheduled_at=now())
        run_queue()
        return Attempt.objects.get()

    def post(self, attempt: Attempt, token: str = "token", **change: str) -> Any:
        path = f"/api/followup/receipts/twilio?a={attempt.pk}"
        form = {
            "MessageSid": "SM1",
            "MessageStatus": "delivered",
            "AccountSid": "AC1",
            "To": "+919840012345",
            **change,
        }
        signature = RequestValidator(token).compute_signature(f"http://testserver{path}", form)
        return Client().post(path, form, headers={"X-Twilio-Signature": signature})

    def test_delivered_then_read(self, attempt: Attempt) -> None:
        assert self.post(attempt).status_code == 200
        assert self.post(attempt, token="older", MessageStatus="read").status_code == 200
        assert self.post(attempt).status_code == 200  # a repeat
        assert FollowUpSchedule.objects.get().status == State.READ
        assert ProviderEvent.objects.count() == 2
        assert "+919840012345" not in str(ProviderEvent.objects.values_list("raw"))

    def test_undelivered_refunds_with_the_reason(self, attempt: Attempt, rich_user: User) -> None:
        self.post(attempt, MessageStatus="undelivered", ErrorCode="30005")
        failed = FollowUpSchedule.objects.get()
        assert (failed.status, failed.failure_code, failed.failure_reason) == (
            State.FAILED,
            "30005",
            "The phone number is unknown.",
        )
        assert balance_of(rich_user) == 100

    def test_forgeries_write_nothing(self, attempt: Attempt) -> None:
        assert self.post(attempt, token="guess").status_code == 403
        assert self.post(attempt, AccountSid="AC2").status_code == 403
        assert (
            Client().post(f"/api/followup/receipts/twilio?a={attempt.pk}", {"MessageSid": "x"}).status_code
            == 403
        )
        assert not ProviderEvent.objects.exists()


class TestEmailReceipts:
    """The configured service's webhook, by Anymail."""

    PATH = "/api/followup/receipts/email/postmark"

    def post(self, body: dict[str, Any], user: str = "hook:secret") -> Any:
        basic = base64.b64encode(user.encode()).decode()
        return Client().post(
            self.PATH, body, content_type="application/json", headers={"Authorization": f"Basic {basic}"}
        )

    def test_events_move_the_follow_up(
        self,
        rich_user: User,
        make_template: Any,
        provider: ScriptedChannel,
        run_queue: Any,
        settings: Settings,
    ) -> None:
        settings.EMAIL_ESP = provider.provider = "postmark"
        settings.ANYMAIL = {"WEBHOOK_SECRET": "hook:secret"}
        schedule_follow_up(user=rich_user, template_id=make_template(channel="email").pk, scheduled_at=now())
        run_queue()
        meta = {"Metadata": {"attempt_id": str(Attempt.objects.get().pk)}, "MessageID": "id-1"}
        delivery = {"RecordType": "Delivery", "DeliveredAt": "2026-11-05T16:33:54.9070259Z", **meta}
        assert self.post(delivery, user="hook:wrong").status_code == 403
        assert self.post(delivery).status_code == 200
        assert FollowUpSchedule.objects.get().status == State.DELIVERED
        opened = {"RecordType": "Open", "ReceivedAt": "2026-11-05T16:40:54Z", **meta}
        self.post({**opened, "UserAgent": "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"})
        assert FollowUpSchedule.objects.get().status == State.DELIVERED
        self.post({**opened, "ReceivedAt": "2026-11-05T17:00:00Z", "UserAgent": "Mozilla/5.0 (X11)"})
        assert FollowUpSchedule.objects.get().status == State.READ

    def test_another_service_is_not_listened_to(self) -> None:
        assert self.post({"RecordType": "Delivery"}).status_code == 403


class TestHealth:
    """Probes and metrics."""

    def test_ready_once_worker_and_beat_have_shown_themselves(self) -> None:
        for part in PARTS:
            answer = Client().get("/readyz")
            assert (answer.status_code, answer.json()["status"]) == (503, "unhealthy")
            assert answer.json()["checks"][part] != "ok"
            record_pulse(part)
        answer = Client().get("/api/followup/health/followup")
        assert (answer.status_code, answer.json()["status"]) == (200, "healthy")
        assert Client().get("/livez").status_code == 200

    def test_metrics_are_for_staff_and_scrapers(
        self, admin_site: Client, rich_user: User, make_template: Any, settings: Settings
    ) -> None:
        schedule_follow_up(user=rich_user, template_id=make_template().pk)
        assert Client().get("/metrics").status_code == 403
        settings.METRICS_TOKEN = "scrape"
        assert Client().get("/metrics", headers={"Authorization": "Bearer guess"}).status_code == 403
        page = Client().get("/metrics", headers={"Authorization": "Bearer scrape"})
        assert 'followups_open{channel="in_app",state="pending"} 1.0' in page.content.decode()
        assert admin_site.get("/metrics").status_code == 200
