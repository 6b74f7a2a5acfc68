"""A claim is one worker's, once, while its lease lasts; and the call comes after the commit."""

from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.utils.timezone import now

from followups.channels.base import Accepted
from followups.choices import AttemptState, State
from followups.models import Attempt, FollowUpSchedule
from followups.services import delivery
from followups.services.dispatch import claim_due
from followups.services.rescuing import rescue_expired
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from jyotiflow.accounts.models import User
from tests.followups.conftest import ScriptedChannel
from tests.followups.steps import begin, pass_gate

pytestmark = pytest.mark.django_db


@pytest.fixture
def book(rich_user: User, make_template: Any, provider: ScriptedChannel) -> Any:
    """Books emails, due now unless told otherwise."""
    update_settings(changes={"min_interval_hours": 0})
    template = make_template(channel="email", credits_cost=0)

    def one(hours: float = 0) -> FollowUpSchedule:
        at = now() + timedelta(hours=hours)
        return schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=at)

    return one


def in_a_thread(act: Any) -> Any:
    """What ``act`` answers or raises in a thread, which has a connection to the database of its own."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(act())
        except Exception as error:
            answers.append(error)
        finally:
            connection.close()

    thread = Thread(target=run)
    thread.start()
    thread.join()
    return answers[0]


def test_what_is_not_due_is_not_claimed(book: Any) -> None:
    due, _ = book(), book(hours=1)
    assert [claim.follow_up_id for claim in claim_due(limit=10)] == [due.pk]


@pytest.mark.django_db(transaction=True)
def test_who_claims_waits_for_nobody_and_gets_nobodys_rows(book: Any) -> None:
    for _ in range(3):
        book()

    def impatient() -> Any:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '5s'")
            return claim_due(limit=10)

    with transaction.atomic():
        first = claim_due(limit=2)
        others = in_a_thread(impatient)
    assert not isinstance(others, OperationalError)
    assert (len(first), len(others)) == (2, 1)
    assert {claim.follow_up_id for claim in first}.isdisjoint(claim.follow_up_id for claim in others)


def test_a_claim_is_begun_once(book: Any) -> None:
    book()
    (claim,) = claim_due(limit=1)
    first = begin(follow_up_id=claim.follow_up_id, token=claim.token)
    assert first is not None
    assert first.token != claim.token
    assert begin(follow_up_id=claim.follow_up_id, token=claim.token) is None


def test_a_worker_whose_claim_went_to_another_does_not_pass_the_gate(book: Any) -> None:
    follow_up = book()
    tokens = []
    for _ in range(2):
        (claim,) = claim_due(limit=1)
        begun = begin(follow_up_id=claim.follow_up_id, token=claim.token)
        assert begun is not None
        tokens.append(begun.token)
        if len(tokens) == 1:  # it freezes, its lease ends, and another takes over
            FollowUpSchedule.objects.update(lease_until=now() - timedelta(seconds=1))
            assert rescue_expired() == 1
    assert pass_gate(follow_up_id=follow_up.pk, token=tokens[0]) is None
    assert not Attempt.objects.exists()
    assert pass_gate(follow_up_id=follow_up.pk, token=tokens[1]) is not None


@pytest.mark.django_db(transaction=True)
def test_while_the_provider_is_called_everybody_sees_the_attempt(
    book: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    seen: list[Any] = []

    def look(_: Any) -> Accepted:
        seen.append(in_a_thread(lambda: list(Attempt.objects.values_list("state", flat=True))))
        return Accepted("id-1")

    book()
    provider.script = [look]
    run_queue()
    assert seen == [[AttemptState.CALLING]]


def test_what_took_too_long_to_the_wire_goes_back_and_is_no_try(
    book: Any, provider: ScriptedChannel, run_queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow_up = book()
    with monkeypatch.context() as frozen:
        frozen.setattr(delivery, "LONGEST_GATE_SECONDS", -1)  # so whatever it takes is too long
        assert run_queue() == 1
    follow_up.refresh_from_db()
    assert provider.taken == []
    assert (follow_up.status, follow_up.tries, follow_up.failure_code) == (State.PENDING, 0, "stale_gate")
    assert Attempt.objects.get().state == AttemptState.NOT_PROCESSED
    FollowUpSchedule.objects.update(due_at=now())
    run_queue()
    assert len(provider.taken) == 1
