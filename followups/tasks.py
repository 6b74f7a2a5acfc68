"""Celery tasks: hints that may be lost or doubled without harm. Names are a contract; arguments are ids."""

import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import structlog
from celery import shared_task
from django.conf import settings

from celery_app import app
from followups.exceptions import NotProcessed
from followups.models import DirectMessage
from followups.services import (
    analytics,
    archiving,
    bulk,
    delivery,
    devices,
    direct,
    dispatch,
    idempotency,
    planning,
    polling,
    privacy,
    receipts,
    reconciling,
    rescuing,
    sandbox,
    withdrawing,
)
from jyotiflow.failpoints import failpoint
from jyotiflow.health import record_pulse
from jyotiflow.publishing import publish

log = structlog.get_logger(__name__)

TICK_SECONDS: Final = 0.9  # of one of beat's
REFILL_SECONDS: Final = 0.05  # between two claims of a tick, once less than a batch was due


@shared_task(name="followups.tasks.send_follow_up")
def send_follow_up(follow_up_id: str, token: str) -> None:
    """Send one claimed follow-up on its channel."""
    delivery.deliver(follow_up_id=UUID(follow_up_id), token=UUID(token))


@shared_task(name="followups.tasks.dispatch_due")
def dispatch_due() -> None:
    """Claim what is due and hand each to its channel's queue, batch by batch, for as long as a tick.

    While there is something to send it goes on until the next tick comes: workers that are done with their
    share of a second before its end would otherwise stand idle.
    """
    limit = settings.FOLLOWUP_CLAIM_BATCH
    end = time.monotonic() + TICK_SECONDS
    while claims := dispatch.claim_due(limit=limit):
        failpoint("after_claim")
        if not hand_over(claims) or time.monotonic() > end:
            return
        if len(claims) < limit:
            time.sleep(REFILL_SECONDS)


def hand_over(claims: Sequence[dispatch.Claim]) -> bool:
    """Publish one task a claim; claims that can't be published go back. ``False`` when the broker is away."""
    waiting = list(claims)
    size = settings.HINT_BATCH or 1
    try:
        with app.producer_or_acquire() as producer:
            while batch := waiting[:size]:
                calls = [(claim.channel, (str(claim.follow_up_id), str(claim.token))) for claim in batch]
                publish(producer, send_follow_up, calls)
                del waiting[:size]
                failpoint("after_publish")
    except Exception as error:  # whatever it is: away, full, read-only
        log.error("broker_unreachable", unpublished=len(waiting), error=type(error).__name__)
        dispatch.release(tokens=[claim.token for claim in waiting])
        return False
    return True


@shared_task(name="followups.tasks.send_direct")
def send_direct(message_id: str) -> None:
    """Send one message of staff on its channel."""
    direct.deliver_direct(message_id=UUID(message_id))


def hand_over_direct(message: DirectMessage) -> None:
    """Publish a direct message's task; one that can't be published has failed."""
    try:
        send_direct.apply_async((str(message.pk),), queue=message.channel, retry=False)
    except Exception as error:  # as above
        log.error("broker_unreachable", unpublished=1, error=type(error).__name__)
        direct.finish(message, NotProcessed("broker_unreachable"))


@shared_task(name="followups.tasks.rescue_expired")
def rescue_expired() -> None:
    """Take back what a dead worker held."""
    rescuing.rescue_expired()


@shared_task(name="followups.tasks.reconcile")
def reconcile() -> None:
    """Ask providers about follow-ups in doubt."""
    reconciling.reconcile()


@shared_task(name="followups.tasks.poll_silent")
def poll_silent() -> None:
    """Ask providers how messages stand that nobody reported on."""
    polling.poll_silent()


@shared_task(name="followups.tasks.apply_waiting_receipts")
def apply_waiting_receipts() -> None:
    """Apply reports that came before their message was known."""
    receipts.apply_waiting_receipts()


@shared_task(name="followups.tasks.play_sandbox_receipts")
def play_sandbox_receipts() -> None:
    """Let the sandbox report on its outbox."""
    sandbox.play_receipts()


@shared_task(name="followups.tasks.plan_missed_sessions")
def plan_missed_sessions() -> None:
    """Plan completed sessions that have no plan."""
    planning.plan_missed_sessions()


@shared_task(name="followups.tasks.cancel_overdue")
def cancel_overdue() -> None:
    """Cancel what expired, end direct messages, and forget old idempotent answers and stale devices."""
    withdrawing.cancel_overdue()
    direct.give_up_old()
    idempotency.forget_old_answers()
    devices.forget_stale_devices()


@shared_task(name="followups.tasks.archive_finished")
def archive_finished() -> None:
    """Move what is long finished to the archive, and forget old reports and the sandbox's old messages."""
    archiving.archive_finished()
    archiving.forget_old_events()
    archiving.forget_sandbox()
    bulk.forget_old()


@shared_task(name="followups.tasks.go_on_with_bulk_changes")
def go_on_with_bulk_changes() -> None:
    """Look at and change the follow-ups of open bulk changes, for as long as a tick."""
    bulk.go_on_with_all(seconds=TICK_SECONDS)


@shared_task(name="followups.tasks.finish_erasures")
def finish_erasures() -> None:
    """Go on with erasures that a crash or a message on its way left open."""
    privacy.finish_erasures()


@shared_task(name="followups.tasks.roll_up_analytics")
def roll_up_analytics() -> None:
    """Recompute the figures of days that changed."""
    analytics.roll_up_at_ease()


@shared_task(name="followups.tasks.pulse")
def pulse() -> None:
    """Prove that beat publishes and a worker consumes."""
    record_pulse("beat")
