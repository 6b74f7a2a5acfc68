"""A quote says what a booking would do, and does nothing."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from followups.exceptions import LimitReached, SessionNotFound, TemplateNotFound
from followups.models import FollowUpSchedule
from followups.selectors.quotes import quote
from followups.services.consent import opt_out
from followups.services.preferences import update_preferences
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import DomainError, InvalidInput
from tests.factories import SessionFactory

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 5, 4, 6, tzinfo=UTC)  # 11:30 in Chennai


@pytest.fixture(autouse=True)
def monday() -> Any:
    with time_machine.travel(MONDAY, tick=False):
        yield


def test_it_is_what_a_booking_then_does(rich_user: User, make_template: Any) -> None:
    rich_user.preferred_language = "ta"
    rich_user.save()
    order = {
        "user": rich_user,
        "template_id": make_template(
            content="Dear {{user_name}}: {{tip}}", tamil_content="{{user_name}}: {{tip}}", variables=["tip"]
        ).pk,
        "session_id": SessionFactory(user=rich_user, completed=True).pk,
        "custom_variables": {"tip": "தியானம்"},
    }
    offered = quote(**order)
    booked = schedule_follow_up(**order)
    assert (offered.price, offered.balance, offered.refusals) == (booked.credits_charged, 100, [])
    assert offered.departure.scheduled_at == booked.scheduled_at == datetime(2026, 5, 6, 4, 30, tzinfo=UTC)
    assert offered.departure.goes_at == booked.scheduled_at
    assert (offered.language, booked.language) == ("ta", "ta")
    assert offered.message == f"{rich_user.name}: தியானம்"


def test_it_writes_nothing(rich_user: User, make_template: Any) -> None:
    template = make_template()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        quote(user=rich_user, template_id=template.pk)
    assert not [query for query in queries if not query["sql"].lstrip().startswith("SELECT")]
    assert not [query for query in queries if "FOR UPDATE" in query["sql"]]
    assert not FollowUpSchedule.objects.exists()


def test_every_reason_is_told_in_the_order_of_a_booking(user: User, make_template: Any) -> None:
    update_settings(changes={"max_followups_per_session": 0})
    opt_out(user=user, channel="sms")
    order = {
        "user": user,
        "template_id": make_template(channel="sms").pk,
        "session_id": SessionFactory(user=user).pk,
        "scheduled_at": now() + timedelta(days=40),
    }
    offered = quote(**order)
    assert [refusal.code for refusal in offered.refusals] == [
        "max_followups_per_session",
        "max_interval_days",
        "opted_out",
        "insufficient_credits",
    ]
    with pytest.raises(DomainError) as refused:
        schedule_follow_up(**order)
    assert refused.value.code == offered.refusals[0].code


def test_a_past_time_is_a_reason(rich_user: User, make_template: Any) -> None:
    offered = quote(user=rich_user, template_id=make_template().pk, scheduled_at=now() - timedelta(days=1))
    assert [refusal.code for refusal in offered.refusals] == ["past_time"]


def test_where_no_time_is_free_there_is_none(rich_user: User, make_template: Any) -> None:
    update_settings(changes={"max_interval_days": 1})
    template = make_template(delay_hours=72)
    offered = quote(user=rich_user, template_id=template.pk)
    assert (offered.departure.scheduled_at, offered.departure.goes_at) == (None, None)
    assert [refusal.code for refusal in offered.refusals] == ["max_interval_days"]
    with pytest.raises(LimitReached):
        schedule_follow_up(user=rich_user, template_id=template.pk)


def test_what_cannot_be_ordered_at_all_is_refused(rich_user: User, make_template: Any) -> None:
    template = make_template()
    with pytest.raises(TemplateNotFound):
        quote(user=rich_user, template_id=make_template(is_active=False).pk)
    with pytest.raises(SessionNotFound):
        quote(user=rich_user, template_id=template.pk, session_id=SessionFactory().pk)
    for wrong in ({"channel": "sms"}, {"custom_variables": {"x": "y"}}):
        with pytest.raises(InvalidInput):
            quote(user=rich_user, template_id=template.pk, **wrong)


@pytest.mark.parametrize(
    ("wishes", "waits_for", "goes_at"),
    [
        ({}, "", "2026-05-05T22:30+05:30"),  # who asks for 22:30 wants 22:30
        ({"quiet_hours": (time(22), time(7))}, "quiet_hours", "2026-05-06T07:00+05:30"),
        ({"paused_until": datetime(2026, 5, 7, 6, tzinfo=UTC)}, "paused", "2026-05-07T11:30+05:30"),
        ({"paused_until": datetime(2026, 6, 7, tzinfo=UTC)}, "paused", None),  # expired by then
    ],
)
def test_it_tells_when_it_would_really_go(
    rich_user: User, make_template: Any, wishes: dict[str, Any], waits_for: str, goes_at: str | None
) -> None:
    if wishes:
        update_preferences(user=rich_user, changes=wishes, wording="test")
    wanted = datetime.fromisoformat("2026-05-05T22:30+05:30")
    found = quote(user=rich_user, template_id=make_template().pk, scheduled_at=wanted).departure
    assert (found.scheduled_at, found.waits_for) == (wanted, waits_for)
    assert found.goes_at == (datetime.fromisoformat(goes_at) if goes_at else None)
