"""A message that was taken and did not arrive: another attempt while the rule allows, then the refund."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from credits.selectors import balance_of
from followups.choices import ErrorPhase, ErrorWord, ReceiptKind, State
from followups.models import ErrorRule, FollowUpAnalytics, FollowUpSchedule, RecipientPreference
from followups.services.analytics import roll_up_changed_days
from followups.services.delivery import deliver
from followups.services.dispatch import claim_due
from followups.services.error_rules import save_edited_rule
from followups.services.receipts import Receipt, record_receipt
from followups.services.scheduling import schedule_follow_up
from followups.services.withdrawing import cancel_follow_up, cancel_overdue
from jyotiflow.accounts.models import User
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db


@pytest.fixture
def follow_up(
    rich_user: User, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> FollowUpSchedule:
    """Sent through Twilio for 5 of 100 credits."""
    provider.provider = "twilio"
    template = make_template(channel="email")
    follow_up = schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now())
    assert run_queue() == 1
    return follow_up


def report(follow_up: FollowUpSchedule, kind: str, code: str = "", *, attempt: int = 1) -> FollowUpSchedule:
    reference = follow_up.attempts.get(number=attempt).pk
    known = follow_up.attempts.get(number=attempt).events.count()
    record_receipt(
        Receipt(
            provider="twilio",
            event_key=f"{reference}:{kind}:{code}:{known}",
            kind=ReceiptKind(kind),
            attempt_reference=str(reference),
            provider_message_id=f"id-{attempt}",
            code=code,
            reason="As the provider says.",
        )
    )
    return FollowUpSchedule.objects.get(pk=follow_up.pk)


def make_due(follow_up: FollowUpSchedule) -> None:
    FollowUpSchedule.objects.filter(pk=follow_up.pk).update(due_at=now() - timedelta(seconds=1))


def test_an_unreachable_phone_is_tried_after_one_hour_and_six_and_then_refunded(
    follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
) -> None:
    for number, hours in enumerate((1, 6), start=1):
        waiting = report(follow_up, "failed", "30003", attempt=number)
        assert (waiting.status, waiting.failure_code, waiting.sent_at) == (State.PENDING, "30003", None)
        wait = waiting.due_at - now()
        assert timedelta(hours=hours, minutes=-1) < wait <= timedelta(hours=1.25 * hours)
        assert balance_of(follow_up.user) == 95
        assert run_queue() == 0
        make_due(follow_up)
        assert run_queue() == 1
        sent = FollowUpSchedule.objects.get()
        assert (sent.status, sent.tries, sent.provider_message_id) == (State.SENT, 1, f"id-{number + 1}")
    failed = report(follow_up, "failed", "30003", attempt=3)
    assert (failed.status, failed.failure_code) == (State.FAILED, "30003")
    assert failed.failure_reason == "As the provider says."
    assert balance_of(follow_up.user) == 100
    assert len(provider.taken) == 3


@pytest.mark.parametrize("code", ["30004", "30410", "63049", "12345", ""])
def test_what_failed_for_good_or_for_no_known_reason_is_not_tried_again(
    follow_up: FollowUpSchedule, code: str
) -> None:
    failed = report(follow_up, "failed", code)
    assert (failed.status, failed.failure_code) == (State.FAILED, code or "failed")
    assert balance_of(follow_up.user) == 100


@pytest.mark.parametrize("is_claimed", [False, True])
@pytest.mark.parametrize("kind", ["delivered", "read", "complained"])
def test_what_arrived_after_all_is_not_sent_again(
    follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any, kind: str, is_claimed: bool
) -> None:
    report(follow_up, "failed", "30003")
    make_due(follow_up)
    claims = claim_due(limit=1) if is_claimed else []
    arrived = report(follow_up, kind)
    expected = State.READ if kind == "read" else State.DELIVERED
    assert (arrived.status, arrived.provider_message_id) == (expected, "id-1")
    for claim in claims:
        deliver(follow_up_id=claim.follow_up_id, token=claim.token)
    assert run_queue() == 0
    assert len(provider.taken) == 1
    assert balance_of(follow_up.user) == 95


@pytest.mark.parametrize("is_claimed", [False, True])
@pytest.mark.parametrize(("kind", "code"), [("accepted", ""), ("failed", ""), ("failed", "30005")])
def test_older_news_of_the_failed_try_neither_stops_nor_fails_the_next(
    follow_up: FollowUpSchedule,
    provider: ScriptedChannel,
    run_queue: Any,
    kind: str,
    code: str,
    is_claimed: bool,
) -> None:
    report(follow_up, "failed", "30003")
    make_due(follow_up)
    claims = claim_due(limit=1) if is_claimed else []
    after = report(follow_up, kind, code)
    assert after.status == (State.SENDING if is_claimed else State.PENDING)
    assert after.failure_code == "30003"
    for claim in claims:
        deliver(follow_up_id=claim.follow_up_id, token=claim.token)
    run_queue()
    assert FollowUpSchedule.objects.get().status == State.SENT
    assert len(provider.taken) == 2
    assert balance_of(follow_up.user) == 95


def test_a_late_failure_of_the_first_try_changes_nothing_once_the_second_was_taken(
    follow_up: FollowUpSchedule, run_queue: Any
) -> None:
    report(follow_up, "failed", "30003")
    make_due(follow_up)
    run_queue()
    for code in ("30003", "30005", ""):
        assert report(follow_up, "failed", code).status == State.SENT
    assert report(follow_up, "delivered", attempt=2).status == State.DELIVERED


def test_a_repeated_failure_without_a_code_keeps_the_stored_one(follow_up: FollowUpSchedule) -> None:
    report(follow_up, "failed", "30005")
    assert report(follow_up, "failed").failure_code == "30005"


def test_nothing_is_tried_again_after_it_expired(follow_up: FollowUpSchedule) -> None:
    FollowUpSchedule.objects.update(expires_at=now() + timedelta(minutes=30))
    assert report(follow_up, "failed", "30003").status == State.FAILED
    assert balance_of(follow_up.user) == 100


def test_what_waits_for_another_attempt_can_be_cancelled_and_expires(
    follow_up: FollowUpSchedule, rich_user: User, make_template: Any, run_queue: Any
) -> None:
    report(follow_up, "failed", "30003")
    assert cancel_follow_up(follow_up_id=follow_up.pk).status == State.CANCELLED
    assert balance_of(rich_user) == 100
    assert report(follow_up, "delivered").status == State.CANCELLED
    FollowUpSchedule.objects.update(
        created_at=now() - timedelta(days=9), scheduled_at=now() - timedelta(days=9)
    )
    template = make_template(name="Another", channel="email")
    other = schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now())
    run_queue()
    report(other, "failed", "30008")
    FollowUpSchedule.objects.filter(pk=other.pk).update(expires_at=now() - timedelta(seconds=1))
    assert cancel_overdue() == 1
    assert balance_of(rich_user) == 100


def test_an_hour_the_law_forbids_is_waited_for(follow_up: FollowUpSchedule) -> None:
    soon = now().astimezone(follow_up.user.zone) + timedelta(hours=1)
    quiet = RecipientPreference.objects.create(
        user=follow_up.user,
        quiet_start=(soon - timedelta(hours=1)).time(),
        quiet_end=(soon + timedelta(hours=4)).time(),
    )
    waiting = report(follow_up, "failed", "30610")
    assert waiting.status == State.PENDING
    assert waiting.due_at >= now() + timedelta(hours=4)
    assert quiet.quiet_end is not None


def test_an_admins_rule_decides(follow_up: FollowUpSchedule) -> None:
    row = ErrorRule(
        provider="twilio",
        phase=ErrorPhase.REPORT,
        code="12345",
        word=ErrorWord.RETRY,
        sentence="It was a bad day.",
        retry_after=60,
        most_retries=1,
    )
    save_edited_rule(row=row)
    assert report(follow_up, "failed", "12345").status == State.PENDING


@pytest.mark.django_db(transaction=True)
def test_the_figures_forget_what_is_tried_anew_and_count_it_once(
    follow_up: FollowUpSchedule, run_queue: Any
) -> None:
    yesterday = now() - timedelta(days=1)
    FollowUpSchedule.objects.update(sent_at=yesterday, created_at=yesterday - timedelta(days=1))
    follow_up.attempts.update(gate_at=yesterday, finished_at=yesterday)
    roll_up_changed_days()

    def sent() -> dict[Any, int]:
        rows = FollowUpAnalytics.objects.filter(total_sent__gt=0)
        return dict(rows.values_list("date", "total_sent"))

    assert sent() == {yesterday.date(): 1}
    report(follow_up, "failed", "30003")
    roll_up_changed_days()
    assert sent() == {}
    make_due(follow_up)
    run_queue()
    roll_up_changed_days()
    assert sent() == {now().date(): 1}
