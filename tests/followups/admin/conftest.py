"""Rows of every table the admin site shows, made the way the product makes them."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils.timezone import now
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from credits.services import grant
from followups.addresses import hash_address
from followups.channels.meanings import meaning
from followups.choices import BulkAction, ErrorPhase, SuppressionReason
from followups.keywords import understand
from followups.models import ChannelSwitch, FollowUpSetting, IdempotentAnswer, SandboxMessage
from followups.services import bulk
from followups.services.analytics import roll_up_changed_days
from followups.services.consent import opt_out, register_device, suppress
from followups.services.direct import queue_notice
from followups.services.inbound import hear
from followups.services.planning import plan_session
from followups.services.privacy import erase_person
from followups.services.sandbox import play_receipts
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import User
from jyotiflow.accounts.services import create_machine_key
from tests.factories import SessionFactory, UserFactory


@pytest.fixture
def follow_up(rich_user: User, make_template: Any) -> Any:
    """A follow-up by email for 5 credits, scheduled for tomorrow."""
    template = make_template(channel="email")
    return schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now() + timedelta(days=1))


@pytest.fixture
def sent(rich_user: User, make_template: Any, run_queue: Any) -> Any:
    """A follow-up by email, sent through the sandbox, delivered and read."""
    follow_up = schedule_follow_up(
        user=rich_user, template_id=make_template(channel="email").pk, scheduled_at=now()
    )
    run_queue()
    _play_everything()
    follow_up.refresh_from_db()
    return follow_up


@pytest.fixture
def make_rows(make_template: Any, run_queue: Any) -> Any:
    """Adds rows to every table: each call makes as many more as told."""
    numbers = iter(range(1_000))

    def make(count: int) -> None:
        for _ in range(count):
            _make_one_of_each(next(numbers), make_template)
        run_queue()
        _play_everything()
        roll_up_changed_days()

    return make


def _play_everything() -> None:
    SandboxMessage.objects.update(created_at=now() - timedelta(minutes=1))
    play_receipts()
    play_receipts()


def _make_one_of_each(number: int, make_template: Any) -> None:
    user = UserFactory(phone=f"+9198400123{number:02}")
    user.groups.add(Group.objects.create(name=f"Group {number}"))
    create_machine_key(name=f"Machine {number}", scope="sessions:complete")
    grant(user=user, amount=100, reason="test", key=f"rows:{number}")
    plan_session(session_id=SessionFactory(user=user, completed=True).pk)
    for channel in ("email", "in_app"):
        template = make_template(name=f"{channel} {number}", channel=channel)
        schedule_follow_up(
            user=user,
            template_id=template.pk,
            session_id=SessionFactory(user=user, completed=True).pk,
            scheduled_at=now() + timedelta(hours=48 * (channel == "in_app")),
        )
    _deliver_in_app(user)
    register_device(user=user, token=f"{uuid.uuid4()}-{number}", platform="android")
    opt_out(user=user, channel="push")
    suppress(
        channel="sms",
        address_hash=hash_address(user.phone),
        reason=SuppressionReason.OPT_OUT,
        source="asked",
    )
    ChannelSwitch.objects.create(channel=f"former_{number}")
    queue_notice(channel="email", to=user.email, subject="Hello", message="A word.", actor=user)
    erase_person(user=UserFactory(), actor=user)
    meaning(ErrorPhase.CALL, [("twilio", f"{90_100 + number}")])
    hear(message_id=f"SM{number}", channel="sms", phone=user.phone, reply=understand("stop"))
    bulk.choose(actor=user, action=BulkAction.CANCEL, follow_ups=user.follow_ups.all())
    IdempotentAnswer.objects.create(user=user, key="k", request_hash="x", status=201)
    FollowUpSetting.objects.create(setting_key=f"left_over_{number}", setting_value="1")
    token = OutstandingToken.objects.create(user=user, jti=f"jti-{number}", token="", expires_at=now())
    BlacklistedToken.objects.create(token=token)
    PeriodicTask.objects.create(
        name=f"Task {number}", task="x", interval=IntervalSchedule.objects.create(every=number + 1)
    )
    CrontabSchedule.objects.create(minute=str(number))
    ClockedSchedule.objects.create(clocked_time=now())
    SolarSchedule.objects.create(event="sunrise", latitude=number, longitude=number)


def _deliver_in_app(user: User) -> None:
    user.follow_ups.filter(channel="in_app").update(due_at=now() - timedelta(seconds=1))
