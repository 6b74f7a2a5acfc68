"""What tests of follow-ups share."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import time, timedelta
from typing import Any

import pytest
from django.utils.timezone import now
from pytest_django import Settings

from credits.services import grant
from followups.channels import get_channel
from followups.channels.base import CANNOT_TELL, Accepted, Candidate, Channel, Message, Sighting
from followups.models import FollowUpTemplate
from followups.services.delivery import deliver
from followups.services.dispatch import claim_due
from followups.services.templates import save_template
from jyotiflow.accounts.models import User


@pytest.fixture
def make_template(db: None) -> Any:
    """Saves a template through the service; an in-app one for 5 credits unless told otherwise."""

    def make(**fields: Any) -> FollowUpTemplate:
        return save_template(
            fields={
                "name": "Check-in",
                "template_type": "session_followup",
                "channel": "in_app",
                "subject": "How are you, {{user_name}}?",
                "tamil_subject": "நலமா, {{user_name}}?",
                "content": "Dear {{user_name}}, how are you?",
                "tamil_content": "அன்புள்ள {{user_name}}, நலமா?",
                "credits_cost": 5,
                "local_time": time(10),
                **fields,
            }
        )[0]

    return make


@pytest.fixture
def rich_user(user: User) -> User:
    """A user with 100 credits and a phone."""
    user.phone = "+919840012345"
    user.save()
    grant(user=user, amount=100, reason="test", key=f"test:{user.pk}")
    return user


NOTHING = Sighting(is_whole=True)


def found(*message_ids: str) -> Sighting:
    """A whole list with these messages, made at this moment."""
    return Sighting(tuple(Candidate(each, now()) for each in message_ids), is_whole=True)


@dataclass
class ScriptedChannel(Channel):
    """The far end of the wire: answers as the script says, and counts what it was given."""

    provider: str = "scripted"
    repeat_is_harmless: bool = False
    script: list[Any] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)
    sighting: Any = CANNOT_TELL
    can_be_asked: bool = False
    repeats_in_doubt: int = 0
    keeps_key_for: timedelta | None = None
    finds_by_text: bool = True
    can_be_polled: bool = False
    reports: dict[str, Any] = field(default_factory=dict)  # by message id
    polled: list[str] = field(default_factory=list)

    def addresses(self, user: User) -> tuple[str, ...]:
        return (user.email,)

    def send(self, message: Message) -> Accepted:
        self.taken.append(message)
        answer = self.script.pop(0) if self.script else Accepted(f"id-{len(self.taken)}")
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer(message)
        return answer

    def fetch(self, provider_message_id: str) -> Any:
        self.polled.append(provider_message_id)
        answer = self.reports.get(provider_message_id)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def find(self, **_: Any) -> Any:
        answer = self.sighting
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def provider(settings: Settings) -> Iterator[ScriptedChannel]:
    """Puts a scripted provider behind the email channel."""
    settings.FOLLOWUP_CHANNELS = {
        **settings.FOLLOWUP_CHANNELS,
        "email": {"BACKEND": "tests.followups.conftest.ScriptedChannel"},
    }
    channel = get_channel("email")
    assert isinstance(channel, ScriptedChannel)
    yield channel
    get_channel.cache_clear()


@pytest.fixture
def run_queue() -> Any:
    """Claims what is due and sends it, as a worker would; returns how many were claimed."""

    def run() -> int:
        claims = claim_due(limit=500)
        for claim in claims:
            deliver(follow_up_id=claim.follow_up_id, token=claim.token)
        return len(claims)

    return run
