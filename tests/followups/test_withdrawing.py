"""The way back is closed once a message is on its way, and open once."""

from typing import Any

import pytest
from django.utils.timezone import now

from credits.selectors import balance_of
from followups.choices import State
from followups.models import FollowUpSchedule
from followups.services.dispatch import claim_due
from followups.services.scheduling import schedule_follow_up
from followups.services.withdrawing import cancel_follow_up, fail_follow_up
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db


@pytest.fixture
def follow_up(rich_user: User, make_template: Any, provider: ScriptedChannel) -> FollowUpSchedule:
    """An email for 5 of 100 credits, due now."""
    template = make_template(channel="email")
    return schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now())


def is_kept(follow_up: FollowUpSchedule, state: State) -> bool:
    follow_up.refresh_from_db()
    return (follow_up.status, follow_up.refunded_at, balance_of(follow_up.user)) == (state, None, 95)


def test_what_a_worker_has_can_not_be_cancelled(follow_up: FollowUpSchedule) -> None:
    claim_due(limit=1)
    with pytest.raises(Conflict, match="still scheduled"):
        cancel_follow_up(follow_up_id=follow_up.pk)
    assert is_kept(follow_up, State.SENDING)


def test_what_was_sent_can_not_be_cancelled(follow_up: FollowUpSchedule, run_queue: Any) -> None:
    run_queue()
    with pytest.raises(Conflict, match="still scheduled"):
        cancel_follow_up(follow_up_id=follow_up.pk)
    assert is_kept(follow_up, State.SENT)


def test_what_was_sent_is_not_called_failed_by_whom_it_concerned_before(
    follow_up: FollowUpSchedule, run_queue: Any
) -> None:
    run_queue()
    follow_up.refresh_from_db()
    in_flight = (State.SENDING, State.IN_DOUBT)
    assert not fail_follow_up(follow_up=follow_up, code="late", reason="Late news.", from_states=in_flight)
    assert is_kept(follow_up, State.SENT)
