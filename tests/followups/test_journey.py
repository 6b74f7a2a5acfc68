"""The worked story: two sessions, four follow-ups, one cancelled, one failed, one read; every number agrees.

100 granted
 -7  first session: an email for 5 (delivered and read), an SMS for 2 (failed: +2)
 -7  second session: an email for 5 (delivered), an SMS for 2 (cancelled: +2)
 90  left, 10 earned
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now
from pytest_django import Settings
from rest_framework.test import APIClient

from credits.models import CreditEntry
from credits.selectors import balance_of, imbalances
from credits.services import grant
from followups.channels import get_channel
from followups.choices import Origin, ReceiptKind
from followups.exceptions import Rejected
from followups.models import FollowUpAnalytics, FollowUpSchedule, FollowUpTemplate
from followups.services.analytics import roll_up_changed_days
from followups.services.receipts import Receipt, record_receipt
from followups.services.settings import update_settings
from jyotiflow.accounts.models import MachineKey, User
from jyotiflow.accounts.services import create_machine_key
from sessions_app.models import Session
from tests.factories import SessionFactory, UserFactory
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db


@pytest.fixture
def lakshmi() -> User:
    """A Tamil reader with 100 credits."""
    user = UserFactory(name="லட்சுமி", preferred_language="ta", phone="+919840012345")
    grant(user=user, amount=100, reason="Welcome", key="welcome")
    return user


@pytest.fixture
def templates(make_template: Any) -> tuple[FollowUpTemplate, FollowUpTemplate]:
    """An email for 5 credits at once, an SMS for 2 a day later."""
    common = {"sequence_order": 1, "delay_hours": 0, "local_time": None}
    email = make_template(
        **common,
        name="Session Follow-up 1",
        tamil_name="அமர்வு பின்தொடர்தல் 1",
        channel="email",
        credits_cost=5,
        subject="How is your spiritual journey progressing? 🕉️",
        tamil_subject="உங்கள் ஆன்மீகப் பயணம் எப்படி முன்னேறுகிறது? 🕉️",
        content="Dear {{user_name}}, Thank you for your recent spiritual consultation...",
        tamil_content="அன்புள்ள {{user_name}}, உங்கள் சமீபத்திய ஆன்மீக ஆலோசனைக்கு நன்றி...",
    )
    sms = make_template(
        **{**common, "sequence_order": 2, "delay_hours": 24},
        name="Gentle reminder",
        channel="sms",
        credits_cost=2,
        content="{{user_name}}, a moment of stillness today?",
        tamil_content="{{user_name}}, இன்று ஒரு கணம் அமைதி?",
    )
    return email, sms


@pytest.fixture
def providers(settings: Settings) -> Iterator[tuple[ScriptedChannel, ScriptedChannel]]:
    """Scripted providers behind email and SMS."""
    scripted = {"BACKEND": "tests.followups.conftest.ScriptedChannel"}
    settings.FOLLOWUP_CHANNELS = {**settings.FOLLOWUP_CHANNELS, "email": scripted, "sms": scripted}
    email, sms = get_channel("email"), get_channel("sms")
    assert isinstance(email, ScriptedChannel)
    assert isinstance(sms, ScriptedChannel)
    yield email, sms
    get_channel.cache_clear()


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def complete(session: Session, key: str) -> Any:
    """The platform says that a session is completed."""
    return APIClient().post(
        "/api/followup/auto/session-complete",
        {"session_id": session.pk, "user_email": session.user.email, "service_type": session.service_type},
        format="json",
        headers={"X-API-Key": key},
    )


def find(session: Session, template: FollowUpTemplate) -> FollowUpSchedule:
    return FollowUpSchedule.objects.select_related("user").get(session=session, template=template)


def its_time_comes(*follow_ups: FollowUpSchedule) -> None:
    for follow_up in follow_ups:
        FollowUpSchedule.objects.filter(pk=follow_up.pk).update(due_at=now() - timedelta(seconds=1))


def report(follow_up: FollowUpSchedule, kind: ReceiptKind) -> None:
    attempt = follow_up.attempts.get()
    record_receipt(Receipt("scripted", f"{attempt.pk}:{kind}", kind, attempt_reference=str(attempt.pk)))


def test_the_worked_story(
    lakshmi: User,
    admin: User,
    templates: tuple[FollowUpTemplate, FollowUpTemplate],
    providers: tuple[ScriptedChannel, ScriptedChannel],
    run_queue: Any,
) -> None:
    update_settings(changes={"quiet_hours_start": "00:00", "quiet_hours_end": "00:00"})  # at any hour it runs
    email, sms = templates
    email_provider, sms_provider = providers
    _, key = create_machine_key(name="platform", scope=MachineKey.Scope.SESSIONS_COMPLETE)
    user_api, admin_api = client_of(lakshmi), client_of(admin)
    first, second = SessionFactory(user=lakshmi), SessionFactory(user=lakshmi)

    # Two sessions complete; each is announced twice and planned once.
    for session in (first, first, second, second):
        done = complete(session, key)
        assert done.status_code == 200
        assert done.json()["credits_charged"] == 7
        assert len(done.json()["followups"]) == 2
    assert balance_of(lakshmi) == 86
    booked = FollowUpSchedule.objects.order_by("scheduled_at")
    assert {follow_up.origin for follow_up in booked} == {Origin.AUTOMATIC}
    times = [follow_up.scheduled_at for follow_up in booked]
    day = timedelta(hours=24)
    assert all(later - earlier >= day for earlier, later in zip(times, times[1:], strict=False))

    # The second session's SMS is cancelled and refunded, once.
    cancel = f"/api/followup/cancel/{find(second, sms).pk}"
    assert user_api.post(cancel).json()["credits_refunded"] == 2
    assert user_api.post(cancel).status_code == 409
    assert balance_of(lakshmi) == 88

    # The first session's SMS is refused by the provider and refunded; the emails arrive.
    sms_provider.script = [Rejected("21614", "This number takes no SMS.")]
    its_time_comes(find(first, email), find(first, sms), find(second, email), find(second, sms))
    assert run_queue() == 3
    assert balance_of(lakshmi) == 90
    for session in (first, second):
        report(find(session, email), ReceiptKind.DELIVERED)
    assert user_api.post(f"/api/followup/read/{find(first, email).pk}").json()["status"] == "read"

    # She was written to in Tamil.
    assert [message.language for message in email_provider.taken] == ["ta", "ta"]
    assert email_provider.taken[0].subject == "உங்கள் ஆன்மீகப் பயணம் எப்படி முன்னேறுகிறது? 🕉️"
    assert "அன்புள்ள லட்சுமி, உங்கள் சமீபத்திய" in email_provider.taken[0].text

    # The ledger.
    entries = CreditEntry.objects.order_by("created_at", "id").values_list("kind", "amount")
    charges = [("charge", -5), ("charge", -2)] * 2
    assert list(entries) == [("grant", 100), *charges, ("refund", 2), ("refund", 2)]
    assert imbalances() == []

    # The daily figures.
    roll_up_changed_days()
    roll_up_changed_days()  # a repeat changes nothing
    figures: dict[tuple[Any, str], tuple[object, ...]] = {
        (row.template_id, row.channel): (
            row.total_sent,
            row.total_delivered,
            row.total_read,
            row.total_failed,
            row.credits_charged,
            row.credits_refunded,
            row.revenue_generated,
        )
        for row in FollowUpAnalytics.objects.all()
    }
    assert figures == {
        (email.pk, "email"): (2, 2, 1, 0, 10, 0, 10),
        (sms.pk, "sms"): (0, 0, 0, 1, 4, 4, 0),
    }

    # The admin's report.
    analytics = admin_api.get("/api/followup/admin/analytics").json()["data"]
    nothing: dict[str, float] = {"sent": 0, "delivered": 0, "read": 0, "failed": 0}
    nothing |= {"delivery_rate": 0.0, "read_rate": 0.0, "revenue": 0.0}
    by_email: dict[str, float] = {"sent": 2, "delivered": 2, "read": 1, "failed": 0}
    by_email |= {"delivery_rate": 100.0, "read_rate": 50.0, "revenue": 10.0}
    today = FollowUpAnalytics.objects.values_list("date", flat=True).distinct().get().isoformat()
    assert analytics == {
        "total_sent": 2,
        "total_delivered": 2,
        "total_read": 1,
        "total_failed": 1,
        "delivery_rate": 100.0,
        "read_rate": 50.0,
        "total_credits_charged": 14,
        "total_credits_refunded": 4,
        "delivered_after_refund": 0,
        "total_revenue": 10.0,
        "top_templates": [
            {
                "id": str(email.pk),
                "name": "Session Follow-up 1",
                "tamil_name": "அமர்வு பின்தொடர்தல் 1",
                "total_sent": 2,
                "delivery_rate": 100.0,
                "read_rate": 50.0,
                "revenue": 10.0,
            }
        ],
        "channel_performance": {
            "email": by_email,
            "sms": {**nothing, "failed": 1},
            "whatsapp": nothing,
            "push": nothing,
            "in_app": nothing,
        },
        "daily": [{"date": today, "sent": 2, "delivered": 2, "read": 1, "failed": 1, "revenue": 10.0}],
        "engagement": {
            "active_users": 1,
            "recipients": 1,
            "active_rate": 100.0,
            "recipients_last_30_days": 1,
        },
    }

    # Her own list.
    mine = user_api.get("/api/followup/my-followups").json()
    told = {
        (item["session_id"], item["channel"]): (
            item["status"],
            item["credits_charged"],
            item["credits_refunded"],
        )
        for item in mine["data"]
    }
    assert mine["count"] == 4
    assert told == {
        (first.pk, "email"): ("read", 5, 0),
        (first.pk, "sms"): ("failed", 2, 2),
        (second.pk, "email"): ("delivered", 5, 0),
        (second.pk, "sms"): ("cancelled", 2, 2),
    }
    for item in mine["data"]:
        assert "லட்சுமி" in item["message"]
        assert bool(item["sent_at"]) == (item["channel"] == "email")
        assert bool(item["failure_reason"]) == (item["status"] == "failed")

    # Her credits and sessions.
    assert user_api.get("/api/user/credits").json()["data"] == {"credits": 90}
    history = user_api.get("/api/user/credits/history").json()
    assert [entry["balance_after"] for entry in history["data"]] == [90, 88, 86, 88, 93, 95, 100]
    for session in user_api.get("/api/user/sessions").json()["data"]:
        assert session["status"] == "completed"
        assert session["follow_up_sent"] is True
        assert session["follow_up_count"] == 1  # what was cancelled or failed doesn't count
