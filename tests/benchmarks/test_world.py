"""What is copied is what the services book: it can be claimed and is due for whom it should be."""

import pytest
from django.db import connection

from benchmarks.world import CREDITS, World
from credits.selectors import balance_of
from followups.models import Attempt, FollowUpSchedule, ProviderEvent
from followups.services.dispatch import claim_due
from jyotiflow.accounts.models import User
from sessions_app.models import Session


@pytest.mark.django_db(transaction=True)
def test_every_reader_has_a_follow_up_that_is_due() -> None:
    world = World(readers=5, channels=("email", "sms"))
    world.fill(4, channel="sms")
    world.open_sessions(3)
    rows = FollowUpSchedule.objects.select_related("user", "session").order_by("user_id")
    assert [row.user_email for row in rows] == [f"reader{number}@example.test" for number in range(1, 5)]
    assert all(row.user.email == row.user_email for row in rows)
    assert all(row.session and row.session.user == row.user for row in rows)
    assert {row.channel for row in rows} == {"sms"}
    counts = dict(Session.objects.values_list("pk", "follow_up_count"))
    assert (counts["session-1"], counts["session-5"], counts["open-1"]) == (1, 0, 0)
    assert balance_of(User.objects.get(email="reader5@example.test")) == CREDITS
    assert len(claim_due(limit=10)) == 4
    world.fill(2, due="statement_timestamp() + n * interval '1 h'")
    assert claim_due(limit=10) == []
    assert FollowUpSchedule.objects.count() == 2
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM sessions WHERE follow_up_count = 1")
        assert cursor.fetchone()[0] == 2


@pytest.mark.django_db(transaction=True)
def test_nothing_is_left_of_an_earlier_round() -> None:
    world = World(readers=1)
    world.fill(1)
    attempt = Attempt.objects.create(
        follow_up=FollowUpSchedule.objects.get(), number=1, provider="twilio", to_hash="a", body_hash="b"
    )
    ProviderEvent.objects.create(provider="twilio", event_key="c", kind="delivered", attempt=attempt)
    world.clear()
    assert not FollowUpSchedule.objects.exists()
    assert not Attempt.objects.exists()
    assert not ProviderEvent.objects.exists()
