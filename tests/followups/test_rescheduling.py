"""Moving what waits: own and pending only, within a booking's limits, for no credits, safe in any race."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
import time_machine
from django.utils.timezone import now
from pytest_django import Settings

from credits.models import CreditEntry
from credits.selectors import balance_of
from followups.addresses import hash_address
from followups.choices import AttemptState, Origin, State
from followups.exceptions import FollowUpNotFound, LimitReached, OutcomeUnknown, Unreachable
from followups.models import FollowUpSchedule, InboundMessage
from followups.services.completing import complete_and_plan
from followups.services.consent import opt_out
from followups.services.dispatch import claim_due
from followups.services.rescheduling import reschedule_follow_up
from followups.services.scheduling import schedule_follow_up, send_now
from followups.services.settings import update_settings
from followups.services.withdrawing import cancel_follow_up
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict, InvalidInput
from tests.factories import SessionFactory, UserFactory
from tests.followups.consent.conftest import real_channels

__all__ = ["real_channels"]
pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def follow_up(rich_user: User, make_template: Any) -> FollowUpSchedule:
    """An in-app one, two days ahead."""
    return schedule_follow_up(user=rich_user, template_id=make_template().pk, scheduled_at=now() + 2 * DAY)


def move(follow_up: FollowUpSchedule, **ahead: float) -> FollowUpSchedule:
    return reschedule_follow_up(
        follow_up_id=follow_up.pk, owner=follow_up.user, scheduled_at=now() + timedelta(**ahead)
    )


def test_it_goes_at_the_new_time_and_costs_nothing(
    follow_up: FollowUpSchedule, rich_user: User, run_queue: Any
) -> None:
    entries = CreditEntry.objects.count()
    moved = move(follow_up, days=5)
    assert moved.scheduled_at == moved.due_at
    assert moved.expires_at - moved.scheduled_at == 3 * DAY
    assert (balance_of(rich_user), CreditEntry.objects.count()) == (95, entries)
    with time_machine.travel(follow_up.scheduled_at + timedelta(minutes=1)):
        assert run_queue() == 0
    moved.refresh_from_db()
    assert moved.status == State.PENDING
    assert moved.credits_charged == 5


@pytest.mark.parametrize(
    ("ahead", "error", "code"),
    [
        ({"hours": -1}, InvalidInput, "past_time"),
        ({"days": 31}, LimitReached, "max_interval_days"),
        ({"days": 8, "hours": 23}, LimitReached, "min_interval"),
    ],
)
def test_the_limits_of_a_booking_hold(
    follow_up: FollowUpSchedule,
    make_template: Any,
    ahead: dict[str, float],
    error: type[Exception],
    code: str,
) -> None:
    schedule_follow_up(user=follow_up.user, template_id=make_template().pk, scheduled_at=now() + 9 * DAY)
    with pytest.raises(error) as refused:
        move(follow_up, **ahead)
    assert refused.value.code == code  # type: ignore[attr-defined]
    before = follow_up.scheduled_at
    follow_up.refresh_from_db()
    assert follow_up.scheduled_at == before


def test_its_own_old_time_is_not_in_its_way(follow_up: FollowUpSchedule) -> None:
    assert move(follow_up, days=2, hours=1).scheduled_at > now() + 2 * DAY


def test_a_full_session_does_not_keep_its_follow_ups_where_they_are(
    rich_user: User, make_template: Any
) -> None:
    update_settings(changes={"max_followups_per_session": 1})
    session = SessionFactory(user=rich_user, completed=True)
    booked = schedule_follow_up(
        user=rich_user, template_id=make_template().pk, session_id=session.pk, scheduled_at=now() + DAY
    )
    move(booked, days=3)
    session.refresh_from_db()
    assert session.follow_up_count == 1


def test_nobody_else_s(follow_up: FollowUpSchedule) -> None:
    with pytest.raises(FollowUpNotFound):
        reschedule_follow_up(follow_up_id=follow_up.pk, owner=UserFactory(), scheduled_at=now() + 3 * DAY)


@pytest.mark.parametrize("status", ["sending", "sent", "cancelled"])
def test_only_what_waits(follow_up: FollowUpSchedule, status: str, run_queue: Any) -> None:
    FollowUpSchedule.objects.filter(pk=follow_up.pk).update(due_at=now())
    if status == "cancelled":
        FollowUpSchedule.objects.filter(pk=follow_up.pk).update(status=status, cancelled_at=now())
    elif status == "sending":
        claim_due(limit=1)
    else:
        run_queue()
    with pytest.raises(Conflict) as refused:
        move(follow_up, days=3)
    assert refused.value.code == "not_pending"


def test_what_a_provider_may_have_taken_stays(
    rich_user: User, make_template: Any, provider: Any, run_queue: Any
) -> None:
    """It waits for its repetition under a key that would lapse meanwhile."""
    provider.repeat_is_harmless = True
    provider.script = [OutcomeUnknown("timeout")]
    booked = schedule_follow_up(
        user=rich_user, template_id=make_template(channel="email").pk, scheduled_at=now() + DAY
    )
    FollowUpSchedule.objects.filter(pk=booked.pk).update(due_at=now(), scheduled_at=now())
    run_queue()
    booked.refresh_from_db()
    assert (booked.status, booked.attempts.get().state) == (State.PENDING, AttemptState.ABANDONED)
    with pytest.raises(Conflict) as refused:
        move(booked, days=3)
    assert refused.value.code == "handed_over"


def test_not_to_a_time_at_which_it_would_only_fail(follow_up: FollowUpSchedule, rich_user: User) -> None:
    opt_out(user=rich_user, channel="in_app")
    with pytest.raises(Unreachable) as refused:
        move(follow_up, days=3)
    assert refused.value.code == "opted_out"


def test_a_planned_one_is_then_its_reader_s_and_the_machine_still_hears_the_same(
    rich_user: User, make_template: Any
) -> None:
    make_template(sequence_order=1)
    session = SessionFactory(user=rich_user)
    said = {"session_id": session.pk, "user_email": rich_user.email}
    (planned,) = complete_and_plan(**said).follow_ups
    late = datetime.combine(now().date() + 5 * DAY, time(17), UTC)  # 22:30 in Chennai
    moved = reschedule_follow_up(follow_up_id=planned.pk, owner=rich_user, scheduled_at=late)
    assert moved.origin == Origin.MANUAL
    assert [each.pk for each in complete_and_plan(**said).follow_ups] == [planned.pk]
    assert balance_of(rich_user) == 95


def test_what_was_wanted_at_once_heeds_quiet_hours_once_it_is_moved(
    rich_user: User, make_template: Any
) -> None:
    make_template(channel="email")
    instant = send_now(
        user=rich_user, session_id=SessionFactory(user=rich_user, completed=True).pk, channel="email"
    )
    assert move(instant, days=2).origin == Origin.MANUAL


def test_staff_are_not_bound_by_the_interval(follow_up: FollowUpSchedule, make_template: Any) -> None:
    schedule_follow_up(user=follow_up.user, template_id=make_template().pk, scheduled_at=now() + 9 * DAY)
    moved = reschedule_follow_up(follow_up_id=follow_up.pk, scheduled_at=now() + 9 * DAY)
    assert moved.origin == Origin.MANUAL == follow_up.origin
    with pytest.raises(InvalidInput):
        reschedule_follow_up(follow_up_id=follow_up.pk, scheduled_at=now() - DAY)


def test_a_time_in_the_law_s_closed_hours_becomes_their_end(
    rich_user: User, make_template: Any, real_channels: Settings
) -> None:
    real_channels.DLT_ENTITY_ID = "1101234567890123456"
    offer = make_template(
        channel="sms", template_type="offer", dlt_template_id="1", tamil_dlt_template_id="2"
    )
    with time_machine.travel(datetime(2026, 3, 2, 6, tzinfo=UTC), tick=False):  # 11:30 in India
        booked = schedule_follow_up(user=rich_user, template_id=offer.pk, scheduled_at=now() + DAY)
        moved = reschedule_follow_up(
            follow_up_id=booked.pk, owner=rich_user, scheduled_at=datetime(2026, 3, 4, 22, tzinfo=UTC)
        )
        assert moved.scheduled_at == datetime(2026, 3, 5, 4, 30, tzinfo=UTC)  # 10:00 in India


def test_not_out_of_whatsapp_s_reply_window(
    rich_user: User, make_template: Any, real_channels: Settings
) -> None:
    InboundMessage.objects.create(
        message_id="1", channel="whatsapp", address_hash=hash_address(rich_user.phone), kind="other"
    )
    booked = schedule_follow_up(
        user=rich_user,
        template_id=make_template(channel="whatsapp").pk,
        scheduled_at=now() + timedelta(hours=2),
    )
    assert move(booked, hours=4).scheduled_at > now() + timedelta(hours=3)
    with pytest.raises(Unreachable) as refused:
        move(booked, days=2)
    assert refused.value.code == "outside_window"


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_two_are_never_moved_to_the_same_day(
        self, rich_user: User, make_template: Any, in_parallel: Any
    ) -> None:
        template = make_template()
        booked = [
            schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now() + day * DAY)
            for day in (2, 5, 8)
        ]
        target = now() + 12 * DAY
        results = in_parallel(
            *(
                lambda each=each: reschedule_follow_up(
                    follow_up_id=each.pk, owner=rich_user, scheduled_at=target
                )
                for each in booked
            )
        )
        assert sorted(isinstance(result, LimitReached) for result in results) == [False, True, True]
        assert FollowUpSchedule.objects.filter(scheduled_at=target).count() == 1

    def test_a_claim_and_a_move_never_both_win(
        self, rich_user: User, make_template: Any, in_parallel: Any
    ) -> None:
        booked = schedule_follow_up(user=rich_user, template_id=make_template().pk, scheduled_at=now() + DAY)
        for _ in range(5):
            FollowUpSchedule.objects.filter(pk=booked.pk).update(
                due_at=now(), status="pending", claim_token=None, lease_until=None
            )
            claims, moved = in_parallel(lambda: claim_due(limit=1), lambda: move(booked, days=3))
            booked.refresh_from_db()
            if claims:
                assert isinstance(moved, Conflict)
                assert booked.status == State.SENDING
            else:
                assert booked.status == State.PENDING
                assert booked.due_at > now() + 2 * DAY

    def test_a_cancel_and_a_move_end_one_way_or_the_other(
        self, rich_user: User, make_template: Any, in_parallel: Any
    ) -> None:
        session = SessionFactory(user=rich_user, completed=True)
        booked = schedule_follow_up(
            user=rich_user,
            template_id=make_template().pk,
            session_id=session.pk,
            scheduled_at=now() + DAY,
        )
        cancelled, moved = in_parallel(
            lambda: cancel_follow_up(follow_up_id=booked.pk), lambda: move(booked, days=3)
        )
        assert isinstance(cancelled, FollowUpSchedule)
        assert isinstance(moved, FollowUpSchedule | Conflict)
        booked.refresh_from_db()
        assert booked.status == State.CANCELLED
        assert balance_of(rich_user) == 100
