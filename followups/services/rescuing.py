"""Expired leases: a worker died or froze. What had not passed the gate goes back, the rest is in doubt."""

import structlog
from django.db import transaction
from django.db.models.functions import Now

from followups.choices import AttemptState, State
from followups.models import Attempt, FollowUpSchedule
from followups.retries import gives_up
from followups.services.settling import finish, may_repeat, put_in_doubt, try_again
from followups.services.withdrawing import fail_follow_up
from jyotiflow.failpoints import failpoint

log = structlog.get_logger(__name__)


def rescue_expired(*, batch: int = 500) -> int:
    """Take expired leases back, each in its own transaction; returns how many."""
    rescued = 0
    expired = FollowUpSchedule.objects.filter(status=State.SENDING, lease_until__lt=Now())
    for follow_up_id in list(expired.order_by("lease_until").values_list("pk", flat=True)[:batch]):
        try:
            with transaction.atomic():
                follow_up = expired.filter(pk=follow_up_id).select_for_update(skip_locked=True).first()
                if follow_up is not None:
                    _rescue(follow_up)
                    failpoint("in_rescue")
                    rescued += 1
        except Exception:  # one row must not hold up the others
            log.error("rescue_failed", follow_up_id=str(follow_up_id), exc_info=True)
    return rescued


def _rescue(follow_up: FollowUpSchedule) -> None:
    attempt = Attempt.objects.filter(follow_up=follow_up, state=AttemptState.CALLING).first()
    if attempt is None:
        if gives_up(follow_up.tries):  # it has brought down or stalled every worker that took it
            fail_follow_up(
                follow_up=follow_up,
                code="poison",
                reason="It could not be prepared for sending.",
                from_states=[State.SENDING],
            )
            return
        follow_up.status = State.PENDING
        follow_up.claim_token = follow_up.lease_until = None
        follow_up.save()
        log.info("lease_expired_before_gate", follow_up_id=str(follow_up.pk))
    elif may_repeat(attempt, follow_up):
        finish(attempt, AttemptState.ABANDONED, code="lease_expired")
        try_again(follow_up, code="lease_expired")
    else:
        put_in_doubt(attempt, follow_up, code="lease_expired")
