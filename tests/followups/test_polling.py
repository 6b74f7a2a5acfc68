"""Messages nobody reported on: the provider is asked, at set times, and its word is a report."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now
from pytest_django import Settings

from credits.selectors import balance_of
from followups.channels.base import Report
from followups.choices import ReceiptKind, State
from followups.exceptions import OutcomeUnknown
from followups.models import Attempt, FollowUpSchedule, ProviderEvent
from followups.services import polling
from followups.services.polling import poll_silent
from followups.services.receipts import Receipt, record_receipt
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from jyotiflow.accounts.models import User
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db

DELIVERED = Report("id-1:delivered", ReceiptKind.DELIVERED)


@pytest.fixture
def silent(
    rich_user: User, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> list[FollowUpSchedule]:
    """Three emails, sent a moment ago as id-1 to id-3."""
    update_settings(changes={"min_interval_hours": 0})
    provider.can_be_polled = True
    template = make_template(channel="email")
    booked = [schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now()) for _ in "abc"]
    run_queue()
    return booked


def poll(**after: float) -> int:
    """A run after so much time has passed."""
    by = timedelta(**after)
    for follow_up in FollowUpSchedule.objects.all():
        assert follow_up.sent_at
        FollowUpSchedule.objects.filter(pk=follow_up.pk).update(sent_at=follow_up.sent_at - by)
    for attempt in Attempt.objects.filter(checked_at__isnull=False):
        assert attempt.checked_at
        Attempt.objects.filter(pk=attempt.pk).update(checked_at=attempt.checked_at - by)
    return poll_silent()


def state_of(message_id: str) -> str:
    return FollowUpSchedule.objects.get(provider_message_id=message_id).status


@pytest.mark.usefixtures("silent")
class TestTimes:
    """After an hour and after a day, once at each."""

    def test_each_time_once(self, provider: ScriptedChannel) -> None:
        for after, asked in (
            ({"minutes": 59}, 0),
            ({"minutes": 2}, 3),
            ({"minutes": 1}, 3),
            ({"hours": 22}, 3),
            ({"hours": 1}, 6),
            ({"hours": 1}, 6),
            ({"days": 3}, 6),
        ):
            assert poll(**after) == 0
            assert len(provider.polled) == asked, after
        assert state_of("id-1") == State.SENT

    def test_what_was_missed_is_asked_about_once(self, provider: ScriptedChannel) -> None:
        poll(days=3)
        poll()
        assert len(provider.polled) == 3

    def test_what_was_missed_for_too_long_stays_sent(self, provider: ScriptedChannel) -> None:
        poll(days=9)
        assert provider.polled == []

    def test_the_times_are_a_setting(self, provider: ScriptedChannel, settings: Settings) -> None:
        settings.FOLLOWUP_POLL_HOURS = []
        poll(days=2)
        assert provider.polled == []
        settings.FOLLOWUP_POLL_HOURS = [47]
        poll()
        assert len(provider.polled) == 3

    def test_a_channel_that_can_not_be_asked_is_not(self, provider: ScriptedChannel) -> None:
        provider.can_be_polled = False
        poll(hours=2)
        assert provider.polled == []


@pytest.mark.usefixtures("silent")
class TestNews:
    """The answer goes the way of a callback."""

    def test_it_moves_the_state_and_the_callback_after_it_is_a_repeat(
        self, provider: ScriptedChannel
    ) -> None:
        moment = now() - timedelta(minutes=30)
        provider.reports["id-1"] = Report("id-1:delivered", ReceiptKind.DELIVERED, occurred_at=moment)
        assert poll(hours=2) == 1
        assert state_of("id-1") == State.DELIVERED
        assert FollowUpSchedule.objects.get(provider_message_id="id-1").delivered_at == moment
        assert not record_receipt(
            Receipt("scripted", "id-1:delivered", ReceiptKind.DELIVERED, provider_message_id="id-1")
        )
        assert ProviderEvent.objects.count() == 1
        poll(days=1)
        assert provider.polled.count("id-1") == 1

    def test_a_failure_is_refunded(self, provider: ScriptedChannel, rich_user: User) -> None:
        provider.reports["id-2"] = Report("id-2:failed", ReceiptKind.FAILED, "30007", "Filtered.")
        assert poll(hours=2) == 1
        failed = FollowUpSchedule.objects.get(provider_message_id="id-2")
        assert (failed.status, failed.failure_code, failed.failure_reason) == (
            State.FAILED,
            "30007",
            "Filtered.",
        )
        assert balance_of(rich_user) == 90

    @pytest.mark.parametrize("kind", [ReceiptKind.ACCEPTED, ReceiptKind.OTHER])
    def test_no_news_is_not_stored(self, provider: ScriptedChannel, kind: ReceiptKind) -> None:
        provider.reports = {f"id-{number}": Report(f"{number}", kind) for number in (1, 2, 3)}
        assert poll(hours=2) == 0
        assert not ProviderEvent.objects.exists()

    def test_a_provider_that_is_away_is_asked_again_later(
        self, provider: ScriptedChannel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(polling, "FAILED_CALLS", 2)
        provider.reports = {f"id-{number}": OutcomeUnknown("timeout") for number in (1, 2, 3)}
        assert poll(hours=2) == 0
        assert len(provider.polled) == 2  # then it's left alone for this run
        provider.reports = {"id-1": DELIVERED}
        assert poll(minutes=1) == 1
        assert state_of("id-1") == State.DELIVERED
