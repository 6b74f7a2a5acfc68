"""How often a booking asks the database: each statement is a wait under its reader's lock."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from rest_framework.test import APIClient

from jyotiflow.accounts.models import User
from jyotiflow.accounts.services import create_machine_key
from jyotiflow.accounts.tokens import issue_pair
from tests.factories import SessionFactory

pytestmark = pytest.mark.django_db

SAVEPOINTS = 2  # each test runs inside a transaction: where a request begins and commits one of its own


@pytest.fixture
def statements() -> Iterator[CaptureQueriesContext]:
    with CaptureQueriesContext(connection) as asked:
        yield asked


def book(client: APIClient, template: Any, *, days: int, **headers: str) -> None:
    body = {"template_id": str(template.pk), "scheduled_at": (now() + timedelta(days=days)).isoformat()}
    answer = client.post("/api/followup/schedule", body, format="json", headers=headers)
    assert answer.status_code == 201, answer.json()


def test_a_booking_takes_eight_statements_and_four_more_under_a_key(
    rich_user: User, make_template: Any, statements: CaptureQueriesContext
) -> None:
    client, template = APIClient(), make_template(channel="email")
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_pair(rich_user).access_token}")
    book(client, template, days=2)  # what is kept is read
    before = len(statements)
    book(client, template, days=4)
    assert len(statements) - before == 8 + SAVEPOINTS
    before = len(statements)
    book(client, template, days=6, **{"Idempotency-Key": "k"})
    assert len(statements) - before == 12 + SAVEPOINTS


def test_a_completed_session_takes_twelve_statements_and_two_a_follow_up(
    rich_user: User, make_template: Any, statements: CaptureQueriesContext
) -> None:
    _, key = create_machine_key(name="platform", scope="sessions:complete")
    client = APIClient(headers={"X-API-Key": key})

    def complete() -> int:
        session = SessionFactory(user=rich_user)
        body = {"session_id": session.pk, "user_email": rich_user.email}
        before = len(statements)
        answer = client.post("/api/followup/auto/session-complete", body, format="json")
        assert answer.status_code == 200, answer.json()
        return len(statements) - before

    taken = []
    for order in (1, 2):
        make_template(channel="email", sequence_order=order)
        complete()  # what is kept is read
        taken.append(complete())
    assert taken == [12 + 2 * SAVEPOINTS + 2, 12 + 2 * SAVEPOINTS + 4]
