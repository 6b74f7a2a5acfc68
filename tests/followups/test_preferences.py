"""Wishes: what is taken, what is refused, what it means for messages that are booked already."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from credits.selectors import balance_of
from followups.addresses import hash_address
from followups.choices import ConsentDoor, ConsentKind, State, SuppressionReason
from followups.exceptions import NotProcessed
from followups.models import ConsentEvent, FollowUpSchedule, SandboxMessage, Suppression
from followups.selectors.preferences import Preferences, preferences_of
from followups.selectors.recipients import reachability
from followups.services.consent import opt_out, suppress
from followups.services.preferences import update_preferences
from followups.services.privacy import erase_person
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import InvalidInput, NotSignedIn

pytestmark = pytest.mark.django_db


def wish(user: User, **changes: Any) -> Preferences:
    return update_preferences(user=user, changes=changes, wording="test 1")


def due(follow_up: FollowUpSchedule) -> FollowUpSchedule:
    follow_up.refresh_from_db()
    return follow_up


def test_somebody_without_wishes_has_the_default_ones(user: User) -> None:
    assert preferences_of(user) == Preferences(
        preferred_language="en",
        timezone="Asia/Kolkata",
        phone="",
        channels=dict.fromkeys(["email", "sms", "whatsapp", "push", "in_app"], True),
        quiet_hours=None,
        paused_until=None,
    )


def test_what_is_given_changes_and_the_rest_stays(user: User) -> None:
    hours = (time(22), time(7, 30))
    wish(user, quiet_hours=hours, phone="+91 98400-12345")
    found = wish(user, preferred_language="ta", timezone="Europe/London", channels={"sms": False})
    assert found == preferences_of(user)
    assert (found.phone, found.quiet_hours) == ("+919840012345", hours)
    assert (found.preferred_language, found.timezone) == ("ta", "Europe/London")
    assert [name for name, is_on in found.channels.items() if not is_on] == ["sms"]
    assert wish(user, quiet_hours=None).quiet_hours is None
    assert wish(user, phone="").phone == ""


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("+91 98400-12345", "+919840012345"),
        ("+44 (0)7400 123456", "+447400123456"),
        ("+919840012345@example.test", None),
        ("+919840012345 or +919840054321", None),
        ("tel:+919840012345", None),
    ],
)
def test_a_number_is_taken_as_people_write_it_and_nothing_else_is(
    user: User, text: str, kept: str | None
) -> None:
    if kept is None:
        with pytest.raises(InvalidInput):
            wish(user, phone=text)
    else:
        assert wish(user, phone=text).phone == kept


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "IST"}, "timezone"),
        ({"phone": "98400 12345"}, "phone"),
        ({"phone": "+91 12"}, "phone"),
        ({"phone": "+91" + "9" * 300}, "phone"),
        ({"preferred_language": "fr"}, "preferred_language"),
        ({"channels": {"pigeon": True}}, "channels"),
        ({"paused_until": datetime(9999, 12, 31, 23, tzinfo=UTC)}, "paused_until"),
        ({"is_staff": True}, "is_staff"),
        ({"email": "other@example.test"}, "email"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name_and_nothing_is_kept(
    user: User, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        wish(user, **{"quiet_hours": (time(1), time(2)), **changes})
    assert list(refused.value.errors) == [field]
    assert preferences_of(user).quiet_hours is None
    assert User.objects.get(pk=user.pk).is_staff is False


def test_every_switch_that_moves_leaves_one_event_with_its_wording(user: User) -> None:
    wish(user, channels={"sms": False, "email": True})
    wish(user, channels={"sms": False})
    wish(user, channels={"sms": True})
    events = ConsentEvent.objects.filter(user=user).order_by("pk")
    assert [(event.channel, event.kind, event.door, event.wording) for event in events] == [
        ("sms", ConsentKind.OPT_OUT, ConsentDoor.PREFERENCES, "test 1"),
        ("sms", ConsentKind.OPT_IN, ConsentDoor.PREFERENCES, "test 1"),
    ]


def test_a_channel_that_is_not_named_keeps_its_switch(user: User) -> None:
    wish(user, channels={"sms": False})
    wish(user, channels={"email": False})
    assert [name for name, is_on in preferences_of(user).channels.items() if not is_on] == ["email", "sms"]


def test_a_switch_of_a_channel_that_is_gone_survives(user: User, settings: Any) -> None:
    wish(user, channels={"sms": False})
    everything = settings.FOLLOWUP_CHANNELS
    settings.FOLLOWUP_CHANNELS = {name: each for name, each in everything.items() if name != "sms"}
    wish(user, channels={"email": False})
    settings.FOLLOWUP_CHANNELS = everything
    assert preferences_of(user).channels["sms"] is False


class TestAnotherNumber:
    """Docs: a wish is a person's, a stopped address an address's."""

    def test_the_old_number_s_stop_stays_with_the_number_and_with_the_person(self, rich_user: User) -> None:
        opt_out(user=rich_user, channel="sms", door=ConsentDoor.REPLY, wording="STOP")
        suppress(
            channel="sms",
            address_hash=hash_address(rich_user.phone),
            reason=SuppressionReason.STOP_WORD,
            source="reply STOP",
        )
        wish(rich_user, phone="+919840054321")
        rich_user.refresh_from_db()
        assert reachability(user=rich_user, channel="sms").has_opted_out  # a new number changes no wish
        assert Suppression.objects.get().address_hash == hash_address("+919840012345")

    def test_a_number_that_does_not_exist_is_left_behind(self, rich_user: User) -> None:
        suppress(
            channel="sms",
            address_hash=hash_address(rich_user.phone),
            reason=SuppressionReason.INVALID,
            source="twilio 30005",
        )
        assert reachability(user=rich_user, channel="sms").is_suppressed
        wish(rich_user, phone="+919840054321")
        rich_user.refresh_from_db()
        assert not reachability(user=rich_user, channel="sms").refusals

    def test_somebody_who_stopped_that_number_stays_unwritten_to(self, rich_user: User) -> None:
        suppress(
            channel="sms",
            address_hash=hash_address("+919840054321"),
            reason=SuppressionReason.STOP_WORD,
            source="reply STOP",
        )
        wish(rich_user, phone="+919840054321", channels={"sms": True})
        rich_user.refresh_from_db()
        assert reachability(user=rich_user, channel="sms").is_suppressed

    def test_what_is_booked_goes_to_the_new_number(
        self, rich_user: User, make_template: Any, run_queue: Any
    ) -> None:
        schedule_follow_up(user=rich_user, template_id=make_template(channel="sms").pk, scheduled_at=now())
        wish(rich_user, phone="+919840054321")
        run_queue()
        assert SandboxMessage.objects.get().to == "+919840054321"

    def test_without_a_number_it_is_refunded(
        self, rich_user: User, make_template: Any, run_queue: Any
    ) -> None:
        schedule_follow_up(user=rich_user, template_id=make_template(channel="sms").pk, scheduled_at=now())
        wish(rich_user, phone="")
        run_queue()
        assert FollowUpSchedule.objects.get().failure_code == "unreachable"
        assert balance_of(rich_user) == 100


class TestWhatIsBooked:
    def test_a_channel_switched_off_is_refunded_at_its_time(
        self, rich_user: User, make_template: Any, run_queue: Any
    ) -> None:
        booked = schedule_follow_up(
            user=rich_user, template_id=make_template(channel="email").pk, scheduled_at=now()
        )
        wish(rich_user, channels={"email": False})
        run_queue()
        assert (due(booked).status, booked.failure_code) == (State.FAILED, "opted_out")
        assert balance_of(rich_user) == 100

    def test_a_pause_holds_it_and_its_end_lets_it_go_at_once(
        self, rich_user: User, make_template: Any, run_queue: Any
    ) -> None:
        booked = schedule_follow_up(user=rich_user, template_id=make_template().pk, scheduled_at=now())
        until = now() + timedelta(days=2)
        assert wish(rich_user, paused_until=until).paused_until == until
        run_queue()
        assert (due(booked).status, booked.failure_code, booked.due_at) == (State.PENDING, "paused", until)
        wish(rich_user, paused_until=None)
        run_queue()
        assert due(booked).status == State.DELIVERED

    def test_own_quiet_hours_hold_it_and_their_end_lets_it_go(
        self, rich_user: User, make_template: Any, run_queue: Any
    ) -> None:
        booked = schedule_follow_up(user=rich_user, template_id=make_template().pk, scheduled_at=now())
        local = now().astimezone(rich_user.zone)
        hours = ((local - timedelta(hours=1)).time(), (local + timedelta(hours=3)).time())
        wish(rich_user, quiet_hours=hours)
        run_queue()
        assert (due(booked).status, booked.failure_code) == (State.PENDING, "quiet_hours")
        assert booked.due_at > now() + timedelta(hours=2)
        # In another zone it's another hour of the day.
        wish(rich_user, timezone="America/Los_Angeles")
        run_queue()
        assert due(booked).status == State.DELIVERED
        assert balance_of(rich_user) == 95

    def test_it_speaks_the_language_wanted_now(
        self, rich_user: User, make_template: Any, run_queue: Any
    ) -> None:
        booked = schedule_follow_up(
            user=rich_user, template_id=make_template(channel="email").pk, scheduled_at=now()
        )
        wish(rich_user, preferred_language="ta")
        assert (due(booked).language, booked.wanted_language) == ("ta", "ta")
        run_queue()
        assert SandboxMessage.objects.get().subject == f"நலமா, {rich_user.name}?"

    def test_what_has_no_text_in_it_stays_as_it_is_and_says_what_was_wanted(
        self, rich_user: User, make_template: Any
    ) -> None:
        english = make_template(tamil_content="", tamil_subject="")
        booked = schedule_follow_up(
            user=rich_user, template_id=english.pk, scheduled_at=now() + timedelta(days=1)
        )
        wish(rich_user, preferred_language="ta")
        assert (due(booked).language, booked.wanted_language) == ("en", "ta")

    def test_what_a_provider_was_given_before_reads_as_it_did(
        self, rich_user: User, make_template: Any, provider: Any, run_queue: Any
    ) -> None:
        provider.script = [NotProcessed("busy")]
        booked = schedule_follow_up(
            user=rich_user, template_id=make_template(channel="email").pk, scheduled_at=now()
        )
        run_queue()
        wish(rich_user, preferred_language="ta")
        assert due(booked).language == "en"


def test_nobody_changes_wishes_of_a_closed_account(user: User) -> None:
    erase_person(user=user)
    with pytest.raises(NotSignedIn):
        wish(user, phone="+919840012345")
    assert User.objects.get(pk=user.pk).phone == ""


@pytest.mark.django_db(transaction=True)
def test_a_stop_in_the_same_moment_is_not_undone(user: User, in_parallel: Any) -> None:
    for _ in range(5):
        in_parallel(
            lambda: opt_out(user=user, channel="sms", door=ConsentDoor.REPLY, wording="STOP"),
            lambda: wish(user, channels={"email": False}),
        )
        assert preferences_of(user).channels["sms"] is False
        wish(user, channels={"sms": True, "email": True})
