"""Doubt is resolved for everyone in turn, and one odd row holds up nobody."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now
from pytest_django import Settings

from followups.choices import State
from followups.exceptions import OutcomeUnknown
from followups.models import Attempt, FollowUpSchedule
from followups.services.delivery import begin, pass_gate
from followups.services.dispatch import claim_due
from followups.services.reconciling import reconcile
from followups.services.rescuing import rescue_expired
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from jyotiflow.accounts.models import User
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db


@pytest.fixture
def three(rich_user: User, make_template: Any, provider: ScriptedChannel) -> list[FollowUpSchedule]:
    """Emails, due now, whose answers will never come."""
    update_settings(changes={"min_interval_hours": 0})
    provider.script = [OutcomeUnknown("timeout")] * 3
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
    provider.sighting = type("CannotTell", (), {"found": False, "absent": False})
    run_queue()
    for _ in range(2):
        an_hour_passes()
        reconcile(batch=2)
    assert Attempt.objects.filter(checked_at__isnull=True).count() == 0


def test_a_channel_switched_off_in_the_middle_holds_up_nobody(
    three: list[FollowUpSchedule], settings: Settings
) -> None:
    for claim in claim_due(limit=10):  # the worker dies in the middle of its call
        token = begin(follow_up_id=claim.follow_up_id, token=claim.token)
        assert token
        assert pass_gate(follow_up_id=claim.follow_up_id, token=token)
    FollowUpSchedule.objects.update(lease_until=now() - timedelta(seconds=1))
    others = {name: each for name, each in settings.FOLLOWUP_CHANNELS.items() if name != "email"}
    settings.FOLLOWUP_CHANNELS = others
    assert rescue_expired() == len(three)
    assert {each.status for each in FollowUpSchedule.objects.all()} == {State.IN_DOUBT}
    an_hour_passes()
    assert reconcile() == 0  # nobody can tell any more; a day later they are refunded
