"""Doubt is resolved for everyone in turn, and one odd row holds up nobody."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils.timezone import now
from pytest_django import Settings

from followups.channels.base import CANNOT_TELL, Accepted, Candidate, Message, Sighting
from followups.choices import AttemptState, ReceiptKind, State
from followups.exceptions import NotProcessed, OutcomeUnknown, Rejected
from followups.models import Attempt, FollowUpSchedule, ProviderEvent
from followups.services import reconciling
from followups.services.delivery import deliver
from followups.services.dispatch import claim_due
from followups.services.receipts import Receipt, record_receipt
from followups.services.reconciling import reconcile
from followups.services.rescuing import rescue_expired
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.settling import settle
from followups.services.withdrawing import cancel_follow_up
from jyotiflow.accounts.models import User
from tests.followups.conftest import NOTHING, ScriptedChannel
from tests.followups.steps import begin, pass_gate

pytestmark = pytest.mark.django_db


@pytest.fixture
def three(rich_user: User, make_template: Any, provider: ScriptedChannel) -> list[FollowUpSchedule]:
    """Emails, due now, whose answers will never come."""
    update_settings(changes={"min_interval_hours": 0})
    provider.script = [OutcomeUnknown("timeout")] * 3
    provider.can_be_asked = True
    template = make_template(channel="email")
    return [schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now()) for _ in range(3)]


def an_hour_passes() -> None:
    hour = timedelta(hours=1)
    for attempt in Attempt.objects.all():
        Attempt.objects.filter(pk=attempt.pk).update(
            gate_at=attempt.gate_at - hour, checked_at=attempt.checked_at and attempt.checked_at - hour
        )


@pytest.mark.usefixtures("three")
def test_those_never_looked_at_come_first(run_queue: Any, provider: ScriptedChannel) -> None:
    run_queue()
    for _ in range(2):
        an_hour_passes()
        reconcile(batch=2)
    assert Attempt.objects.filter(checked_at__isnull=True).count() == 0


def test_a_channel_switched_off_in_the_middle_holds_up_nobody(
    three: list[FollowUpSchedule], provider: ScriptedChannel, settings: Settings
) -> None:
    provider.can_be_asked = False
    for claim in claim_due(limit=10):  # the worker dies in the middle of its call
        begun = begin(follow_up_id=claim.follow_up_id, token=claim.token)
        assert begun
        assert pass_gate(follow_up_id=claim.follow_up_id, token=begun.token)
    FollowUpSchedule.objects.update(lease_until=now() - timedelta(seconds=1))
    others = {name: each for name, each in settings.FOLLOWUP_CHANNELS.items() if name != "email"}
    settings.FOLLOWUP_CHANNELS = others
    assert rescue_expired() == len(three)
    assert {each.status for each in FollowUpSchedule.objects.all()} == {State.IN_DOUBT}
    an_hour_passes()
    assert reconcile() == 0  # nobody can tell any more; a day later they are refunded


def look(seconds: int = 3_600) -> int:
    """A reconcile run after so many seconds have passed."""
    by = timedelta(seconds=seconds)
    for attempt in Attempt.objects.all():
        Attempt.objects.filter(pk=attempt.pk).update(
            gate_at=attempt.gate_at - by, checked_at=attempt.checked_at and attempt.checked_at - by
        )
    return reconcile()


def make_due(*follow_ups: FollowUpSchedule) -> None:
    due = [each.pk for each in follow_ups]
    FollowUpSchedule.objects.filter(pk__in=due).update(due_at=now() - timedelta(seconds=1))


def listed(**made_at: datetime) -> Sighting:
    return Sighting(tuple(Candidate(name, moment) for name, moment in made_at.items()), is_whole=True)


def states() -> list[str]:
    return sorted(FollowUpSchedule.objects.values_list("status", flat=True))


def gates() -> list[datetime]:
    return list(Attempt.objects.order_by("gate_at").values_list("gate_at", flat=True))


class TestSameText:
    """Several in doubt with the same text to the same address."""

    @pytest.fixture(autouse=True)
    def _in_doubt(self, three: list[FollowUpSchedule], provider: ScriptedChannel, run_queue: Any) -> None:
        run_queue()
        assert states() == [State.IN_DOUBT] * 3
        for number, attempt in enumerate(Attempt.objects.order_by("gate_at")):
            Attempt.objects.filter(pk=attempt.pk).update(
                gate_at=now() - timedelta(hours=2) + number * timedelta(seconds=10)
            )

    def owners(self) -> list[str]:
        return list(Attempt.objects.order_by("gate_at").values_list("provider_message_id", flat=True))

    def test_each_finds_its_own(self, provider: ScriptedChannel) -> None:
        first, second, third = (moment + timedelta(seconds=1) for moment in gates())
        provider.sighting = listed(SM3=third, SM1=first, SM2=second)
        assert reconcile() == 3
        assert self.owners() == ["SM1", "SM2", "SM3"]

    def test_the_one_that_was_not_taken_is_tried_again_and_no_other(
        self, three: list[FollowUpSchedule], provider: ScriptedChannel, run_queue: Any
    ) -> None:
        first, _, third = gates()
        provider.sighting = listed(SM3=third, SM1=first)
        assert reconcile() == 2
        assert self.owners() == ["SM1", "", "SM3"]
        assert look(61) == 1
        assert states() == [State.PENDING, State.SENT, State.SENT]
        make_due(*three)
        run_queue()
        assert states() == [State.SENT] * 3
        assert len(provider.taken) == 4

    def test_what_another_attempt_was_reported_with_is_not_taken(self, provider: ScriptedChannel) -> None:
        attempts = list(Attempt.objects.order_by("gate_at"))
        ProviderEvent.objects.create(  # stored, not applied yet
            provider="scripted",
            event_key="1",
            kind="delivered",
            provider_message_id="SM1",
            attempt_reference=str(attempts[2].pk),
        )
        provider.sighting = listed(SM1=gates()[0])
        reconcile()
        assert self.owners() == ["", "", "SM1"]

    def test_a_call_on_its_way_keeps_its_message(
        self, provider: ScriptedChannel, three: list[FollowUpSchedule]
    ) -> None:
        *_, last = Attempt.objects.order_by("gate_at")
        Attempt.objects.filter(pk=last.pk).update(state=AttemptState.CALLING, gate_at=now())
        provider.sighting = listed(SM3=now())
        assert reconcile() == 0
        settle(attempt_id=last.pk, outcome=Accepted("SM3"))
        assert self.owners() == ["", "", "SM3"]

    def test_what_is_known_for_certain_takes_a_message_back(self, provider: ScriptedChannel) -> None:
        first, second, _ = Attempt.objects.order_by("gate_at")
        provider.sighting = listed(SM2=first.gate_at)
        reconcile()
        assert self.owners() == ["SM2", "", ""]
        record_receipt(
            Receipt(
                "scripted",
                "1",
                ReceiptKind.DELIVERED,
                attempt_reference=str(second.pk),
                provider_message_id="SM2",
            )
        )
        assert self.owners() == ["", "SM2", ""]
        first.refresh_from_db()
        assert (first.state, first.looks) == (AttemptState.IN_DOUBT, 0)
        assert states() == [State.DELIVERED, State.IN_DOUBT, State.IN_DOUBT]
        provider.sighting = listed(SM2=first.gate_at)
        assert (look(61), look(61)) == (1, 1)  # now it's another's: the other two are proved absent
        assert states() == [State.DELIVERED, State.PENDING, State.PENDING]

    def test_the_database_lets_no_message_have_two_owners(self) -> None:
        first, second, _ = Attempt.objects.order_by("gate_at")
        fields = {"state": AttemptState.ACCEPTED, "provider_message_id": "SM1", "finished_at": now()}
        Attempt.objects.filter(pk=first.pk).update(**fields)
        with pytest.raises(IntegrityError, match="attempt_message_has_one_owner"):
            Attempt.objects.filter(pk=second.pk).update(**fields)


def test_without_texts_any_message_to_the_address_may_be_ours(
    three: list[FollowUpSchedule], provider: ScriptedChannel, run_queue: Any
) -> None:
    run_queue()
    provider.finds_by_text = False
    for attempt, text in zip(Attempt.objects.all(), "abc", strict=True):
        Attempt.objects.filter(pk=attempt.pk).update(body_hash=text)
    provider.sighting = listed(SM1=gates()[0], SM2=gates()[1])
    assert look() == 2
    assert states() == [State.IN_DOUBT, State.SENT, State.SENT]


@pytest.fixture
def one(three: list[FollowUpSchedule], provider: ScriptedChannel) -> FollowUpSchedule:
    """An email, due now, whose answer never comes."""
    FollowUpSchedule.objects.exclude(pk=three[0].pk).update(due_at=now() + timedelta(days=1))
    provider.script = [OutcomeUnknown("timeout")] * 9
    return three[0]


def reload(follow_up: FollowUpSchedule) -> FollowUpSchedule:
    return FollowUpSchedule.objects.get(pk=follow_up.pk)


class TestNobodyToAsk:
    """Plain SMTP: at least once, bounded."""

    @pytest.fixture(autouse=True)
    def _in_doubt(self, one: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any) -> None:
        provider.can_be_asked, provider.repeats_in_doubt = False, 1
        run_queue()

    def run_again(self, one: FollowUpSchedule, run_queue: Any) -> None:
        make_due(one)
        run_queue()

    def test_it_is_sent_once_more_after_two_looks(
        self, one: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
    ) -> None:
        provider.script = []
        assert reconcile() == 0  # not before the settle delay
        assert look() == 0
        assert reconcile() == 0  # not before the interval
        assert look(61) == 1
        assert reload(one).status == State.PENDING
        self.run_again(one, run_queue)
        assert (reload(one).status, len(provider.taken)) == (State.SENT, 2)
        first, second = provider.taken
        assert first.follow_up_id == second.follow_up_id  # whence the Message-ID

    def test_in_doubt_again_it_fails_and_is_refunded(
        self, one: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
    ) -> None:
        assert (look(), look(61)) == (0, 1)
        self.run_again(one, run_queue)
        assert reload(one).status == State.IN_DOUBT
        assert (look(), look(61)) == (0, 1)
        failed = reload(one)
        assert (failed.status, failed.failure_code, failed.credits_refunded) == (State.FAILED, "no_proof", 5)
        assert len(provider.taken) == 2

    def test_a_try_that_was_not_processed_in_between_gives_no_second_repeat(
        self, one: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
    ) -> None:
        assert (look(), look(61)) == (0, 1)
        provider.script = [NotProcessed("no_connection"), OutcomeUnknown("timeout")]
        self.run_again(one, run_queue)
        self.run_again(one, run_queue)
        assert (look(), look(61)) == (0, 1)
        assert (reload(one).status, len(provider.taken)) == (State.FAILED, 3)

    def test_a_report_during_the_looks_spares_the_repeat(self, one: FollowUpSchedule) -> None:
        assert look() == 0
        attempt = Attempt.objects.get(follow_up=one)
        record_receipt(Receipt("scripted", "1", ReceiptKind.ACCEPTED, attempt_reference=str(attempt.pk)))
        assert look(61) == 0
        assert reload(one).status == State.SENT

    def test_a_late_answer_stops_the_repeat(
        self, one: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
    ) -> None:
        assert (look(), look(61)) == (0, 1)
        attempt = Attempt.objects.get(follow_up=one)
        settle(attempt_id=attempt.pk, outcome=Accepted("<1@here>"))
        assert (reload(one).status, reload(one).provider_message_id) == (State.SENT, "<1@here>")
        self.run_again(one, run_queue)
        assert len(provider.taken) == 1


class TestKeys:
    """A provider with idempotency keys."""

    @pytest.fixture(autouse=True)
    def _in_doubt(self, one: FollowUpSchedule, provider: ScriptedChannel) -> None:
        provider.can_be_asked, provider.keeps_key_for = False, timedelta(hours=20)

    def test_inside_the_keys_time_an_unknown_outcome_is_simply_tried_again(
        self, one: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
    ) -> None:
        provider.script = [OutcomeUnknown("timeout")] * 2
        for _ in range(3):
            run_queue()
            FollowUpSchedule.objects.filter(pk=one.pk, status=State.PENDING).update(due_at=now())
        assert (reload(one).status, len(provider.taken)) == (State.SENT, 3)

    def test_after_it_nothing_is_repeated(
        self, one: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
    ) -> None:
        run_queue()
        assert reload(one).status == State.PENDING
        Attempt.objects.update(gate_at=now() - timedelta(hours=21))
        FollowUpSchedule.objects.filter(pk=one.pk).update(due_at=now())
        run_queue()  # the provider may have forgotten the key: the gate says no
        assert (reload(one).status, reload(one).failure_code) == (State.FAILED, "no_proof")
        assert len(provider.taken) == 1

    def test_a_key_that_lapses_during_the_call_leaves_doubt_that_ends(
        self, one: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
    ) -> None:
        def time_out_late(message: Message) -> Accepted:
            Attempt.objects.update(gate_at=now() - timedelta(hours=21))
            raise OutcomeUnknown("timeout")

        provider.script = [time_out_late]
        run_queue()
        assert reload(one).status == State.IN_DOUBT
        assert (look(), look(61)) == (0, 1)
        assert (reload(one).status, reload(one).failure_code) == (State.FAILED, "no_proof")


class TestLateAnswers:
    """A worker comes back with the provider's answer when the attempt was proved absent."""

    @pytest.fixture
    def absent(self, one: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any) -> Attempt:
        run_queue()
        provider.sighting = NOTHING
        assert (look(), look(61)) == (0, 1)
        return Attempt.objects.get(follow_up=one)

    def test_accepted_after_all_it_is_not_sent_again(
        self, absent: Attempt, one: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
    ) -> None:
        settle(attempt_id=absent.pk, outcome=Accepted("SM1"))
        assert (reload(one).status, reload(one).provider_message_id) == (State.SENT, "SM1")
        absent.refresh_from_db()
        assert absent.state == AttemptState.ACCEPTED
        make_due(one)
        run_queue()
        assert len(provider.taken) == 1

    def test_claimed_but_not_through_the_gate_it_is_not_sent_again(
        self, absent: Attempt, one: FollowUpSchedule, provider: ScriptedChannel
    ) -> None:
        make_due(one)
        (claim,) = claim_due(limit=1)
        settle(attempt_id=absent.pk, outcome=Accepted("SM1"))
        deliver(follow_up_id=claim.follow_up_id, token=claim.token)
        assert (reload(one).status, len(provider.taken)) == (State.SENT, 1)

    def test_any_other_late_answer_changes_nothing(self, absent: Attempt, one: FollowUpSchedule) -> None:
        for outcome in (Rejected("21610", "STOP."), NotProcessed("429"), OutcomeUnknown("timeout")):
            settle(attempt_id=absent.pk, outcome=outcome)
        absent.refresh_from_db()
        assert (absent.state, reload(one).status) == (AttemptState.ABSENT, State.PENDING)

    def test_a_refund_stands(self, absent: Attempt, one: FollowUpSchedule) -> None:
        cancel_follow_up(follow_up_id=one.pk)
        settle(attempt_id=absent.pk, outcome=Accepted("SM1"))
        absent.refresh_from_db()
        assert (absent.state, absent.provider_message_id) == (AttemptState.ACCEPTED, "SM1")
        assert (reload(one).status, reload(one).credits_refunded) == (State.CANCELLED, 5)


def test_a_provider_that_does_not_answer_is_left_alone_for_this_run(
    three: list[FollowUpSchedule], provider: ScriptedChannel, run_queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_queue()
    asked: list[Any] = []

    def find(**fields: Any) -> Sighting:
        asked.append(fields)
        raise OutcomeUnknown("timeout")

    monkeypatch.setattr(reconciling, "FAILED_LOOKS", 2)
    monkeypatch.setattr(provider, "find", find)
    assert look() == 0
    assert len(asked) == 4  # two attempts, each a second time at once
    assert states() == [State.IN_DOUBT] * 3


def test_another_provider_is_not_asked_about_what_it_never_saw(
    one: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
) -> None:
    run_queue()
    provider.provider, provider.sighting = "another", NOTHING
    assert (look(), look(), look()) == (0, 0, 0)
    assert look(86_400) == 1
    assert reload(one).failure_code == "no_proof"


def test_looks_keep_the_interval_that_is_set(
    one: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any, settings: Settings
) -> None:
    settings.FOLLOWUP_LOOK_INTERVAL_SECONDS = 600
    run_queue()
    provider.sighting = NOTHING
    assert (look(), look(590), look(20)) == (0, 0, 1)


def test_proof_is_waited_for_as_long_as_is_set(
    one: FollowUpSchedule, run_queue: Any, settings: Settings
) -> None:
    settings.FOLLOWUP_NO_PROOF_HOURS = 2
    run_queue()
    assert (look(), look(1_800)) == (0, 0)
    assert look(1_830) == 1
    assert reload(one).failure_code == "no_proof"


def test_a_look_that_fails_between_two_misses_says_nothing(
    one: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
) -> None:
    run_queue()
    for sighting, resolved in ((NOTHING, 0), (OutcomeUnknown("503"), 0), (CANNOT_TELL, 0), (NOTHING, 1)):
        provider.sighting = sighting
        assert look() == resolved
    assert Attempt.objects.get(follow_up=one).state == AttemptState.ABSENT


class TestOneAtATime:
    """What the provider's list could not tell apart is not under way at the same time."""

    def test_the_same_text_to_the_same_address_need_not_wait(
        self, three: list[FollowUpSchedule], provider: ScriptedChannel, run_queue: Any
    ) -> None:
        run_queue()
        assert states() == [State.IN_DOUBT] * 3

    def test_without_texts_any_message_to_the_address_waits(
        self, three: list[FollowUpSchedule], provider: ScriptedChannel, run_queue: Any
    ) -> None:
        provider.finds_by_text = False
        run_queue()
        waiting = FollowUpSchedule.objects.filter(status=State.PENDING)
        assert {(each.failure_code, each.tries) for each in waiting} == {("one_at_a_time", 0)}
        assert all(now() < each.due_at < now() + timedelta(minutes=1) for each in waiting)
        Attempt.objects.update(body_hash="another")
        make_due(*three[1:])
        run_queue()
        assert states() == [State.IN_DOUBT, State.PENDING, State.PENDING]

    def test_once_it_is_resolved_the_next_one_goes(
        self, three: list[FollowUpSchedule], provider: ScriptedChannel, run_queue: Any
    ) -> None:
        provider.finds_by_text = False
        provider.script = [OutcomeUnknown("timeout")]
        run_queue()
        provider.sighting = listed(SM1=now())
        assert look() == 1
        make_due(*three)
        run_queue()
        assert states() == [State.SENT] * 3


def test_a_look_that_fails_is_tried_once_more_at_once(
    one: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_queue()
    answers: list[Any] = [OutcomeUnknown("503"), listed(SM1=now())]

    def find(**_: Any) -> Sighting:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(provider, "find", find)
    assert look() == 1
    assert reload(one).provider_message_id == "SM1"
