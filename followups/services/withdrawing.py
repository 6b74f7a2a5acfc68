"""The way back: a follow-up is cancelled or fails, and its credits are returned."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction
from django.utils.timezone import now

from credits.services import refund
from followups.choices import OPEN_ATTEMPT_STATES, State
from followups.exceptions import FollowUpNotFound
from followups.models import FollowUpSchedule
from followups.selectors.changes import cancelling, credits_due
from followups.selectors.settings import effective_settings
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import record_change
from jyotiflow.failpoints import failpoint

log = structlog.get_logger(__name__)


@transaction.atomic
def cancel_follow_up(
    *, follow_up_id: UUID, owner: User | None = None, actor: User | None = None
) -> FollowUpSchedule:
    """Withdraw a pending follow-up and refund it as the settings say.

    ``owner`` limits it to that user's own; ``actor`` is the member of staff who does it for somebody else,
    and is written down. Raises ``FollowUpNotFound``, and ``Conflict`` once it's no longer pending.
    """
    mine = FollowUpSchedule.objects.filter(pk=follow_up_id, **({"user": owner} if owner else {}))
    follow_up = mine.select_for_update().first()
    if follow_up is None:
        raise FollowUpNotFound()
    settings = effective_settings()
    if refusal := cancelling(follow_up, settings).refusal:
        raise refusal
    _cancel(follow_up, refunds=settings.refund_on_cancel, code="cancelled")
    if actor is not None:
        record_change(
            action=Action.CANCELLED,
            of=follow_up,
            label=follow_up.template.name,
            actor=actor,
            before={"status": State.PENDING, "credits_refunded": 0},
            after={"status": follow_up.status, "credits_refunded": follow_up.credits_refunded},
        )
    return follow_up


def cancel_overdue(*, batch: int = 200) -> int:
    """Cancel and refund what could not be sent before it expired; returns how many.

    Each in its own transaction, so a crash loses nothing. Refunded whatever the settings say about cancels by
    users: this one is our doing, so ``refund_on_failure`` decides.
    """
    cancelled = 0
    refunds = effective_settings().refund_on_failure
    overdue = FollowUpSchedule.objects.filter(status=State.PENDING, expires_at__lte=now())
    for follow_up_id in list(overdue.values_list("pk", flat=True)[:batch]):
        with transaction.atomic():
            follow_up = overdue.filter(pk=follow_up_id).select_for_update(skip_locked=True).first()
            if follow_up:
                follow_up.failure_reason = "It could not be sent in time."
                _cancel(follow_up, refunds=refunds, code="expired")
                cancelled += 1
    return cancelled


@transaction.atomic
def withdraw_for_erasure(*, follow_up_id: UUID) -> int | None:
    """Cancel what waits for a person who is being erased; returns the credits given back.

    Refunded whatever the settings say: it's asked to vanish. ``None`` for one past the gate or past that.
    """
    waiting = FollowUpSchedule.objects.filter(pk=follow_up_id, status__in=[State.PENDING, State.SENDING])
    follow_up = waiting.select_for_update().first()
    if follow_up is None or follow_up.attempts.filter(state__in=OPEN_ATTEMPT_STATES).exists():
        return None
    follow_up.claim_token = follow_up.lease_until = None  # a worker short of the gate finds its token void
    _cancel(follow_up, refunds=True, code="erased")
    return follow_up.credits_refunded


def _cancel(follow_up: FollowUpSchedule, *, refunds: bool, code: str) -> None:
    follow_up.status = State.CANCELLED
    follow_up.cancelled_at = now()
    follow_up.failure_code = code
    _save_and_refund(follow_up, refunds=refunds, at=follow_up.cancelled_at)
    failpoint("in_cancel")
    log.info("follow_up_cancelled", follow_up_id=str(follow_up.pk), code=code)


def fail_follow_up(
    *, follow_up: FollowUpSchedule, code: str, reason: str, from_states: Collection[State]
) -> bool:
    """Call a locked follow-up failed and refund it as the settings say; ``False`` when it's past that.

    Must run inside the transaction that holds the row's lock.
    """
    if follow_up.status not in from_states:
        return False
    follow_up.status = State.FAILED
    follow_up.claim_token = follow_up.lease_until = None
    follow_up.failed_at = now()
    follow_up.failure_code = code[:50]
    follow_up.failure_reason = reason
    _save_and_refund(follow_up, refunds=effective_settings().refund_on_failure, at=follow_up.failed_at)
    log.info("follow_up_failed", follow_up_id=str(follow_up.pk), code=code)
    return True


def _save_and_refund(follow_up: FollowUpSchedule, *, refunds: bool, at: datetime) -> None:
    """Locks are taken in one order everywhere: follow-up, session (by the save's trigger), account."""
    due = credits_due(follow_up, refunds=refunds)
    if due:
        follow_up.credits_refunded, follow_up.refunded_at = due, at
    follow_up.save()
    if due:
        refund(charge_key=follow_up.charge_key, key=follow_up.refund_key, reason="Follow-up not delivered")
