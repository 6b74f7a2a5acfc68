"""The life of follow-ups in any order of events: no message twice, no credit lost, nothing left behind."""

import sys
from contextlib import closing, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings as django_settings
from django.db import transaction
from django.db.models import DateTimeField, F
from django.utils.timezone import now
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from pytest_django import Settings

from credits.exceptions import InsufficientCredits
from credits.services import adjust, grant
from followups import doubts as doubts_module
from followups.channels import get_channel
from followups.channels.base import Message
from followups.choices import OPEN_ATTEMPT_STATES, Origin, ReceiptKind, State
from followups.exceptions import NotProcessed
from followups.models import (
    Attempt,
    FollowUpSchedule,
    FollowUpTemplate,
    IdempotentAnswer,
    ProviderEvent,
    RecipientPreference,
    Suppression,
)
from followups.selectors.settings import effective_settings
from followups.services.consent import opt_out
from followups.services.delivery import LONGEST_GATE_SECONDS, call
from followups.services.dispatch import Claim, claim_due, release
from followups.services.idempotency import Answer as KeptAnswer
from followups.services.idempotency import answer_once
from followups.services.planning import plan_session
from followups.services.receipts import Receipt, apply_waiting_receipts, mark_read, record_receipt
from followups.services.reconciling import reconcile
from followups.services.rescuing import rescue_expired
from followups.services.retrying import retry_follow_up
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.settling import Outcome, settle
from followups.services.withdrawing import cancel_follow_up, cancel_overdue
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict, DomainError
from sessions_app.models import Session
from tests.factories import SessionFactory, UserFactory
from tests.followups.steps import begin, pass_gate
from tests.properties.provider import Answer, Ending, RememberingChannel
from tests.properties.rules import broken_rules

REMEMBERING = "tests.properties.provider.RememberingChannel"
CHANNELS: dict[str, dict[str, Any]] = {
    "sms": {"BACKEND": REMEMBERING, "OPTIONS": {"provider": "askable", "can_be_asked": True}},
    "email": {"BACKEND": REMEMBERING, "OPTIONS": {"provider": "mute", "repeats_in_doubt": 1}},
    "push": {"BACKEND": REMEMBERING, "OPTIONS": {"provider": "replacing", "repeat_is_harmless": True}},
    "in_app": {"BACKEND": "followups.channels.in_app.InAppChannel"},
}
TIMED = (FollowUpSchedule, Attempt, ProviderEvent, IdempotentAnswer, RecipientPreference)

rows = st.integers(0, 1)
endings = st.sampled_from(Ending)
waits = st.sampled_from([0, 61, 310, 310])  # seconds: too soon, from one look to the next, the settle delay
looks = st.sampled_from([Answer.TRUTH, Answer.TRUTH, Answer.LAGS, *Answer])
doubts = st.sampled_from([Ending.TAKEN_SILENTLY, Ending.TAKEN_LATE, Ending.LOST])
PEOPLE = (
    *(
        "opt out",
        "pause",
        "close the account",
        "forgive",
        "forgive",
        "forgive",
        "top up",
        "correct",
        "change a price",
    ),
    *("enable_credit_charging", "refund_on_cancel", "refund_on_failure"),
)


class Life(RuleBasedStateMachine):
    """Two users with a session each, a template a channel; each rule is one thing that may happen."""

    follow_ups: Bundle[UUID] = Bundle("follow_ups")
    claims: Bundle[Claim] = Bundle("claims")
    passed: Bundle[tuple[str, Message, float]] = Bundle("passed")
    answered: Bundle[tuple[UUID, Outcome]] = Bundle("answered")

    def __init__(self) -> None:
        super().__init__()
        self._world = transaction.atomic()
        self._world.__enter__()
        self.elapsed = 0.0
        self.users = list(User.objects.order_by("pk"))
        self.sessions = list(Session.objects.order_by("user_id"))
        self.templates = list(FollowUpTemplate.objects.order_by("name"))
        self.kept: dict[tuple[int, str], tuple[object, str, float]] = {}
        self.ended: dict[UUID, str] = {}
        for channel in self.providers():
            channel.forget()

    def providers(self) -> list[RememberingChannel]:
        return [each for each in map(get_channel, CHANNELS) if isinstance(each, RememberingChannel)]

    # --- Booking -------------------------------------------------------------------------------------------

    @rule(
        target=follow_ups,
        who=rows,
        template=st.integers(0, 3),
        hours=st.sampled_from([0, 0, 1]),
        of_session=st.booleans(),
        key=st.sampled_from([None, None, "key"]),
    )
    def schedule(self, who: int, template: int, hours: int, of_session: bool, key: str | None) -> Any:
        user = User.objects.get(pk=self.users[who].pk)

        def act() -> KeptAnswer:
            booked = schedule_follow_up(
                user=user,
                template_id=self.templates[template].pk,
                session_id=self.sessions[who].pk if of_session else None,
                scheduled_at=now() + timedelta(hours=hours),
            )
            return KeptAnswer(201, {"id": str(booked.pk)})

        if key is None:
            try:
                return UUID(str(act().body["id"]))
            except DomainError:
                return multiple()
        request = [template, hours, of_session]
        first = self.kept.get((who, key))
        if first and self.elapsed - first[2] >= 24 * 3600:
            first = None
        try:
            given = str(answer_once(user=user, key=key, request=request, act=act).body["id"])
        except DomainError as refused:
            was_kept = isinstance(refused, Conflict) and refused.code == "idempotency_key_reused"
            assert was_kept == (first is not None), "a kept answer is given again, whatever has changed since"
            assert first is None or first[0] != request
            return multiple()
        if first is None:
            self.kept[who, key] = request, given, self.elapsed
            return UUID(given)
        assert first[:2] == (request, given)
        return multiple()

    @initialize(target=follow_ups, template=st.sampled_from([0, 0, 1, 2]), doubt=doubts, dies=st.booleans())
    def begin_with_one_in_doubt(self, template: int, doubt: Ending, dies: bool) -> Any:
        booked = self.schedule(who=0, template=template, hours=0, of_session=True, key=None)
        self.send_all_due(doubt, later=0, dies=dies)
        return booked

    @rule(target=follow_ups, who=rows)
    def plan(self, who: int) -> Any:
        plan = plan_session(session_id=self.sessions[who].pk)
        booked = FollowUpSchedule.objects.filter(session=self.sessions[who], origin=Origin.AUTOMATIC)
        assert {str(pk) for pk in booked.values_list("pk", flat=True)} == {
            each["follow_up"] for each in plan.decisions if "follow_up" in each
        }
        return multiple(*booked.order_by("template__name").values_list("pk", flat=True))

    # --- Sending, step by step -----------------------------------------------------------------------------

    @rule(target=claims)
    def claim(self) -> Any:
        return multiple(*claim_due(limit=3))

    @rule(claim=claims)
    def release(self, claim: Claim) -> None:
        release(tokens=[claim.token])

    @rule(target=passed, claim=claims)
    def start(self, claim: Claim) -> Any:
        """A worker takes a claim, which may be old or used, up to the point of no return."""
        begun = begin(follow_up_id=claim.follow_up_id, token=claim.token)
        assert begin(follow_up_id=claim.follow_up_id, token=claim.token) is None, "a token is good for once"
        through = pass_gate(follow_up_id=claim.follow_up_id, token=begun.token) if begun else None
        return (claim.channel, through.message, self.elapsed) if through else multiple()

    @rule(target=passed)
    def start_all_due(self) -> Any:
        started = [self.start(claim) for claim in claim_due(limit=10)]
        return multiple(*(mine for mine in started if isinstance(mine, tuple)))

    @rule(target=answered, mine=consumes(passed), ending=endings)
    def call(self, mine: tuple[str, Message, float], ending: Ending) -> Any:
        channel_name, message, began = mine
        if self.elapsed - began > LONGEST_GATE_SECONDS:
            return message.attempt_id, NotProcessed("stale_gate", counts=False)
        channel = get_channel(channel_name)
        if isinstance(channel, RememberingChannel):
            channel.ending = ending
        return message.attempt_id, call(channel, message)

    @rule(answer=answered)
    def settle(self, answer: tuple[UUID, Outcome]) -> None:
        settle(attempt_id=answer[0], outcome=answer[1])

    @rule(ending=st.one_of(doubts, endings), later=waits, dies=st.sampled_from([False, False, True]))
    def send_all_due(self, ending: Ending, later: int, dies: bool = False) -> None:
        """All of it at once, but for a worker that dies with the answer in its hands."""
        self.time_passes(later)
        for claim in claim_due(limit=10):
            mine = self.start(claim)
            if isinstance(mine, tuple):
                answer = self.call(mine, ending)
                if not dies:
                    self.settle(answer)

    # --- What comes back -----------------------------------------------------------------------------------

    @rule(
        which=st.integers(0, 5),
        kind=st.sampled_from(ReceiptKind),
        by_attempt=st.booleans(),
        again=st.booleans(),
        provider=st.integers(0, 2),
    )
    def report(self, which: int, kind: ReceiptKind, by_attempt: bool, again: bool, provider: int) -> None:
        channel = self.providers()[provider]
        if not channel.taken:
            return
        it = channel.taken[which % len(channel.taken)]
        receipt = Receipt(
            provider=channel.provider,
            event_key=f"{it.message_id} {kind} {'' if again else self.elapsed}",
            kind=kind,
            attempt_reference=str(it.attempt_id) if by_attempt else "",
            provider_message_id=it.message_id,
        )
        record_receipt(receipt)
        assert not record_receipt(receipt), "a report is stored once"

    @rule(follow_up=follow_ups)
    def read(self, follow_up: UUID) -> None:
        mark_read(follow_up=FollowUpSchedule.objects.get(pk=follow_up))

    # --- What beat does ------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([3 * 3600, 25 * 3600, 80 * 3600]))
    def time_passes(self, seconds: int) -> None:
        """Every time in the tables moves back, so that the database's own clock stays the only one."""
        if not seconds:
            return
        self.elapsed += seconds
        shift = timedelta(seconds=seconds)
        for model in TIMED:
            instants = [f.name for f in model._meta.concrete_fields if isinstance(f, DateTimeField)]
            model._default_manager.update(**{name: F(name) - shift for name in instants})
        for channel in self.providers():
            channel.time_passes(seconds)

    @rule(later=waits)
    def beat(self, later: int) -> None:
        self.time_passes(later)
        rescue_expired()
        cancel_overdue()
        apply_waiting_receipts()

    @rule(answers=st.lists(looks, min_size=1, max_size=2), later=waits)
    def reconcile(self, answers: list[Answer], later: int) -> None:
        """One look, or two a minute apart."""
        self.time_passes(later)
        for number, answer in enumerate(answers):
            self.time_passes(61 * number)
            for channel in self.providers():
                channel.answer = answer
            reconcile()

    # --- What people do ------------------------------------------------------------------------------------

    @rule(follow_up=follow_ups)
    def cancel(self, follow_up: UUID) -> None:
        pending = FollowUpSchedule.objects.filter(pk=follow_up, status=State.PENDING).exists()
        try:
            cancel_follow_up(follow_up_id=follow_up)
        except Conflict:
            assert not pending
        else:
            assert pending

    @rule(target=follow_ups, follow_up=follow_ups)
    def retry(self, follow_up: UUID) -> Any:
        try:
            again = retry_follow_up(follow_up_id=follow_up)
        except DomainError:
            return multiple()
        return multiple() if again.pk == follow_up else again.pk

    @rule(who=rows, change=st.sampled_from(PEOPLE), channel=st.sampled_from(list(CHANNELS)), on=st.booleans())
    def people(self, who: int, change: str, channel: str, on: bool) -> None:
        user = self.users[who]
        match change:
            case "opt out":
                opt_out(user=user, channel=channel)
            case "pause":
                until = now() + timedelta(hours=2)
                RecipientPreference.objects.update_or_create(user=user, defaults={"paused_until": until})
            case "close the account":
                User.objects.filter(pk=user.pk).update(is_active=False)
            case "top up":
                grant(user=user, amount=30, reason="test", key=f"{self.elapsed} {who}")
            case "correct":
                with suppress(InsufficientCredits):
                    adjust(user=user, amount=-50, reason="test", key=f"{self.elapsed} {who} down")
            case "change a price":
                FollowUpTemplate.objects.filter(channel=channel).update(credits_cost=7 * on)
            case "forgive":
                self.forgive()
            case switch:
                update_settings(changes={switch: on})

    def forgive(self) -> None:
        """Accounts are opened again, addresses written to again, channels switched on again."""
        User.objects.update(is_active=True)
        RecipientPreference.objects.all().delete()
        Suppression.objects.all().delete()

    # --- What must hold after each -------------------------------------------------------------------------

    @invariant()
    def every_rule_holds(self) -> None:
        assert broken_rules() == []

    @invariant()
    def no_message_is_taken_more_often_than_promised(self) -> None:
        for channel in self.providers():
            assert list(channel.taken_too_often()) == [], channel.provider

    @invariant()
    def what_ends_unsent_is_refunded_as_the_settings_say(self) -> None:
        wished = effective_settings()
        ended = FollowUpSchedule.objects.filter(status__in=[State.FAILED, State.CANCELLED])
        for follow_up in ended:
            if self.ended.get(follow_up.pk) == follow_up.status:
                continue
            by_reader = follow_up.status == State.CANCELLED and follow_up.failure_code == "cancelled"
            refunds = wished.refund_on_cancel if by_reader else wished.refund_on_failure
            if refunds:
                assert follow_up.credits_refunded == follow_up.credits_charged
        self.ended = dict(ended.values_list("pk", "status"))

    def teardown(self) -> None:
        try:
            if sys.exception() is None:
                self.nothing_is_left_behind()
        finally:
            self.close()

    def close(self) -> None:
        """Leave nothing of it in the database."""
        transaction.set_rollback(True)
        self._world.__exit__(None, None, None)

    def nothing_is_left_behind(self) -> None:
        """All is well again for a day and a half: nothing is then waiting, in doubt or open."""
        self.forgive()
        for _ in range(6):
            self.beat(6 * 3600)
            self.reconcile([Answer.TRUTH], 0)
            self.send_all_due(Ending.TAKEN, 0)
            self.every_rule_holds()
        self.no_message_is_taken_more_often_than_promised()
        waiting = (State.PENDING, State.SENDING, State.IN_DOUBT)
        overdue = FollowUpSchedule.objects.filter(status__in=waiting, scheduled_at__lte=now())
        assert list(overdue.values_list("status", flat=True)) == []
        assert not Attempt.objects.filter(state__in=OPEN_ATTEMPT_STATES).exists()


@pytest.fixture
def _world(db: None, settings: Settings, make_template: Any) -> None:
    settings.FOLLOWUP_CHANNELS = CHANNELS
    update_settings(
        changes={
            "min_interval_hours": 0,
            "max_followups_per_session": 4,
            "quiet_hours_start": "00:00",
            "quiet_hours_end": "00:00",
        }
    )
    for user in UserFactory.create_batch(2):
        grant(user=user, amount=40, reason="test", key=f"test {user.pk}")
        SessionFactory(user=user, completed=True)
    for order, channel in enumerate(CHANNELS):
        make_template(
            name=f"{order} {channel}",
            channel=channel,
            sequence_order=order + 1,
            delay_hours=order,
            local_time=None,
            credits_cost=5 + order,
        )


@pytest.mark.usefixtures("_world")
def test_no_order_of_events_loses_a_message_or_a_credit() -> None:
    assert set(django_settings.FOLLOWUP_CHANNELS) == set(CHANNELS)
    run_state_machine_as_test(Life, settings=hypothesis_settings(max_examples=60, stateful_step_count=40))


@pytest.mark.usefixtures("_world")
@pytest.mark.parametrize("is_spoilt", [False, True])
@pytest.mark.parametrize(
    ("doubt", "answers", "later", "spoilt"),
    [
        (Ending.TAKEN_SILENTLY, [Answer.LAGS], 310, "LOOKS"),
        (Ending.TAKEN_LATE, [Answer.TRUTH, Answer.TRUTH], 61, "FOLLOWUP_SETTLE_DELAY_SECONDS"),
    ],
)
def test_a_life_with_too_little_proof_is_noticed(
    doubt: Ending,
    answers: list[Answer],
    later: int,
    spoilt: str,
    is_spoilt: bool,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if is_spoilt and spoilt == "LOOKS":
        monkeypatch.setattr(doubts_module, "LOOKS", 1)
    elif is_spoilt:
        settings.FOLLOWUP_SETTLE_DELAY_SECONDS = 0
    with closing(Life()) as life:
        life.begin_with_one_in_doubt(template=0, doubt=doubt, dies=False)
        life.reconcile(answers, later)
        life.send_all_due(Ending.TAKEN, later=61)
        life.time_passes(310)
        if is_spoilt:
            with pytest.raises(AssertionError, match="askable"):
                life.no_message_is_taken_more_often_than_promised()
        else:
            life.no_message_is_taken_more_often_than_promised()
            life.nothing_is_left_behind()
