"""The page of a follow-up tells its whole life, in words, from what is stored."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation
from django.utils.formats import date_format
from django.utils.timezone import now

from followups.admin.timeline import lines_of, standing_of
from followups.admin.timeline_words import SENTENCES
from followups.choices import AttemptState, Origin, ReceiptKind, State
from followups.exceptions import NotProcessed, OutcomeUnknown, Rejected
from followups.models import Attempt, FollowUpSchedule, ProviderEvent
from followups.selectors.timeline import Kind, timeline_of
from followups.services.consent import opt_out
from followups.services.planning import plan_session
from followups.services.rescheduling import reschedule_follow_up
from followups.services.retrying import retry_follow_up
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.switching import switch_channel
from followups.services.withdrawing import cancel_follow_up
from jyotiflow.accounts.models import User
from tests.factories import SessionFactory, UserFactory
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db

LIST = "/admin/followups/followupschedule/"


def told(follow_up: FollowUpSchedule) -> list[str]:
    """The sentences of its timeline."""
    follow_up.refresh_from_db()
    return [line.text for line in lines_of(follow_up)]


def book(user: User, make_template: Any, **fields: Any) -> FollowUpSchedule:
    return schedule_follow_up(
        user=user, template_id=make_template(channel="email", **fields).pk, scheduled_at=now()
    )


def test_a_read_one_tells_everything_from_booking_to_reading(sent: FollowUpSchedule) -> None:
    sentences = told(sent)
    assert sentences[0].startswith("Scheduled by its reader, for ")
    assert sentences[1:] == [
        "Charged 5 credits",
        "Handed to the sandbox, attempt 1",
        "The sandbox took it",
        "Delivered, reports the sandbox",
        "Read, reports the sandbox",
    ]
    assert standing_of(sent) == "It was delivered and read."
    moments = [step.at for step in timeline_of(sent)]
    assert moments == sorted(moments)


def test_a_planned_one_names_the_session_that_planned_it(rich_user: User, make_template: Any) -> None:
    make_template(channel="email", sequence_order=1, delay_hours=1)
    session = SessionFactory(user=rich_user, completed=True)
    plan_session(session_id=session.pk)
    follow_up = FollowUpSchedule.objects.get()
    assert told(follow_up)[0] == "The session was completed"
    assert told(follow_up)[1].startswith("Planned by the session's completion, for ")
    assert told(follow_up)[-2:] == [
        "Goes out",
        "Not sent any more after this; cancelled and refunded instead",
    ]


def test_a_refused_one_says_why_and_what_came_back(
    rich_user: User, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    provider.script = [Rejected("21211", "The number does not exist.")]
    follow_up = book(rich_user, make_template)
    run_queue()
    assert set(told(follow_up)[2:]) == {
        "Handed to Scripted, attempt 1",
        "Scripted refused it (21211)",
        "Failed: The number does not exist",
        "Refunded 5 credits: The number does not exist",
    }
    assert standing_of(follow_up) == "It did not arrive: The number does not exist."
    again = retry_follow_up(follow_up_id=follow_up.pk)
    assert told(follow_up)[-1] == "Booked anew, as another follow-up"
    assert str(again.pk) in lines_of(follow_up)[-1].link
    assert told(again)[0] == "Booked anew by staff"


def test_a_cancelled_one_tells_whether_its_credits_came_back(rich_user: User, make_template: Any) -> None:
    given_back = schedule_follow_up(
        user=rich_user, template_id=make_template().pk, scheduled_at=now() + timedelta(days=1)
    )
    cancel_follow_up(follow_up_id=given_back.pk)
    assert "Refunded 5 credits: it was cancelled" in told(given_back)
    update_settings(changes={"refund_on_cancel": False, "min_interval_hours": 0})
    kept = schedule_follow_up(
        user=rich_user, template_id=make_template(name="Kept").pk, scheduled_at=now() + timedelta(days=1)
    )
    cancel_follow_up(follow_up_id=kept.pk)
    assert told(kept)[-2:] == ["Cancelled: it was cancelled", "The 5 credits were kept, as the settings said"]
    assert standing_of(kept) == "It was not sent: it was cancelled."


def test_quiet_hours_that_hold_one_back_are_named(
    rich_user: User, make_template: Any, run_queue: Any
) -> None:
    follow_up = book(rich_user, make_template)
    update_settings(changes={"quiet_hours_start": "00:00", "quiet_hours_end": "23:59"})
    FollowUpSchedule.objects.update(origin=Origin.AUTOMATIC)
    run_queue()
    follow_up.refresh_from_db()
    assert follow_up.failure_code == "quiet_hours"
    assert standing_of(follow_up) == "It waits: quiet hours."
    assert "Waits until then: quiet hours" in told(follow_up)
    update_settings(changes={"quiet_hours_start": "00:00", "quiet_hours_end": "00:00"})
    FollowUpSchedule.objects.update(due_at=now() - timedelta(seconds=1))
    run_queue()
    assert "It was due, and waited: quiet hours" in told(follow_up)
    assert told(follow_up)[-1] == "The sandbox took it"


def test_a_doubt_and_a_try_that_was_not_taken_are_told_as_such(
    rich_user: User, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    provider.script = [NotProcessed("429", counts=False), OutcomeUnknown("timeout")]
    follow_up = book(rich_user, make_template)
    run_queue()
    assert "Scripted did not take it (429)" in told(follow_up)
    assert standing_of(follow_up) == "It waits: 429."
    FollowUpSchedule.objects.update(due_at=now() - timedelta(seconds=1))
    run_queue()
    assert told(follow_up)[-1] == "Nobody knows whether Scripted took it; asked 0 times so far"
    Attempt.objects.filter(number=2).update(state=AttemptState.ACCEPTED, finished_at=now(), code="found")
    FollowUpSchedule.objects.update(status=State.SENT, sent_at=now())
    assert told(follow_up)[-1] == "Found on the list of Scripted: it had gone out"


def test_what_stands_against_one_that_waits_is_told_ahead(follow_up: FollowUpSchedule, admin: User) -> None:
    opt_out(user=follow_up.user, channel="email")
    switch_channel(channel="email", is_paused=True, actor=admin, reason="test")
    ahead = [line.text for line in lines_of(follow_up) if line.is_ahead]
    assert ahead == [
        "Goes out",
        "Staff have paused its channel: it waits until the channel goes on",
        "As things stand it would fail: the reader opted out of this channel",
        "Not sent any more after this; cancelled and refunded instead",
    ]


def test_another_language_than_the_reader_s_is_told(rich_user: User, make_template: Any) -> None:
    User.objects.update(preferred_language="ta")
    rich_user.refresh_from_db()
    follow_up = book(rich_user, make_template, tamil_content="", tamil_subject="")
    assert any(line.startswith("To be sent in English, not in ") for line in told(follow_up))


def test_what_staff_did_names_them(follow_up: FollowUpSchedule, admin: User) -> None:
    before, wanted = follow_up.scheduled_at, follow_up.scheduled_at + timedelta(days=1)
    reschedule_follow_up(follow_up_id=follow_up.pk, scheduled_at=wanted, actor=admin)
    cancel_follow_up(follow_up_id=follow_up.pk, actor=admin)
    zone = follow_up.user.zone
    was, then = (f"{date_format(each.astimezone(zone), 'j M Y, H:i')}" for each in (before, wanted))
    sentences = told(follow_up)
    assert f"Moved from {was} to {then} by {admin.email}" in sentences
    assert f"Cancelled by {admin.email}" in sentences


def test_a_free_one_says_so(rich_user: User, make_template: Any) -> None:
    assert "Free of charge" in told(book(rich_user, make_template, credits_cost=0))


@pytest.mark.parametrize("kind", ReceiptKind.values)
def test_every_kind_of_report_has_its_words(sent: FollowUpSchedule, kind: str) -> None:
    ProviderEvent.objects.update(kind=kind, code="")
    assert not [line for line in told(sent) if re.search(r"%\(|[a-z]_[a-z]", line)]


def test_every_kind_of_step_has_its_words() -> None:
    from_rows = {
        Kind.BOOKED,
        Kind.BY_STAFF,
        Kind.CHARGED,
        Kind.REFUNDED,
        Kind.KEPT,
        Kind.ENDED,
        Kind.REPORTED,
    }
    assert from_rows | {Kind(kind) for kind in SENTENCES} == set(Kind)


def test_times_are_the_reader_s_with_utc_at_hand(sent: FollowUpSchedule, admin_site: Client) -> None:
    User.objects.filter(pk=sent.user_id).update(timezone="Asia/Kolkata")
    text = admin_site.get(f"{LIST}{sent.pk}/change/").content.decode()
    assert sent.sent_at is not None
    local = sent.sent_at + timedelta(hours=5, minutes=30)
    assert f'title="{sent.sent_at:%Y-%m-%d %H:%M:%S} UTC"' in text
    assert f"{local:%H:%M:%S}" in text
    assert "Asia/Kolkata" in text


def test_a_long_history_asks_no_more_than_a_short_one(sent: FollowUpSchedule, admin_site: Client) -> None:
    path = f"{LIST}{sent.pk}/change/"

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_site.get(path).status_code == 200
        return len(captured)

    queries()  # content types are looked up once a process
    few = queries()
    assert few <= 30
    for number in range(2, 12):
        attempt = Attempt.objects.create(
            follow_up=sent,
            number=number,
            state=AttemptState.NOT_PROCESSED,
            provider="twilio",
            finished_at=now(),
        )
        for report in range(3):
            ProviderEvent.objects.create(
                provider="twilio", event_key=f"{number}:{report}", attempt=attempt, kind=ReceiptKind.OTHER
            )
    assert queries() == few


def test_it_is_told_in_tamil_without_a_hole(sent: FollowUpSchedule) -> None:
    with translation.override("ta"):
        assert all(line.text and "%(" not in line.text for line in lines_of(sent))


def test_only_the_list_s_readers_see_it(client: Client, sent: FollowUpSchedule) -> None:
    client.force_login(UserFactory(staff=True))
    assert client.get(f"{LIST}{sent.pk}/change/").status_code == 403
