"""What threads ask at about the same time is done together, and each gets its own answer after the commit."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError
from django.utils.timezone import now
from pytest_django import Settings

from followups.addresses import hash_address
from followups.channels.base import Accepted
from followups.choices import AttemptState, State
from followups.exceptions import NotProcessed, OutcomeUnknown
from followups.models import Attempt, FollowUpSchedule, RecipientPreference, Suppression
from followups.services.accepting import Ended, settle_all
from followups.services.delivery import Ticket, begin, enter
from followups.services.dispatch import claim_due
from followups.services.gating import Begun, Passed, pass_gate
from followups.services.grouping import ALONE, LARGEST_GROUP, Group
from followups.services.scheduling import schedule_follow_up
from followups.services.settling import Outcome
from tests.factories import UserFactory
from tests.followups.conftest import ScriptedChannel


def told(attempt_id: UUID, outcome: Outcome) -> Ended:
    return Ended(attempt_id, "email", outcome)


class Counting:
    """Doubles numbers, slowly, and remembers its batches."""

    def __init__(self, *, spoilt: int | None = None, alone: int | None = None) -> None:
        self.batches: list[Sequence[int]] = []
        self.spoilt, self.alone = spoilt, alone

    def __call__(self, numbers: Sequence[int]) -> list[Any]:
        self.batches.append(numbers)
        time.sleep(0.02)
        if self.spoilt in numbers:
            raise DatabaseError
        return [ALONE if number == self.alone and len(numbers) > 1 else 2 * number for number in numbers]


def ask_at_once(group: Group[int, int], numbers: Sequence[int]) -> list[Any]:
    answers: list[Any] = [None] * len(numbers)
    start = threading.Barrier(len(numbers))

    def ask(place: int) -> None:
        start.wait()
        try:
            answers[place] = group.ask(numbers[place])
        except Exception as error:
            answers[place] = error

    threads = [threading.Thread(target=ask, args=[place]) for place in range(len(numbers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()
    return answers


def test_everybody_gets_their_own_answer_and_few_batches_are_needed() -> None:
    act = Counting()
    numbers = list(range(200))
    assert ask_at_once(Group(act), numbers) == [2 * number for number in numbers]
    assert sorted(number for batch in act.batches for number in batch) == numbers, "each was asked once"
    assert len(act.batches) < 40
    assert max(map(len, act.batches)) <= LARGEST_GROUP


def test_one_by_one_nobody_waits_for_others() -> None:
    act = Counting()
    group = Group(act)
    assert [group.ask(number) for number in range(3)] == [0, 2, 4]
    assert act.batches == [[0], [1], [2]]


def test_a_batch_that_fails_is_asked_again_one_by_one() -> None:
    answers = ask_at_once(Group(Counting(spoilt=7)), list(range(20)))
    assert isinstance(answers.pop(7), DatabaseError)
    assert answers == [2 * number for number in range(20) if number != 7]


def test_what_a_batch_leaves_alone_is_done_alone() -> None:
    act = Counting(alone=5)
    assert ask_at_once(Group(act), list(range(20))) == [2 * number for number in range(20)]
    assert [5] in act.batches


def test_it_goes_on_after_a_failure() -> None:
    group = Group(Counting(spoilt=1))
    with pytest.raises(DatabaseError):
        group.ask(1)
    assert group.ask(2) == 4


def test_switched_off_everybody_asks_alone(settings: Settings) -> None:
    settings.FOLLOWUP_GROUP_COMMIT = False
    act = Counting()
    ask_at_once(Group(act), list(range(10)))
    assert {len(batch) for batch in act.batches} == {1}


@pytest.fixture
def begun(make_template: Any, provider: ScriptedChannel) -> list[Begun]:
    """Six follow-ups of six people, begun."""
    template = make_template(channel="email", credits_cost=0)
    for number in range(6):
        schedule_follow_up(user=UserFactory(name=f"P {number}"), template_id=template.pk, scheduled_at=now())
    claims = claim_due(limit=10)
    found = [each for each in begin([Ticket(claim.follow_up_id, claim.token) for claim in claims]) if each]
    assert len(found) == 6
    return found


@pytest.mark.django_db
class TestGate:
    def test_all_that_may_go_pass_together_with_their_own_words(self, begun: list[Begun]) -> None:
        passed = pass_gate(begun)
        assert all(isinstance(each, Passed) for each in passed)
        for mine, each in zip(passed, begun, strict=True):
            assert isinstance(mine, Passed)
            follow_up = FollowUpSchedule.objects.get(pk=each.follow_up_id)
            attempt = follow_up.attempts.get()
            assert (mine.message.follow_up_id, mine.message.attempt_id) == (follow_up.pk, attempt.pk)
            assert mine.message.to == (follow_up.user.email,)
            assert follow_up.user.name in follow_up.message_sent
            assert follow_up.message_sent in mine.message.text
            assert (attempt.number, attempt.state) == (1, AttemptState.CALLING)

    def test_who_may_not_go_is_left_alone_and_holds_up_nobody(self, begun: list[Begun]) -> None:
        readers = [FollowUpSchedule.objects.get(pk=each.follow_up_id).user for each in begun]
        RecipientPreference.objects.create(user=readers[0], channels_off=["email"])
        readers[1].is_active = False
        readers[1].save()
        stale = Begun(begun[2].follow_up_id, uuid4(), "email")
        passed = pass_gate([*begun[:2], stale, *begun[3:]])
        assert passed[:3] == [ALONE, ALONE, None]
        assert all(isinstance(each, Passed) for each in passed[3:])
        assert Attempt.objects.count() == 3
        assert [pass_gate([each]) for each in begun[:2]] == [[None], [None]]
        failed = FollowUpSchedule.objects.filter(user__in=readers[:2])
        assert set(failed.values_list("failure_code", flat=True)) == {"opted_out", "user_inactive"}

    def test_a_suppressed_address_of_one_stops_only_that_one(self, begun: list[Begun]) -> None:
        first, second = (FollowUpSchedule.objects.get(pk=each.follow_up_id).user for each in begun[:2])
        address_hash = hash_address(first.email)
        Suppression.objects.create(channel="email", address_hash=address_hash, reason="hard_bounce")
        Suppression.objects.create(channel="sms", address_hash=hash_address(second.email), reason="blocked")
        passed = pass_gate(begun)
        assert passed[0] is ALONE
        assert all(isinstance(each, Passed) for each in passed[1:])

    def test_one_asked_for_twice_passes_once(self, begun: list[Begun]) -> None:
        passed = pass_gate([begun[0], begun[0]])
        assert [each is None for each in passed] == [False, True]
        assert Attempt.objects.count() == 1


@pytest.mark.django_db
def test_a_gate_that_breaks_for_a_group_is_before_each_of_it_again(
    begun: list[Begun], settings: Settings, tmp_path: Path
) -> None:
    settings.FAILPOINTS, settings.FAILPOINTS_DIR = {"in_gate": "raise"}, str(tmp_path)
    turns = enter(begun)
    assert [turn.passed for turn in turns] == [ALONE] * 6
    assert Attempt.objects.count() == 0
    assert all(isinstance(pass_gate([turn.begun])[0], Passed) for turn in turns)


@pytest.mark.django_db
class TestSettling:
    @pytest.fixture
    def called(self, begun: list[Begun]) -> list[UUID]:
        """The attempts of six messages that passed the gate."""
        return [each.message.attempt_id for each in pass_gate(begun) if isinstance(each, Passed)]

    def test_acceptances_are_written_together(self, called: list[UUID]) -> None:
        ended = [
            told(attempt_id, Accepted(f"id-{number}", delivered=number == 1, details={"n": number}))
            for number, attempt_id in enumerate(called)
        ]
        assert settle_all(ended) == [None] * 6
        for number, attempt_id in enumerate(called):
            attempt = Attempt.objects.select_related("follow_up").get(pk=attempt_id)
            follow_up = attempt.follow_up
            assert (attempt.state, attempt.provider_message_id) == (AttemptState.ACCEPTED, f"id-{number}")
            assert attempt.details == {"n": number}
            assert follow_up.status == (State.DELIVERED if number == 1 else State.SENT)
            assert follow_up.sent_at == attempt.finished_at
            assert follow_up.delivered_at == (attempt.finished_at if number == 1 else None)
            assert (follow_up.claim_token, follow_up.lease_until) == (None, None)
            assert follow_up.provider_message_id == f"id-{number}"

    def test_every_other_ending_is_left_alone(self, called: list[UUID]) -> None:
        endings: list[Outcome] = [Accepted("a"), OutcomeUnknown("timeout"), NotProcessed("429"), Accepted("")]
        ended = [told(attempt_id, ending) for attempt_id, ending in zip(called[:4], endings, strict=True)]
        assert settle_all(ended) == [None, ALONE, ALONE, None]
        assert [settle_all([each]) for each in ended[1:3]] == [[None], [None]]
        statuses = [FollowUpSchedule.objects.get(attempts=each).status for each in called]
        assert statuses == ["sent", "in_doubt", "pending", "sent", "sending", "sending"]

    def test_a_message_that_has_an_owner_is_left_alone(self, called: list[UUID]) -> None:
        settle_all([told(called[0], Accepted("taken"))])
        assert settle_all([told(called[1], Accepted("taken")), told(called[2], Accepted("own"))]) == [
            ALONE,
            None,
        ]
        settle_all([told(called[1], Accepted("taken"))])
        assert Attempt.objects.get(pk=called[1]).provider_message_id == ""
        assert FollowUpSchedule.objects.get(attempts=called[1]).status == State.SENT

    def test_what_a_report_has_settled_meanwhile_stays(self, called: list[UUID]) -> None:
        settle_all([told(called[0], Accepted("first"))])
        assert settle_all([told(called[0], Accepted("second")), told(called[1], Accepted("b"))]) == [
            ALONE,
            None,
        ]
        settle_all([told(called[0], Accepted("second"))])
        assert Attempt.objects.get(pk=called[0]).provider_message_id == "first"
