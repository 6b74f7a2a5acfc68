"""Reports of providers through the real doors: whatever their order, and each doubled, they end the same."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import transaction
from django.utils.timezone import now
from pytest_django import Settings

from credits.selectors import balance_of, imbalances, statement_of
from followups.channels import get_channel
from followups.choices import State
from followups.exceptions import OutcomeUnknown
from followups.models import FollowUpSchedule, ProviderEvent, Suppression
from followups.selectors.recipients import reachability
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import User
from tests.followups.callbacks import (
    ACCOUNT,
    SIGNING_KEY,
    TOKEN,
    WEBHOOK_SECRET,
    Callback,
    mailgun_callback,
    twilio_callback,
)
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db

SID = f"SM{9:032x}"
ORDERS, ORDERS_OF_FIVE = 720, 120


@dataclass(frozen=True)
class End:
    """What must be the same whatever the order: the state, its times, the credits, the reader's wishes."""

    status: str
    failure_code: str
    sent: bool
    delivered_at: datetime | None
    read_at: datetime | None
    failed: bool
    credits_refunded: int
    movements: tuple[int, ...]
    balance: int
    events: int
    is_suppressed: bool
    has_opted_out: bool


@pytest.fixture
def send(rich_user: User, make_template: Any, settings: Settings, run_queue: Any) -> Iterator[Any]:
    """Sends a message for 5 of 100 credits; the answer of its provider may be lost."""
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = ACCOUNT, TOKEN
    settings.EMAIL_ESP = "mailgun"
    settings.ANYMAIL = {"WEBHOOK_SECRET": WEBHOOK_SECRET, "MAILGUN_WEBHOOK_SIGNING_KEY": SIGNING_KEY}

    def run(channel: str, *, answer_is_lost: bool = False) -> FollowUpSchedule:
        options = {"provider": "twilio" if channel == "sms" else "mailgun"}
        far_end = {"BACKEND": "tests.followups.conftest.ScriptedChannel", "OPTIONS": options}
        settings.FOLLOWUP_CHANNELS = {**settings.FOLLOWUP_CHANNELS, channel: far_end}
        get_channel.cache_clear()
        provider = get_channel(channel)
        assert isinstance(provider, ScriptedChannel)
        provider.script = [OutcomeUnknown("timeout")] if answer_is_lost else []
        template = make_template(channel=channel)
        follow_up = schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now())
        assert run_queue() == 1
        return follow_up

    yield run
    get_channel.cache_clear()


def every_order(callbacks: Mapping[str, Callback]) -> Iterator[tuple[str, ...]]:
    """Goes through all orders, each callback sent twice; at the end of each the first comes a third time.

    Orders that begin alike share their beginning: a savepoint at each fork instead of a run an order. The
    views are called without the middleware around them, which adds nothing but time here.
    """

    def walk(order: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if len(order) == len(callbacks):
            assert callbacks[order[0]].call() == 200
            yield order
        for name in [name for name in callbacks if name not in order]:
            with undone():
                for _ in range(2):
                    assert callbacks[name].call() == 200
                yield from walk((*order, name))

    return walk(())


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def end_of(follow_up: FollowUpSchedule) -> End:
    row = FollowUpSchedule.objects.get(pk=follow_up.pk)
    return End(
        status=row.status,
        failure_code=row.failure_code,
        sent=row.sent_at is not None,
        delivered_at=row.delivered_at,
        read_at=row.read_at,
        failed=row.failed_at is not None,
        credits_refunded=row.credits_refunded,
        movements=tuple(
            statement_of(row.user).order_by("created_at", "amount").values_list("amount", flat=True)
        ),
        balance=balance_of(row.user),
        events=ProviderEvent.objects.filter(attempt__follow_up=row, applied_at__isnull=False).count(),
        is_suppressed=Suppression.objects.filter(channel=row.channel).exists(),
        has_opted_out=reachability(user=row.user, channel=row.channel).has_opted_out,
    )


def twilio_reports(follow_up: FollowUpSchedule, *statuses: str, code: str = "") -> dict[str, Callback]:
    attempt = follow_up.attempts.get().pk
    return {
        status: twilio_callback(status, attempt=attempt, sid=SID, **({"ErrorCode": code} if code else {}))
        for status in statuses
    }


def mailgun_reports(follow_up: FollowUpSchedule, **events: dict[str, Any]) -> dict[str, Callback]:
    """One event a second from now on, in the order they are given."""
    attempt, began = follow_up.attempts.get().pk, now().timestamp()
    return {
        name: mailgun_callback(attempt=attempt, at=began + number, number=number, **fields)
        for number, (name, fields) in enumerate(events.items(), start=1)
    }


def test_an_sms_that_was_read_is_read_whatever_the_order(send: Any) -> None:
    follow_up = send("sms", answer_is_lost=True)
    reports = twilio_reports(follow_up, "accepted", "queued", "sending", "sent", "delivered", "read")
    with time_machine.travel(now(), tick=False):
        moment = now()
        ends = [end_of(follow_up) for _ in every_order(reports)]
    assert len(ends) == ORDERS
    assert set(ends) == {
        End(
            status=State.READ,
            failure_code="",
            sent=True,
            delivered_at=moment,
            read_at=moment,
            failed=False,
            credits_refunded=0,
            movements=(100, -5),
            balance=95,
            events=6,
            is_suppressed=False,
            has_opted_out=False,
        )
    }
    assert imbalances() == []


def test_an_sms_that_never_arrived_is_refunded_once_whatever_the_order(send: Any) -> None:
    follow_up = send("sms")
    reports = twilio_reports(follow_up, "queued", "sending", "sent")
    reports |= twilio_reports(follow_up, "undelivered", "failed", code="30006")
    ends = [end_of(follow_up) for _ in every_order(reports)]
    assert len(ends) == ORDERS_OF_FIVE
    assert set(ends) == {
        End(
            status=State.FAILED,
            failure_code="30006",
            sent=True,
            delivered_at=None,
            read_at=None,
            failed=True,
            credits_refunded=5,
            movements=(100, -5, 5),
            balance=100,
            events=5,
            is_suppressed=True,
            has_opted_out=False,
        )
    }
    assert imbalances() == []


def test_a_failure_that_is_contradicted_costs_nothing_only_if_it_was_reported_first(send: Any) -> None:
    follow_up = send("sms")
    reports = twilio_reports(follow_up, "sent", "delivered", "read")
    reports |= twilio_reports(follow_up, "undelivered", code="30007")
    for order in every_order(reports):
        end = end_of(follow_up)
        was_refunded = order.index("undelivered") < min(order.index("delivered"), order.index("read"))
        assert (end.status, end.events) == (State.READ, 4)
        assert end.movements == ((100, -5, 5) if was_refunded else (100, -5))
        assert (end.balance, end.credits_refunded) == ((100, 5) if was_refunded else (95, 0))
    assert imbalances() == []


def test_a_mail_that_was_read_is_read_at_its_times_whatever_the_order(send: Any) -> None:
    follow_up = send("email")
    reports = mailgun_reports(
        follow_up,
        delivered={"event": "delivered"},
        opened={"event": "opened", "client-info": {"user-agent": "Mozilla/5.0 (X11; Linux) Firefox/140.0"}},
        clicked={"event": "clicked"},
        complained={"event": "complained"},
        unsubscribed={"event": "unsubscribed"},
    )
    ends = [end_of(follow_up) for _ in every_order(reports)]
    assert len(ends) == ORDERS_OF_FIVE
    assert set(ends) == {
        End(
            status=State.READ,
            failure_code="",
            sent=True,
            delivered_at=ends[0].delivered_at,
            read_at=ends[0].read_at,
            failed=False,
            credits_refunded=0,
            movements=(100, -5),
            balance=95,
            events=5,
            is_suppressed=True,
            has_opted_out=True,
        )
    }
    assert ends[0].delivered_at is not None
    assert ends[0].read_at == ends[0].delivered_at + timedelta(seconds=1)
    assert imbalances() == []


def test_a_mail_that_bounced_is_refunded_once_whatever_the_order(send: Any) -> None:
    follow_up = send("email", answer_is_lost=True)
    reports = mailgun_reports(
        follow_up,
        accepted={"event": "accepted"},
        delayed={"event": "failed", "severity": "temporary"},
        delivered={"event": "delivered"},
        bounced={"event": "failed", "severity": "permanent", "reason": "bounce"},
        complained={"event": "complained"},
        unsubscribed={"event": "unsubscribed"},
    )
    ends = [end_of(follow_up) for _ in every_order(reports)]
    assert len(ends) == ORDERS
    assert {(end.status, end.failure_code, end.balance, end.movements) for end in ends} == {
        (State.FAILED, "permanent", 100, (100, -5, 5))
    }
    assert {(end.events, end.is_suppressed, end.has_opted_out, end.read_at) for end in ends} == {
        (6, True, True, None)
    }
    assert imbalances() == []
