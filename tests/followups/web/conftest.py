"""What tests of the readers' pages share."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now

from followups.models import FollowUpSchedule, FollowUpTemplate
from followups.services.settings import update_settings
from jyotiflow.accounts.models import User
from sessions_app.models import Session
from tests.factories import SessionFactory

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/followups/?page=2"}


@pytest.fixture
def reader(rich_user: User) -> Client:
    """A browser in which the user with 100 credits is signed in."""
    client = Client()
    client.force_login(rich_user)
    return client


@pytest.fixture
def session(rich_user: User) -> Session:
    """A completed session of the user's."""
    return SessionFactory(user=rich_user, completed=True)


@pytest.fixture
def at_any_hour(db: None) -> None:
    """No quiet hours, so a test doesn't depend on the time of day it runs at."""
    update_settings(changes={"quiet_hours_start": "00:00", "quiet_hours_end": "00:00"})


def text_of(page: Any) -> str:
    """What a page says, without its markup."""
    body = page.content.decode()
    body = body.split("<main", 1)[1].split("</main>")[0] if "<main" in body else body
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def many(user: User, template: FollowUpTemplate, session: Session | None, count: int, **fields: Any) -> None:
    """Rows in one go, all pending unless told otherwise."""
    version = template.versions.get()
    FollowUpSchedule.objects.bulk_create(
        FollowUpSchedule(
            user=user,
            user_email=user.email,
            session=session,
            template=template,
            template_version=version,
            channel=template.channel,
            wanted_language="en",
            **{"language": "en", "scheduled_at": now(), "due_at": now(), "expires_at": now(), **fields},
        )
        for _ in range(count)
    )
