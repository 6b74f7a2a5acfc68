"""The protocol of one send: claim, gate, call, settle, and what becomes of every possible answer."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from credits.selectors import balance_of, imbalances
from credits.services import grant
from followups.channels.base import CANNOT_TELL, Accepted
from followups.choices import AttemptState, ReceiptKind, State, SuppressionReason
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected
from followups.models import Attempt, FollowUpSchedule, ProviderEvent, RecipientPreference, Suppression
from followups.retries import MAX_TRIES
from followups.selectors import channels
from followups.services import gating
from followups.services.consent import opt_out
from followups.services.delivery import deliver
from followups.services.dispatch import claim_due, release
from followups.services.receipts import Receipt, apply_waiting_receipts, record_receipt
from followups.services.reconciling import reconcile
from followups.services.rescuing import rescue_expired
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.withdrawing import cancel_follow_up, cancel_overdue
from jyotiflow.accounts.models import User
from tests.followups.conftest import NOTHING, ScriptedChannel, found
from tests.followups.steps import pass_gate

pytestmark = pytest.mark.django_db


@pytest.fixture
def follow_up(rich_user: User, make_template: Any, provider: ScriptedChannel) -> FollowUpSchedule:
    """An email for 5 credits, due now."""
    return schedule_follow_up(
        user=rich_user, template_id=make_template(channel="email").pk, scheduled_at=now()
    )


def reload(follow_up: FollowUpSchedule) -> FollowUpSchedule:
    return FollowUpSchedule.objects.get(pk=follow_up.pk)


def make_due(follow_up: FollowUpSchedule) -> None:
    FollowUpSchedule.objects.filter(pk=follow_up.pk).update(due_at=now() - timedelta(seconds=1))


def expire_lease(follow_up: FollowUpSchedule) -> None:
    FollowUpSchedule.objects.filter(pk=follow_up.pk).update(lease_until=now() - timedelta(seconds=1))


def age_attempts(**by: int) -> None:
    for attempt in Attempt.objects.all():
        Attempt.objects.filter(pk=attempt.pk).update(
            gate_at=attempt.gate_at - timedelta(**by),
            checked_at=attempt.checked_at and attempt.checked_at - timedelta(**by),
        )


def test_an_accepted_message_is_sent_once_with_its_provider_id(
    follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
) -> None:
    assert run_queue() == 1
    sent = reload(follow_up)
    assert (sent.status, sent.provider_message_id, sent.provider) == (State.SENT, "id-1", "scripted")
    assert sent.sent_at is not None
    assert sent.lease_until is None
    assert sent.claim_token is None
    assert run_queue() == 0
    assert len(provider.taken) == 1
    assert balance_of(sent.user) == 95


def test_a_stale_or_used_token_does_nothing(follow_up: FollowUpSchedule, provider: ScriptedChannel) -> None:
    (claim,) = claim_due(limit=10)
    deliver(follow_up_id=claim.follow_up_id, token=uuid.uuid4())
    assert provider.taken == []
    deliver(follow_up_id=claim.follow_up_id, token=claim.token)
    deliver(follow_up_id=claim.follow_up_id, token=claim.token)
    assert len(provider.taken) == 1


def test_a_claim_that_was_not_handed_over_goes_back_and_its_token_is_void(
    follow_up: FollowUpSchedule, provider: ScriptedChannel
) -> None:
    (claim,) = claim_due(limit=10)
    release(tokens=[claim.token])
    deliver(follow_up_id=claim.follow_up_id, token=claim.token)
    assert provider.taken == []
    assert (reload(follow_up).status, reload(follow_up).tries) == (State.PENDING, 0)


def test_a_lease_too_short_for_a_call_is_not_used(
    follow_up: FollowUpSchedule, provider: ScriptedChannel
) -> None:
    (claim,) = claim_due(limit=10)
    FollowUpSchedule.objects.update(lease_until=now() + timedelta(seconds=20))
    assert pass_gate(follow_up_id=claim.follow_up_id, token=claim.token) is None
    assert provider.taken == []


def test_waiting_in_a_queue_for_too_long_is_not_a_try(
    follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
) -> None:
    for _ in range(MAX_TRIES + 1):
        (claim,) = claim_due(limit=10)
        expire_lease(follow_up)
        deliver(follow_up_id=claim.follow_up_id, token=claim.token)
        assert rescue_expired() == 1
    run_queue()
    assert (reload(follow_up).status, reload(follow_up).tries) == (State.SENT, 1)


def test_a_slow_channel_takes_no_more_than_its_share(
    rich_user: User, make_template: Any, provider: ScriptedChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "IN_FLIGHT_LIMIT", 2)
    update_settings(changes={"min_interval_hours": 0})
    for channel in ("email", "email", "email", "in_app"):
        schedule_follow_up(user=rich_user, template_id=make_template(channel=channel).pk, scheduled_at=now())
    claimed = sorted(claim.channel for claim in [*claim_due(limit=10), *claim_due(limit=10)])
    assert claimed == ["email", "email", "in_app"]


def test_the_attempt_is_written_before_the_call(
    follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
) -> None:
    seen: list[tuple[str, str]] = []

    def answer(message: Any) -> Accepted:
        seen.append((Attempt.objects.get(pk=message.attempt_id).state, reload(follow_up).status))
        return Accepted("id")

    provider.script = [answer]
    run_queue()
    assert seen == [(AttemptState.CALLING, State.SENDING)]


def test_a_refused_message_fails_and_is_refunded_once(
    follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
) -> None:
    provider.script = [Rejected("550", "There is no such mailbox.", SuppressionReason.HARD_BOUNCE)]
    run_queue()
    failed = reload(follow_up)
    assert (failed.status, failed.failure_reason, failed.credits_refunded) == (
        State.FAILED,
        "There is no such mailbox.",
        5,
    )
    assert balance_of(failed.user) == 100
    assert Suppression.objects.get().reason == SuppressionReason.HARD_BOUNCE
    assert imbalances() == []


def test_a_message_that_was_not_processed_waits_longer_each_time_and_fails_in_the_end(
    follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
) -> None:
    provider.script = [NotProcessed("connection_refused") for _ in range(MAX_TRIES)]
    waits = []
    for _ in range(MAX_TRIES):
        make_due(follow_up)
        assert run_queue() == 1
        waits.append(reload(follow_up).due_at - now())
    assert waits[0] > timedelta(seconds=25)
    assert waits[:4] == sorted(waits[:4])
    assert reload(follow_up).status == State.FAILED
    assert balance_of(follow_up.user) == 100
    assert len(provider.taken) == MAX_TRIES


def test_a_busy_provider_costs_no_try_and_its_wait_is_kept(
    follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
) -> None:
    provider.script = [NotProcessed("429", retry_after=600, counts=False)]
    run_queue()
    waiting = reload(follow_up)
    assert (waiting.status, waiting.tries) == (State.PENDING, 0)
    assert waiting.due_at > now() + timedelta(seconds=590)


def test_a_misconfigured_channel_keeps_its_messages(
    follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
) -> None:
    provider.script = [Misconfigured("401", "Wrong credentials.")]
    run_queue()
    waiting = reload(follow_up)
    assert (waiting.status, waiting.tries, waiting.credits_refunded) == (State.PENDING, 0, 0)
    assert waiting.due_at > now() + timedelta(minutes=4)


@pytest.mark.parametrize("answer", [OutcomeUnknown("timeout"), RuntimeError("a bug after the call")])
def test_an_unknown_outcome_is_in_doubt_and_never_sent_again_by_itself(
    answer: Exception, follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
) -> None:
    provider.script = [answer]
    run_queue()
    assert reload(follow_up).status == State.IN_DOUBT
    make_due(follow_up)
    assert (run_queue(), rescue_expired()) == (0, 0)
    assert len(provider.taken) == 1
    assert balance_of(follow_up.user) == 95


def test_where_a_repeat_is_harmless_an_unknown_outcome_is_tried_again(
    follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
) -> None:
    provider.repeat_is_harmless = True
    provider.script = [OutcomeUnknown("timeout")]
    run_queue()
    assert reload(follow_up).status == State.PENDING
    make_due(follow_up)
    run_queue()
    assert reload(follow_up).status == State.SENT


class TestRescue:
    """A worker died with a lease in its hands."""

    def test_before_the_gate_the_message_goes_back(
        self, follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
    ) -> None:
        claim_due(limit=1)
        assert rescue_expired() == 0
        expire_lease(follow_up)
        assert rescue_expired() == 1
        assert reload(follow_up).status == State.PENDING
        run_queue()
        assert (reload(follow_up).status, len(provider.taken)) == (State.SENT, 1)

    def test_after_the_gate_it_is_in_doubt(
        self, follow_up: FollowUpSchedule, provider: ScriptedChannel
    ) -> None:
        def die(message: Any) -> Accepted:
            raise SystemExit  # what a kill leaves behind: no settle

        provider.script = [die]
        (claim,) = claim_due(limit=1)
        with pytest.raises(SystemExit):
            deliver(follow_up_id=claim.follow_up_id, token=claim.token)
        expire_lease(follow_up)
        assert rescue_expired() == 1
        assert reload(follow_up).status == State.IN_DOUBT

    def test_a_message_that_kills_every_worker_is_parked_and_refunded(
        self, follow_up: FollowUpSchedule, run_queue: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(*_: Any, **__: Any) -> None:
            raise MemoryError

        monkeypatch.setattr(gating, "render_for_reader", die)
        for _ in range(MAX_TRIES):
            with pytest.raises(MemoryError):
                run_queue()
            expire_lease(follow_up)
            assert rescue_expired() == 1
        parked = reload(follow_up)
        assert (parked.status, parked.failure_code, parked.credits_refunded) == (State.FAILED, "poison", 5)


class TestReconcile:
    """The provider is asked about messages in doubt."""

    @pytest.fixture(autouse=True)
    def _in_doubt(self, follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any) -> None:
        provider.script = [OutcomeUnknown("timeout")]
        provider.can_be_asked = True
        run_queue()

    def test_not_before_the_settle_delay(
        self, provider: ScriptedChannel, follow_up: FollowUpSchedule
    ) -> None:
        provider.sighting = found("late")
        assert reconcile() == 0
        assert reload(follow_up).status == State.IN_DOUBT

    def test_found_is_sent(self, provider: ScriptedChannel, follow_up: FollowUpSchedule) -> None:
        provider.sighting = found("SM1")
        age_attempts(minutes=6)
        assert reconcile() == 1
        assert (reload(follow_up).status, reload(follow_up).provider_message_id) == (State.SENT, "SM1")

    def test_absent_once_proves_nothing_absent_twice_is_tried_again(
        self, provider: ScriptedChannel, follow_up: FollowUpSchedule, run_queue: Any
    ) -> None:
        provider.sighting = NOTHING
        age_attempts(minutes=6)
        assert reconcile() == 0
        assert reconcile() == 0  # less than a minute later it isn't even asked
        assert Attempt.objects.get().misses == 1
        age_attempts(minutes=2)
        assert reconcile() == 1
        make_due(follow_up)
        run_queue()
        assert (reload(follow_up).status, len(provider.taken)) == (State.SENT, 2)

    def test_without_proof_in_a_day_it_fails_and_is_refunded(
        self, provider: ScriptedChannel, follow_up: FollowUpSchedule
    ) -> None:
        provider.sighting = CANNOT_TELL
        age_attempts(hours=25)
        assert reconcile() == 1
        assert (reload(follow_up).status, reload(follow_up).failure_code) == (State.FAILED, "no_proof")
        assert balance_of(follow_up.user) == 100

    def test_a_receipt_resolves_it(self, follow_up: FollowUpSchedule) -> None:
        attempt = Attempt.objects.get()
        record_receipt(
            Receipt(
                "scripted",
                "e1",
                ReceiptKind.DELIVERED,
                attempt_reference=str(attempt.pk),
                provider_message_id="X",
            )
        )
        delivered = reload(follow_up)
        assert (delivered.status, delivered.provider_message_id) == (State.DELIVERED, "X")
        assert Attempt.objects.get().state == AttemptState.ACCEPTED


class TestGate:
    """What forbids a message at the last moment."""

    def test_an_opt_out_after_booking_refunds(
        self, follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
    ) -> None:
        opt_out(user=follow_up.user, channel="email")
        run_queue()
        assert (reload(follow_up).failure_code, provider.taken) == ("opted_out", [])
        assert balance_of(follow_up.user) == 100

    def test_a_closed_account_gets_nothing(
        self, follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
    ) -> None:
        User.objects.update(is_active=False)
        run_queue()
        assert (reload(follow_up).failure_code, provider.taken) == ("user_inactive", [])

    def test_a_pause_waits(
        self, follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
    ) -> None:
        until = now() + timedelta(hours=7)
        RecipientPreference.objects.create(user=follow_up.user, paused_until=until)
        run_queue()
        waiting = reload(follow_up)
        assert (waiting.status, waiting.due_at, waiting.tries) == (State.PENDING, until, 0)
        assert provider.taken == []

    def test_what_expired_is_not_sent(
        self, follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
    ) -> None:
        FollowUpSchedule.objects.update(expires_at=now() - timedelta(seconds=1))
        assert run_queue() == 1
        assert (reload(follow_up).failure_code, provider.taken) == ("expired", [])
        assert balance_of(follow_up.user) == 100


class TestCancel:
    """Only what is still scheduled can be withdrawn, and its credits come back once."""

    def test_it_refunds(self, follow_up: FollowUpSchedule) -> None:
        cancelled = cancel_follow_up(follow_up_id=follow_up.pk, owner=follow_up.user)
        assert (cancelled.status, cancelled.credits_refunded) == (State.CANCELLED, 5)
        assert balance_of(follow_up.user) == 100

    def test_an_overdue_one_is_cancelled_and_refunded(self, follow_up: FollowUpSchedule) -> None:
        FollowUpSchedule.objects.update(expires_at=now() - timedelta(seconds=1))
        assert cancel_overdue() == 1
        assert (reload(follow_up).status, reload(follow_up).failure_code) == (State.CANCELLED, "expired")
        assert balance_of(follow_up.user) == 100


class TestReceipts:
    """Reports come early, late, twice and in any order."""

    def receipt(self, kind: ReceiptKind, key: str = "", **fields: Any) -> bool:
        return record_receipt(Receipt("scripted", key or kind, kind, provider_message_id="id-1", **fields))

    def test_delivered_and_read_reach_the_row(self, follow_up: FollowUpSchedule, run_queue: Any) -> None:
        run_queue()
        assert self.receipt(ReceiptKind.DELIVERED)
        assert reload(follow_up).delivered_at is not None
        assert self.receipt(ReceiptKind.READ)
        assert not self.receipt(ReceiptKind.READ)
        assert reload(follow_up).status == State.READ

    def test_a_failure_after_sending_refunds(self, follow_up: FollowUpSchedule, run_queue: Any) -> None:
        run_queue()
        self.receipt(ReceiptKind.FAILED, code="30003", reason="The phone could not be reached.")
        assert (reload(follow_up).status, balance_of(follow_up.user)) == (State.FAILED, 100)

    def test_delivered_after_failed_stands_and_is_not_charged_again(
        self, follow_up: FollowUpSchedule, run_queue: Any
    ) -> None:
        run_queue()
        self.receipt(ReceiptKind.FAILED)
        self.receipt(ReceiptKind.DELIVERED)
        late = reload(follow_up)
        assert (late.status, late.credits_refunded, balance_of(late.user)) == (State.DELIVERED, 5, 100)

    def test_one_that_comes_before_its_message_waits(
        self, follow_up: FollowUpSchedule, run_queue: Any
    ) -> None:
        self.receipt(ReceiptKind.DELIVERED)
        assert apply_waiting_receipts() == 0
        ProviderEvent.objects.update(next_try_at=now())  # the gap is over
        run_queue()
        assert apply_waiting_receipts() == 1
        assert reload(follow_up).status == State.DELIVERED

    def test_a_machine_open_is_not_reading(self, follow_up: FollowUpSchedule, run_queue: Any) -> None:
        run_queue()
        self.receipt(ReceiptKind.MACHINE_OPEN)
        assert reload(follow_up).status == State.SENT


def test_two_follow_ups_never_share_a_claim(rich_user: User, make_template: Any) -> None:
    template = make_template()
    grant(user=rich_user, amount=100, reason="more", key="more")
    update_settings(changes={"min_interval_hours": 0})
    for _ in range(5):
        schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now())
    first, second = claim_due(limit=3), claim_due(limit=3)
    assert len(first) == 3
    assert len(second) == 2
    assert not {claim.follow_up_id for claim in first} & {claim.follow_up_id for claim in second}
