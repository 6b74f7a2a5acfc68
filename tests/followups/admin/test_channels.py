"""The channels in the admin site: pausing with a reason, and how their providers do."""

from collections.abc import Iterator
from time import time
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from redis.client import Pipeline

from followups.models import ChannelSwitch
from followups.selectors.channels import breaker_key
from followups.services.switching import ensure_switches
from jyotiflow.accounts.models import User
from jyotiflow.valkey import valkey

pytestmark = pytest.mark.django_db

LIST = "/admin/followups/channelswitch/"


@pytest.fixture(autouse=True)
def switches() -> None:
    ensure_switches()


@pytest.fixture
def silent() -> Iterator[None]:
    """The provider of SMS does not answer: its breaker stays open for another minute."""
    valkey().hset(breaker_key("sms"), mapping={"open_until": time() + 60, "cool_down": 60, "unanswered": 10})
    yield
    valkey().delete(breaker_key("sms"))


def switch(client: Client, action: str, reason: str = "") -> str:
    row = ChannelSwitch.objects.get(channel="sms")
    form = {"action": action, "_selected_action": [row.pk], "reason": reason}
    answer = client.post(LIST, form, follow=True)
    assert answer.status_code == 200
    return " ".join(str(message) for message in answer.context["messages"])


def test_a_channel_is_paused_with_a_reason_and_goes_on(admin_site: Client, admin: User) -> None:
    assert switch(admin_site, "pause", " Numbers are being moved ") == "SMS is paused."
    row = ChannelSwitch.objects.get(channel="sms")
    assert (row.is_paused, row.reason, row.changed_by) == (True, "Numbers are being moved", admin)
    assert "Numbers are being moved" in admin_site.get(LIST).content.decode()
    assert switch(admin_site, "resume") == "SMS goes on."
    row.refresh_from_db()
    assert (row.is_paused, row.reason) == (False, "")
    assert LogEntry.objects.count() == 2


def test_a_reason_that_can_t_be_kept_changes_nothing(admin_site: Client) -> None:
    for reason in ("\x00", "x" * 201):
        switch(admin_site, "pause", reason)
        assert not ChannelSwitch.objects.filter(is_paused=True).exists()


def test_a_silent_provider_is_told_in_words(admin_site: Client, silent: None) -> None:
    text = admin_site.get(LIST).content.decode()
    assert "Does not answer; asked again in " in text
    assert text.count("Answers") == ChannelSwitch.objects.count() - 1
    page = admin_site.get(f"{LIST}{ChannelSwitch.objects.get(channel='sms').pk}/change/").content.decode()
    assert "Does not answer; asked again in " in page


def test_the_list_asks_valkey_once_for_all_channels(
    admin_site: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    execute = Pipeline.execute

    def counted(pipeline: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal asked
        asked += 1
        return execute(pipeline, *args, **kwargs)

    monkeypatch.setattr(Pipeline, "execute", counted)
    text = admin_site.get(LIST).content.decode()
    assert text.count("Answers") == ChannelSwitch.objects.count() > 1
    assert asked == 1
