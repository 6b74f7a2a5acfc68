"""Races on real threads and real connections: money and limits hold."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now
from rest_framework.test import APIClient

from credits.models import CreditEntry
from credits.selectors import balance_of, imbalances
from credits.services import grant
from followups.choices import State
from followups.models import FollowUpSchedule
from followups.services.delivery import deliver
from followups.services.dispatch import claim_due
from followups.services.planning import plan_session
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.withdrawing import cancel_follow_up
from jyotiflow.accounts.models import User
from tests.factories import SessionFactory

pytestmark = pytest.mark.django_db(transaction=True)

SCHEDULE = "/api/followup/schedule"


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def test_twenty_requests_with_credits_for_three(user: User, make_template: Any, in_parallel: Any) -> None:
    grant(user=user, amount=17, reason="test", key="g")
    update_settings(changes={"min_interval_hours": 0})
    body = {"template_id": str(make_template().pk)}

    def ask(day: int) -> Any:
        when = (now() + timedelta(days=1, minutes=day)).isoformat()
        return client_of(user).post(SCHEDULE, {**body, "scheduled_at": when}, format="json").status_code

    statuses = in_parallel(*(lambda day=day: ask(day) for day in range(20)))
    assert sorted(statuses) == [201] * 3 + [402] * 17
    assert balance_of(user) == 2
    assert FollowUpSchedule.objects.count() == 3
    assert imbalances() == []


def test_ten_repeats_of_one_key(rich_user: User, make_template: Any, in_parallel: Any) -> None:
    body = {"template_id": str(make_template().pk), "scheduled_at": (now() + timedelta(days=2)).isoformat()}

    def ask() -> Any:
        return client_of(rich_user).post(SCHEDULE, body, format="json", headers={"Idempotency-Key": "one"})

    answers = in_parallel(*[ask] * 10)
    assert [answer.status_code for answer in answers] == [201] * 10
    assert len({answer.content for answer in answers}) == 1
    assert FollowUpSchedule.objects.count() == 1
    assert CreditEntry.objects.filter(kind="charge").count() == 1


def test_the_session_limit_and_the_interval_are_not_raced(
    rich_user: User, make_template: Any, in_parallel: Any
) -> None:
    session = SessionFactory(user=rich_user, completed=True)
    template = make_template(credits_cost=1)
    update_settings(changes={"min_interval_hours": 1})

    def ask(hours: int) -> Any:
        return schedule_follow_up(
            user=rich_user,
            template_id=template.pk,
            session_id=session.pk,
            scheduled_at=now() + timedelta(hours=hours),
        )

    made = [
        each
        for each in in_parallel(*(lambda n=n: ask(1 + n // 2) for n in range(12)))
        if not isinstance(each, Exception)
    ]
    assert len(made) == 3
    session.refresh_from_db()
    assert session.follow_up_count == 3
    times = sorted(follow_up.scheduled_at for follow_up in made)
    assert all(
        later - earlier > timedelta(minutes=59) for earlier, later in zip(times, times[1:], strict=False)
    )


def test_a_session_announced_ten_times_is_planned_once(
    rich_user: User, make_template: Any, in_parallel: Any
) -> None:
    make_template(sequence_order=1)
    session = SessionFactory(user=rich_user, completed=True)
    in_parallel(*[lambda: plan_session(session_id=session.pk)] * 10)
    assert FollowUpSchedule.objects.count() == 1
    assert balance_of(rich_user) == 95


def test_cancelling_against_sending_has_one_winner(
    rich_user: User, make_template: Any, in_parallel: Any
) -> None:
    update_settings(changes={"min_interval_hours": 0})
    template = make_template(credits_cost=1)
    booked = [
        schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now()) for _ in range(20)
    ]

    def send() -> None:
        for claim in claim_due(limit=50):
            deliver(follow_up_id=claim.follow_up_id, token=claim.token)

    def cancel(follow_up_id: uuid.UUID) -> Any:
        return cancel_follow_up(follow_up_id=follow_up_id)

    in_parallel(*(lambda pk=each.pk: cancel(pk) for each in booked[:10]), send, send)
    send()
    for follow_up in FollowUpSchedule.objects.all():
        assert follow_up.status in (State.DELIVERED, State.CANCELLED)
        assert follow_up.credits_refunded == (follow_up.status == State.CANCELLED)
        assert hasattr(follow_up, "in_app_message") == (follow_up.status == State.DELIVERED)
    assert balance_of(rich_user) == 80 + FollowUpSchedule.objects.filter(status=State.CANCELLED).count()
    assert imbalances() == []


def test_one_claim_delivered_by_many_workers_is_sent_once(
    rich_user: User, make_template: Any, provider: Any, in_parallel: Any
) -> None:
    schedule_follow_up(user=rich_user, template_id=make_template(channel="email").pk, scheduled_at=now())
    (claim,) = claim_due(limit=1)
    in_parallel(*[lambda: deliver(follow_up_id=claim.follow_up_id, token=claim.token)] * 8)
    assert len(provider.taken) == 1
