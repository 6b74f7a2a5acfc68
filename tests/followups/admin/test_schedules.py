"""Follow-ups in the admin site: what is shown of one, and the two things an operator may do."""

from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now

from followups.choices import State
from followups.exceptions import Rejected
from followups.models import FollowUpSchedule, SessionPlan
from followups.services.planning import plan_session
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from jyotiflow.accounts.models import User
from tests.factories import SessionFactory, UserFactory
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db

LIST = "/admin/followups/followupschedule/"


def names(client: Client, **query: str) -> list[Any]:
    return [row.pk for row in client.get(LIST, query).context["cl"].result_list]


@pytest.fixture
def failed(rich_user: User, make_template: Any, provider: ScriptedChannel, run_queue: Any) -> Any:
    """A follow-up for 5 credits that the provider refused, refunded."""
    provider.script = [Rejected("21211", "The number does not exist.")]
    follow_up = schedule_follow_up(
        user=rich_user, template_id=make_template(channel="email").pk, scheduled_at=now()
    )
    run_queue()
    follow_up.refresh_from_db()
    assert follow_up.status == State.FAILED
    return follow_up


def test_the_list_shows_reader_state_moments_and_credits(admin_site: Client, sent: FollowUpSchedule) -> None:
    text = admin_site.get(LIST).content.decode()
    assert sent.sent_at is not None
    moment = f"{sent.sent_at.day}\xa0{sent.sent_at:%b %H:%M}"
    for shown in (sent.user.email, "Check-in", "Email", "Read", "5 / 0", moment):
        assert shown in text, shown


def test_a_page_is_titled_by_template_and_reader(admin_site: Client, sent: FollowUpSchedule) -> None:
    FollowUpSchedule.objects.update(custom_variables={"mantra": "Om <shanti>"})
    text = admin_site.get(f"{LIST}{sent.pk}/change/").content.decode()
    assert f"<h2>Check-in, {sent.user_email}</h2>" in text
    assert "<td>mantra</td><td>Om &lt;shanti&gt;</td>" in text
    assert 'id="attempts-group"' in text


def test_a_page_without_attempts_shows_no_empty_table(
    admin_site: Client, follow_up: FollowUpSchedule
) -> None:
    text = admin_site.get(f"{LIST}{follow_up.pk}/change/").content.decode()
    assert 'id="attempts-group"' not in text


def test_a_failure_shows_its_reason_in_the_list(admin_site: Client, failed: FollowUpSchedule) -> None:
    text = admin_site.get(LIST).content.decode()
    assert "The number does not exist." in text
    assert "5 / 5" in text


def test_a_follow_up_is_found_by_its_reader_and_by_every_id(
    admin_site: Client, sent: FollowUpSchedule, make_template: Any
) -> None:
    other = UserFactory(email="someone@else.test")
    update_settings(changes={"enable_credit_charging": False})
    session = SessionFactory(user=other, completed=True, id="reading-7")
    theirs = schedule_follow_up(
        user=other, template_id=make_template(name="Theirs").pk, session_id=session.pk
    )
    reader = sent.user
    for word in (reader.email, reader.email[:6], reader.phone, str(sent.pk), sent.provider_message_id):
        assert names(admin_site, q=word) == [sent.pk], word
    for word in ("ELSE.test", "someone reading-7", "reading-7", str(theirs.pk)):
        assert names(admin_site, q=word) == [theirs.pk], word
    assert names(admin_site, q=f"{reader.email} reading-7") == []
    assert names(admin_site, q="' OR 1=1 --") == []


def test_the_list_is_filtered_by_state_channel_origin_and_language(
    admin_site: Client, sent: FollowUpSchedule
) -> None:
    right = {"status": "read", "channel": "email", "origin": "manual", "language": "en"}
    wrong = {"status": "failed", "channel": "sms", "origin": "automatic", "language": "ta"}
    for field, value in right.items():
        assert names(admin_site, **{f"{field}__exact": value}) == [sent.pk]
        assert names(admin_site, **{f"{field}__exact": wrong[field]}) == []


def test_the_page_tells_the_whole_story_of_one(admin_site: Client, sent: FollowUpSchedule) -> None:
    text = admin_site.get(f"{LIST}{sent.pk}/change/").content.decode()
    attempt = sent.attempts.get()
    for shown in (
        f"Dear {sent.user.name}, how are you?",
        f"followup:{sent.pk}:charge",
        "-5",
        f"/admin/followups/attempt/{attempt.pk}/change/",
        "Accepted",
        f"{sent.provider_message_id}:delivered",
        f"{sent.provider_message_id}:read",
    ):
        assert shown in text, shown


def test_a_waiting_one_shows_what_would_be_sent(admin_site: Client, follow_up: FollowUpSchedule) -> None:
    text = admin_site.get(f"{LIST}{follow_up.pk}/change/").content.decode()
    assert f"Dear {follow_up.user.name}, how are you?" in text


def test_texts_are_shown_and_never_run(admin_site: Client, follow_up: FollowUpSchedule) -> None:
    User.objects.filter(pk=follow_up.user_id).update(name="<script>alert(1)</script>")
    text = admin_site.get(f"{LIST}{follow_up.pk}/change/").content.decode()
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert(1)" not in text


def test_a_plan_s_page_shows_what_was_booked_and_what_was_skipped(
    admin_site: Client, rich_user: User, make_template: Any
) -> None:
    make_template(name="First", sequence_order=1, credits_cost=90)
    make_template(name="Second", sequence_order=2, credits_cost=90)
    plan = plan_session(session_id=SessionFactory(user=rich_user, completed=True).pk)
    booked = FollowUpSchedule.objects.get()
    text = admin_site.get(f"/admin/followups/sessionplan/{plan.pk}/change/").content.decode()
    assert f"/admin/followups/followupschedule/{booked.pk}/change/" in text
    assert f">{booked.get_channel_display()}, " in text
    assert f">{booked.template.name}</a>" in text
    assert "insufficient credits" in text
    found = admin_site.get("/admin/followups/sessionplan/", {"q": plan.session_id}).context["cl"].result_list
    assert list(found) == [SessionPlan.objects.get()]
