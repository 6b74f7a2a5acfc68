"""The way back is closed once a message is on its way, and open once."""

from typing import Any

import pytest
from django.utils.timezone import now

from credits.selectors import balance_of
from followups.choices import ReceiptKind, State
from followups.exceptions import OutcomeUnknown
from followups.models import Attempt, FollowUpSchedule
from followups.services.dispatch import claim_due
from followups.services.receipts import Receipt, record_receipt
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


class TestNewsOfAnEarlierTry:
    """It was thought lost, and is reported failed when another try has begun."""

    @pytest.fixture(autouse=True)
    def _given_up(self, follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any) -> None:
        provider.repeat_is_harmless = True
        provider.script = [OutcomeUnknown("timeout")]
        run_queue()
        FollowUpSchedule.objects.update(due_at=now())

    def report(self) -> None:
        first = Attempt.objects.get(number=1)
        record_receipt(Receipt("scripted", "e1", ReceiptKind.FAILED, attempt_reference=str(first.pk)))

    def test_the_try_that_was_taken_decides(self, follow_up: FollowUpSchedule, run_queue: Any) -> None:
        run_queue()
        assert Attempt.objects.count() == 2
        self.report()
        assert is_kept(follow_up, State.SENT)

    def test_the_worker_that_has_it_goes_on(self, follow_up: FollowUpSchedule) -> None:
        claim_due(limit=1)
        self.report()
        assert is_kept(follow_up, State.SENDING)
