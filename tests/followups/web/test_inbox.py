"""The in-app inbox: opening a message is reading it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from followups.models import FollowUpSchedule, InAppMessage
from jyotiflow.accounts.models import User
from tests.factories import UserFactory
from tests.followups.web.conftest import many, text_of

pytestmark = pytest.mark.django_db
INBOX = "/followups/inbox"


@pytest.fixture
def messages(rich_user: User, make_template: Any) -> list[InAppMessage]:
    """Three in the user's inbox, none opened."""
    fill(rich_user, make_template(), 3)
    return list(InAppMessage.objects.filter(user=rich_user))


def fill(user: User, template: Any, count: int) -> None:
    moment = now() - timedelta(minutes=1)
    many(user, template, None, count, status="delivered", sent_at=moment, delivered_at=moment)
    fresh = FollowUpSchedule.objects.filter(user=user, in_app_message=None)
    InAppMessage.objects.bulk_create(
        InAppMessage(follow_up=each, user=user, subject="Hello", body="How are you?", language="en")
        for each in fresh
    )


def unread(client: Client) -> bool:
    return b'class="count"' in client.get("/followups/credits").content


def test_opening_a_message_reads_it_and_the_badge_counts_the_rest(
    reader: Client, messages: list[InAppMessage]
) -> None:
    assert "3 unread" in reader.get("/followups/").content.decode()
    first = messages[0]
    path = f"{INBOX}/{first.follow_up_id}"
    assert reader.head(path).status_code == 200  # looking ahead isn't reading
    assert "3 unread" in reader.get(INBOX).content.decode()
    page = reader.get(path)
    assert "How are you?" in text_of(page)
    assert "2 unread" in page.content.decode()
    follow_up = FollowUpSchedule.objects.get(pk=first.follow_up_id)
    assert (follow_up.status, bool(follow_up.read_at)) == ("read", True)
    for message in messages[1:]:
        reader.get(f"{INBOX}/{message.follow_up_id}")
    assert not unread(reader)
    assert text_of(reader.get(INBOX)).count("New") == 0


def test_an_empty_inbox_says_so(reader: Client) -> None:
    assert "Your inbox is empty" in text_of(reader.get(INBOX))
    assert not unread(reader)


def test_nobody_opens_another_s_message(messages: list[InAppMessage]) -> None:
    other = Client()
    other.force_login(UserFactory())
    assert other.get(f"{INBOX}/{messages[0].follow_up_id}").status_code == 404
    assert not FollowUpSchedule.objects.filter(status="read").exists()


def test_the_inbox_asks_no_more_the_more_there_is(
    reader: Client, rich_user: User, messages: list[InAppMessage], make_template: Any
) -> None:
    with CaptureQueriesContext(connection) as before:
        reader.get(INBOX)
    fill(rich_user, make_template(name="More"), 60)
    with CaptureQueriesContext(connection) as after:
        page = reader.get(INBOX)
    assert "Page 1 of 4" in text_of(page)
    assert ">99+<" not in page.content.decode()
    fill(rich_user, make_template(name="Too many"), 60)
    assert ">99+<" in reader.get(INBOX).content.decode()
    assert len(after) == len(before)
