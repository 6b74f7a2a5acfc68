"""Reports of providers: any order ends the same, and only what was written to is stopped."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from django.utils.timezone import now

from credits.selectors import balance_of
from followups.choices import AttemptState, ReceiptKind, State, SuppressionReason
from followups.exceptions import OutcomeUnknown
from followups.models import Attempt, FollowUpSchedule, Suppression
from followups.selectors.recipients import hash_address
from followups.services.receipts import Receipt, record_receipt
from followups.services.reconciling import reconcile
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import User
from tests.followups.conftest import NOTHING, ScriptedChannel

pytestmark = pytest.mark.django_db


@pytest.fixture
def follow_up(rich_user: User, make_template: Any, provider: ScriptedChannel) -> FollowUpSchedule:
    """An email for 5 credits, due now."""
    template = make_template(channel="email")
    return schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now())


def report(follow_up: FollowUpSchedule, *kinds: str, **fields: Any) -> FollowUpSchedule:
    attempt = follow_up.attempts.earliest("gate_at")
    for number, kind in enumerate(kinds):
        key = f"{attempt.pk}:{kind}:{number}:{Attempt.objects.count()}"
        record_receipt(
            Receipt("scripted", key, ReceiptKind(kind), attempt_reference=str(attempt.pk), **fields)
        )
    return FollowUpSchedule.objects.get(pk=follow_up.pk)


@pytest.mark.parametrize("kinds", [*permutations(["delivered", "bounced", "accepted"])])
def test_a_bounce_is_the_last_word_whenever_it_comes(
    follow_up: FollowUpSchedule, run_queue: Any, kinds: tuple[str, ...]
) -> None:
    run_queue()
    assert report(follow_up, *kinds).status == State.FAILED
    assert balance_of(follow_up.user) == 100


def test_delivered_after_a_failure_stands_and_so_does_the_refund(
    follow_up: FollowUpSchedule, run_queue: Any
) -> None:
    run_queue()
    arrived = report(follow_up, "failed", "delivered")
    assert (arrived.status, arrived.credits_refunded, balance_of(follow_up.user)) == (State.DELIVERED, 5, 100)


def test_what_arrived_after_all_is_not_sent_again(
    follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
) -> None:
    provider.script = [OutcomeUnknown("timeout")]
    run_queue()
    provider.sighting = NOTHING
    for _ in range(2):  # twice absent: it waits for another try
        for attempt in Attempt.objects.filter(state=AttemptState.IN_DOUBT):
            checked_at = attempt.checked_at and attempt.checked_at - timedelta(hours=1)
            Attempt.objects.filter(pk=attempt.pk).update(
                gate_at=attempt.gate_at - timedelta(hours=1), checked_at=checked_at
            )
        reconcile()
    assert FollowUpSchedule.objects.get().status == State.PENDING
    assert report(follow_up, "delivered").status == State.DELIVERED
    FollowUpSchedule.objects.update(due_at=now() - timedelta(seconds=1))
    assert run_queue() == 0
    assert len(provider.taken) == 1


def test_a_bounce_stops_the_address_that_was_written_to(follow_up: FollowUpSchedule, run_queue: Any) -> None:
    run_queue()
    old = follow_up.user.email
    User.objects.filter(pk=follow_up.user_id).update(email="new@example.test")
    report(follow_up, "bounced", suppress=SuppressionReason.HARD_BOUNCE)
    assert Suppression.objects.get().address_hash == hash_address(old)
