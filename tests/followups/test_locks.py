"""Whatever happens to one session at once, nobody waits for each other: locks are taken in one order."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils.timezone import now

from credits.selectors import balance_of
from credits.services import lock_account
from followups.choices import State
from followups.models import FollowUpSchedule
from followups.services.retrying import retry_follow_up
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.withdrawing import cancel_follow_up, fail_follow_up
from jyotiflow.accounts.models import User
from sessions_app.services import lock_session
from tests.factories import SessionFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def follow_up(rich_user: User, make_template: Any) -> FollowUpSchedule:
    """One of a session, for tomorrow."""
    update_settings(changes={"min_interval_hours": 0})
    return schedule_follow_up(
        user=rich_user,
        template_id=make_template().pk,
        session_id=SessionFactory(user=rich_user, completed=True).pk,
        scheduled_at=now() + timedelta(days=1),
    )


def fail(follow_up: FollowUpSchedule) -> None:
    with transaction.atomic():
        locked = FollowUpSchedule.objects.select_for_update().get(pk=follow_up.pk)
        fail_follow_up(follow_up=locked, code="x", reason="Refused.", from_states=[State.PENDING])


def retry(follow_up: FollowUpSchedule) -> None:
    retry_follow_up(follow_up_id=follow_up.pk)


def cancel(follow_up: FollowUpSchedule) -> None:
    cancel_follow_up(follow_up_id=follow_up.pk)


@pytest.mark.parametrize("act", [cancel, fail, retry])
def test_who_holds_the_session_can_still_lock_the_account(
    follow_up: FollowUpSchedule, in_parallel: Any, act: Any
) -> None:
    """What a booking does, with the other side let in between its two locks."""
    if act is retry:
        fail(follow_up)
    session_is_held = threading.Event()

    def book() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '3s'")
            assert follow_up.session_id is not None
            lock_session(session_id=follow_up.session_id)
            session_is_held.set()
            threading.Event().wait(0.3)  # the other side is now waiting for the session, or holds the account
            lock_account(user=follow_up.user)

    def other() -> None:
        assert session_is_held.wait(5)
        act(follow_up)

    assert in_parallel(book, other) == [None, None]


def test_a_refunded_one_is_booked_anew_once_however_often_it_is_clicked(
    follow_up: FollowUpSchedule, in_parallel: Any
) -> None:
    fail(follow_up)
    booked = in_parallel(*[lambda: retry_follow_up(follow_up_id=follow_up.pk)] * 4)
    assert len({each.pk for each in booked}) == 1
    assert booked[0].pk != follow_up.pk
    assert FollowUpSchedule.objects.count() == 2
    assert balance_of(follow_up.user) == 95
