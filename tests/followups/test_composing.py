"""What a session was about is told where nobody else reads along."""

from typing import Any

import pytest
from django.utils.timezone import now

from followups.models import Device, SandboxMessage
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import User
from tests.factories import SessionFactory

pytestmark = pytest.mark.django_db

GUIDANCE = "Leave the house of your uncle."


@pytest.mark.parametrize(("channel", "is_told"), [("email", True), ("sms", False), ("push", False)])
def test_guidance_is_told_by_mail_and_never_in_a_preview_others_see(
    channel: str, is_told: bool, rich_user: User, make_template: Any, run_queue: Any
) -> None:
    Device.objects.create(user=rich_user, token="a-phone", platform="android")
    session = SessionFactory(user=rich_user, completed=True, guidance_summary=GUIDANCE)
    template = make_template(channel=channel, content="You heard: {{guidance_summary}}")
    schedule_follow_up(user=rich_user, template_id=template.pk, session_id=session.pk, scheduled_at=now())
    run_queue()
    assert (GUIDANCE in SandboxMessage.objects.get().body) is is_told
