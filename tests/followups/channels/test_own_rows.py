"""The channels whose provider is our own database: in-app, and the sandbox."""

import uuid
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from followups.channels.base import Accepted
from followups.channels.in_app import InAppChannel
from followups.channels.sandbox import SandboxChannel
from followups.exceptions import OutcomeUnknown, Rejected
from followups.models import Device, FollowUpSchedule, InAppMessage, SandboxMessage
from jyotiflow.accounts.models import User
from tests.factories import UserFactory
from tests.followups.channels.conftest import TAMIL, make_message

pytestmark = pytest.mark.django_db


def test_an_in_app_message_is_delivered_once_however_often_it_is_sent(follow_up: FollowUpSchedule) -> None:
    message = make_message(follow_up_id=follow_up.pk, user_id=follow_up.user_id)
    channel = InAppChannel()
    for _ in range(2):
        assert channel.send(message) == Accepted(delivered=True)
    row = InAppMessage.objects.get()
    assert (row.follow_up, row.user) == (follow_up, follow_up.user)
    assert (row.subject, row.body, row.language) == (message.subject, TAMIL, "ta")


def test_in_app_reaches_the_user_themselves(user: User) -> None:
    assert InAppChannel().addresses(user) == (str(user.pk),)


@pytest.mark.django_db(transaction=True)
def test_an_in_app_message_of_nobody_is_refused() -> None:
    with pytest.raises(Rejected):
        InAppChannel().send(make_message(user_id=0))
    assert InAppMessage.objects.count() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("channel", [InAppChannel(), SandboxChannel(channel="sms")])
def test_a_database_that_fails_leaves_doubt(channel: Any, user: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            with pytest.raises(OutcomeUnknown):
                channel.send(make_message(user_id=user.pk))
        finally:
            cursor.execute("SET default_transaction_read_only = off")


def test_the_sandbox_keeps_one_message_a_follow_up() -> None:
    message = make_message(html="<p>hello</p>")
    channel = SandboxChannel(channel="email")
    first = channel.send(message)
    again = channel.send(make_message(follow_up_id=message.follow_up_id, text="another"))
    row = SandboxMessage.objects.get()
    assert first == again == Accepted(str(row.pk))
    assert not first.delivered
    assert (row.follow_up_id, row.attempt_id) == (message.follow_up_id, message.attempt_id)
    assert (row.channel, row.to, row.language) == ("email", "lakshmi@example.com", "ta")
    assert (row.subject, row.body, row.html) == (message.subject, TAMIL, "<p>hello</p>")


def test_the_sandbox_shows_what_travels_beside_the_text() -> None:
    link = "https://follow.example.com/u/1"
    SandboxChannel(channel="email").send(make_message(unsubscribe_url=link))
    headers = SandboxMessage.objects.get(channel="email").headers
    assert headers["List-Unsubscribe"] == f"<{link}>"
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    sid = "HX" + "0" * 32
    message = make_message(whatsapp_content_sid=sid, whatsapp_variables={"1": "லட்சுமி"})
    SandboxChannel(channel="whatsapp").send(message)
    assert SandboxMessage.objects.get(channel="whatsapp").headers == {
        "ContentSid": sid,
        "ContentVariables": '{"1": "லட்சுமி"}',
    }
    SandboxChannel(channel="sms").send(make_message())
    assert SandboxMessage.objects.get(channel="sms").headers == {}


def test_the_sandbox_keeps_every_device_of_a_push() -> None:
    SandboxChannel(channel="push").send(make_message(to=("one", "two")))
    assert SandboxMessage.objects.get().to.split("\n") == ["one", "two"]


def test_the_sandbox_reaches_who_the_real_channel_would(user: User) -> None:
    user.phone = "+919840012345"
    Device.objects.create(user=user, token="token", platform=Device.Platform.WEB)
    reached = {
        name: SandboxChannel(channel=name).addresses(user) for name in ("email", "sms", "whatsapp", "push")
    }
    assert reached == {
        "email": (user.email,),
        "sms": (user.phone,),
        "whatsapp": (user.phone,),
        "push": ("token",),
    }
    assert SandboxChannel(channel="sms").addresses(UserFactory.build(phone="")) == ()


@pytest.mark.parametrize(
    ("name", "private"), [("email", True), ("whatsapp", True), ("sms", False), ("push", False)]
)
def test_the_sandbox_is_as_private_as_what_it_plays(name: str, private: bool) -> None:
    assert SandboxChannel(channel=name).is_private is private


def test_the_sandbox_plays_only_channels_it_knows() -> None:
    with pytest.raises(KeyError):
        SandboxChannel(channel="pigeon")


def test_every_sandboxed_channel_of_the_settings_can_be_played(settings: Settings) -> None:
    played = [
        entry["OPTIONS"]["channel"]
        for entry in settings.FOLLOWUP_CHANNELS.values()
        if entry["BACKEND"].endswith("SandboxChannel")
    ]
    assert played == ["email", "sms", "whatsapp", "push"]  # the tests run without credentials
    for name in played:
        message = make_message(follow_up_id=uuid.uuid4())
        assert SandboxChannel(channel=name).send(message).provider_message_id
