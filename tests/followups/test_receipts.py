"""Reports of providers: any order ends the same, and only what was written to is stopped."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from django.db import IntegrityError
from django.db.models import F
from django.test import Client
from django.utils.timezone import now

from credits.selectors import balance_of
from followups.addresses import hash_address
from followups.choices import AttemptState, ReceiptKind, State, SuppressionReason
from followups.exceptions import OutcomeUnknown
from followups.models import Attempt, FollowUpSchedule, ProviderEvent, Suppression
from followups.selectors.analytics import Period, analytics_report
from followups.services import receipts
from followups.services.analytics import roll_up_changed_days
from followups.services.receipts import Receipt, apply_waiting_receipts, record_receipt
from followups.services.reconciling import reconcile
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import User
from tests.followups.conftest import NOTHING, ScriptedChannel

pytestmark = pytest.mark.django_db


@pytest.fixture
def follow_up(rich_user: User, make_template: Any, provider: ScriptedChannel) -> FollowUpSchedule:
    """An email for 5 credits, due now."""
    template = make_template(channel="email")
    return schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now())


def report(follow_up: FollowUpSchedule, *kinds: str, **fields: Any) -> FollowUpSchedule:
    attempt = follow_up.attempts.earliest("gate_at")
    for number, kind in enumerate(kinds):
        key = f"{attempt.pk}:{kind}:{number}:{Attempt.objects.count()}"
        record_receipt(
            Receipt("scripted", key, ReceiptKind(kind), attempt_reference=str(attempt.pk), **fields)
        )
    return FollowUpSchedule.objects.get(pk=follow_up.pk)


@pytest.mark.parametrize("kinds", [*permutations(["delivered", "bounced", "accepted"])])
def test_a_bounce_is_the_last_word_whenever_it_comes(
    follow_up: FollowUpSchedule, run_queue: Any, kinds: tuple[str, ...]
) -> None:
    run_queue()
    assert report(follow_up, *kinds).status == State.FAILED
    assert balance_of(follow_up.user) == 100


def test_delivered_after_a_failure_stands_and_so_does_the_refund(
    follow_up: FollowUpSchedule, run_queue: Any
) -> None:
    run_queue()
    arrived = report(follow_up, "failed", "delivered")
    assert (arrived.status, arrived.credits_refunded, balance_of(follow_up.user)) == (State.DELIVERED, 5, 100)


def test_what_arrived_after_all_is_not_sent_again(
    follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
) -> None:
    provider.script = [OutcomeUnknown("timeout")]
    run_queue()
    provider.can_be_asked, provider.sighting = True, NOTHING
    for _ in range(2):  # twice absent: it waits for another try
        for attempt in Attempt.objects.filter(state=AttemptState.IN_DOUBT):
            checked_at = attempt.checked_at and attempt.checked_at - timedelta(hours=1)
            Attempt.objects.filter(pk=attempt.pk).update(
                gate_at=attempt.gate_at - timedelta(hours=1), checked_at=checked_at
            )
        reconcile()
    assert FollowUpSchedule.objects.get().status == State.PENDING
    assert report(follow_up, "delivered").status == State.DELIVERED
    FollowUpSchedule.objects.update(due_at=now() - timedelta(seconds=1))
    assert run_queue() == 0
    assert len(provider.taken) == 1


def test_a_bounce_stops_the_address_that_was_written_to(follow_up: FollowUpSchedule, run_queue: Any) -> None:
    run_queue()
    old = follow_up.user.email
    User.objects.filter(pk=follow_up.user_id).update(email="new@example.test")
    report(follow_up, "bounced", suppress=SuppressionReason.HARD_BOUNCE)
    assert Suppression.objects.get().address_hash == hash_address(old)


def stray(number: int, provider: str = "scripted", **fields: Any) -> ProviderEvent:
    """A report about a message we don't know (yet)."""
    key = f"stray:{number}"
    about = {"provider_message_id": f"theirs-{number}", **fields}
    assert record_receipt(Receipt(provider, key, ReceiptKind.DELIVERED, **about))
    return ProviderEvent.objects.get(event_key=key)


def hours_pass(hours: float) -> None:
    by = timedelta(hours=hours)
    ProviderEvent.objects.update(next_try_at=F("next_try_at") - by, received_at=F("received_at") - by)


class TestUnmatched:
    """A report about no message of ours is tried for a day, ever more seldom, and then marked."""

    def test_it_is_tried_with_growing_gaps(self) -> None:
        event = stray(1)
        for tries, seconds in enumerate([0, 30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]):
            event.refresh_from_db()
            assert event.tries == tries
            assert abs((event.next_try_at - now()).total_seconds() - seconds) < 20
            hours_pass(seconds / 3_600)
            assert (apply_waiting_receipts(), apply_waiting_receipts()) == (0, 0)  # the second finds none due

    def test_after_a_day_it_is_marked_and_told_once(self, caplog: pytest.LogCaptureFixture) -> None:
        events = [stray(number) for number in range(3)]
        hours_pass(23.9)
        apply_waiting_receipts()
        assert not ProviderEvent.objects.filter(unmatched_at__isnull=False).exists()
        hours_pass(1.1)
        for _ in range(2):
            assert apply_waiting_receipts() == 0
        told: list[Any] = [record.msg for record in caplog.records if "receipts_unmatched" in str(record.msg)]
        assert [(line["provider"], line["count"]) for line in told] == [("scripted", 3)]
        assert ProviderEvent.objects.filter(unmatched_at__isnull=False).count() == len(events)
        assert not any(f"theirs-{number}" in caplog.text for number in range(3))

    def test_a_noisy_account_holds_up_nobody(self, follow_up: FollowUpSchedule, run_queue: Any) -> None:
        for number in range(20):
            stray(number)
        hours_pass(1)
        apply_waiting_receipts(batch=5)  # all of them are tried, batch by batch
        assert set(ProviderEvent.objects.values_list("tries", flat=True)) == {1}
        hours_pass(-1)  # they are due again and older than ours
        ours = stray(99, provider_message_id="id-1")
        hours_pass(2)
        run_queue()
        assert apply_waiting_receipts(batch=5) == 1
        ours.refresh_from_db()
        assert ours.applied_at
        assert FollowUpSchedule.objects.get().status == State.DELIVERED

    def test_least_tried_come_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(receipts, "LONGEST_RUN_SECONDS", -1)  # one batch a run
        old = [stray(number) for number in range(4)]
        hours_pass(1)
        apply_waiting_receipts(batch=4)
        new = stray(5)
        hours_pass(1)
        apply_waiting_receipts(batch=1)
        new.refresh_from_db()
        assert new.tries == 1
        assert list(ProviderEvent.objects.filter(pk__in=[each.pk for each in old], tries__gt=1)) == []

    def test_one_odd_report_holds_up_no_other(
        self, follow_up: FollowUpSchedule, run_queue: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        odd, good = stray(1), stray(2, provider_message_id="id-1")
        run_queue()
        apply = receipts.apply_event

        def break_on_odd(event: ProviderEvent) -> bool:
            if event.pk == odd.pk:
                raise ValueError
            return apply(event)

        monkeypatch.setattr(receipts, "apply_event", break_on_odd)
        hours_pass(1)
        assert apply_waiting_receipts() == 1
        odd.refresh_from_db()
        good.refresh_from_db()
        assert (odd.tries, odd.applied_at is None, good.applied_at is None) == (1, True, False)

    def test_the_database_lets_none_be_applied_and_given_up(self) -> None:
        event = stray(1)
        with pytest.raises(IntegrityError, match="event_applied_or_unmatched"):
            ProviderEvent.objects.filter(pk=event.pk).update(applied_at=now(), unmatched_at=now())

    def test_metrics_and_the_admin_show_them(self, admin_site: Client) -> None:
        stray(1), stray(2, provider="twilio")
        hours_pass(25)
        apply_waiting_receipts()
        stray(3)
        page = admin_site.get("/metrics").content.decode()
        assert "followups_receipts_waiting 1.0" in page
        assert 'followups_receipts_unmatched{provider="scripted"} 1.0' in page
        assert 'followups_receipts_unmatched{provider="twilio"} 1.0' in page
        listed = admin_site.get("/admin/followups/providerevent/", {"unmatched": "yes"})
        assert {event.event_key for event in listed.context["cl"].result_list} == {"stray:1", "stray:2"}


def test_a_report_may_name_the_follow_up_instead_of_the_attempt(
    follow_up: FollowUpSchedule, provider: ScriptedChannel, run_queue: Any
) -> None:
    provider.script = [OutcomeUnknown("timeout")]
    run_queue()
    record_receipt(
        Receipt("scripted", "1", ReceiptKind.DELIVERED, str(follow_up.pk), provider_message_id="mail-1")
    )
    delivered = FollowUpSchedule.objects.get()
    assert (delivered.status, delivered.provider_message_id) == (State.DELIVERED, "mail-1")
    assert Attempt.objects.get().state == AttemptState.ACCEPTED


class TestUpward:
    """What contradicts a refund is shown, counted, and never charged again."""

    def test_delivered_after_the_refund_is_counted(
        self, follow_up: FollowUpSchedule, run_queue: Any, admin_site: Client
    ) -> None:
        run_queue()
        assert report(follow_up, "failed").status == State.FAILED
        roll_up_changed_days()
        assert analytics_report(Period())["delivered_after_refund"] == 0
        late = report(follow_up, "delivered", "read", "failed", "accepted")
        assert (late.status, late.credits_refunded, balance_of(late.user)) == (State.READ, 5, 100)
        roll_up_changed_days()
        figures = analytics_report(Period())
        assert (figures["delivered_after_refund"], figures["total_revenue"]) == (1, 0.0)
        assert (
            'followups_delivered_after_refund{channel="email"} 1.0'
            in admin_site.get("/metrics").content.decode()
        )
        page = admin_site.get("/admin/followups/followupanalytics/")
        assert "after refund" in page.content.decode().lower()
        assert page.context["cl"].result_list[0].delivered_after_refund == 1

    def test_a_bounce_after_delivery_refunds_stops_the_address_and_is_not_late(
        self, follow_up: FollowUpSchedule, run_queue: Any
    ) -> None:
        run_queue()
        report(follow_up, "delivered")
        bounced = report(follow_up, "bounced", suppress=SuppressionReason.HARD_BOUNCE)
        assert (bounced.status, balance_of(bounced.user)) == (State.FAILED, 100)
        assert Suppression.objects.get().reason == SuppressionReason.HARD_BOUNCE
        roll_up_changed_days()
        assert analytics_report(Period())["delivered_after_refund"] == 0
