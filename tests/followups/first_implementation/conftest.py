"""What the tests against the first implementation's faults share."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now
from pytest_django import Settings
from rest_framework.test import APIClient

from followups.channels import get_channel
from followups.models import FollowUpSchedule
from followups.services.settings import update_settings
from jyotiflow.accounts.models import User
from tests.followups.conftest import ScriptedChannel

SCHEDULE = "/api/followup/schedule"


def client_of(user: User) -> APIClient:
    """An API client signed in as a user."""
    client = APIClient()
    client.force_authenticate(user)
    return client


def in_hours(hours: float) -> str:
    """A moment hours from now, as clients write it."""
    return (now() + timedelta(hours=hours)).isoformat()


def make_due(*follow_ups: FollowUpSchedule) -> None:
    """The time of these comes, or that of all."""
    chosen = FollowUpSchedule.objects.filter(pk__in=[each.pk for each in follow_ups])
    (chosen if follow_ups else FollowUpSchedule.objects).update(due_at=now() - timedelta(seconds=1))


def expire_leases() -> None:
    """Whoever held a claim is gone."""
    FollowUpSchedule.objects.filter(status="sending").update(lease_until=now() - timedelta(seconds=1))


@pytest.fixture
def user_api(rich_user: User) -> APIClient:
    """A client of the user with 100 credits and a phone."""
    return client_of(rich_user)


@pytest.fixture
def admin_api(admin: User) -> APIClient:
    return client_of(admin)


@pytest.fixture
def at_any_hour(db: None) -> None:
    """No quiet hours, so a test doesn't depend on the time of day it runs at."""
    update_settings(changes={"quiet_hours_start": "00:00", "quiet_hours_end": "00:00"})


@pytest.fixture
def schedule(user_api: APIClient) -> Callable[..., Any]:
    """Posts a schedule request of the user's."""

    def post(template: Any, hours: float | None = None, **fields: Any) -> Any:
        body = {"template_id": str(template.pk), **fields}
        if hours is not None:
            body["scheduled_at"] = in_hours(hours)
        return user_api.post(SCHEDULE, body, format="json")

    return post


@pytest.fixture
def all_scripted(settings: Settings) -> Iterator[dict[str, ScriptedChannel]]:
    """A scripted provider behind every channel."""
    scripted = {"BACKEND": "tests.followups.conftest.ScriptedChannel"}
    settings.FOLLOWUP_CHANNELS = dict.fromkeys(settings.FOLLOWUP_CHANNELS, scripted)
    channels = {name: get_channel(name) for name in settings.FOLLOWUP_CHANNELS}
    yield {name: channel for name, channel in channels.items() if isinstance(channel, ScriptedChannel)}
    get_channel.cache_clear()
