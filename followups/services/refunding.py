"""Giving credits back by hand: what was kept of a follow-up that did not arrive, or out of goodwill."""

from uuid import UUID

import structlog
from django.db import transaction
from django.utils.timezone import now

from credits.models import CreditEntry
from credits.services import adjust, refund
from followups.choices import WITHDRAWN_STATES, State
from followups.exceptions import FollowUpNotFound
from followups.models import FollowUpSchedule
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict, InvalidInput

log = structlog.get_logger(__name__)


@transaction.atomic
def refund_follow_up(*, follow_up_id: UUID, amount: int, reason: str, actor: User) -> CreditEntry:
    """Give ``amount`` credits of a follow-up's charge back, once; ``actor`` says why, and is written down.

    Of one that was cancelled or failed the whole charge comes back, as a refund. Of one that went out it is
    goodwill, the charge or a part of it: a correction of the balance, the message has earned what it earned.
    The same call again answers with the first entry.

    Raises ``FollowUpNotFound``; ``InvalidInput`` for an amount out of bounds, no reason, or one that names
    the person; ``Conflict`` when it was refunded before, or still waits or is on its way.
    """
    follow_up = FollowUpSchedule.objects.select_for_update().filter(pk=follow_up_id).first()
    if follow_up is None:
        raise FollowUpNotFound("There is no such follow-up.")
    known = entry_given_back(follow_up)
    if known is not None:
        if (known.actor_id, known.amount, known.reason) == (actor.pk, amount, reason.strip()):
            return known
        raise Conflict("Its credits were given back already.", code="already_refunded")
    most = most_refundable(follow_up)
    is_whole = follow_up.status in WITHDRAWN_STATES
    if not (amount == most if is_whole else 1 <= amount <= most):
        bounds = f"{most} credits, the whole charge" if is_whole else f"between 1 and {most} credits"
        raise InvalidInput.field("amount", f"Give back {bounds}.")
    log.info("follow_up_refunded_by_hand", follow_up_id=str(follow_up.pk), credits=amount)
    if not is_whole:
        key = goodwill_key(follow_up)
        return adjust(user=follow_up.user, amount=amount, reason=reason, key=key, actor=actor)
    follow_up.credits_refunded, follow_up.refunded_at = amount, now()
    follow_up.save(update_fields=["credits_refunded", "refunded_at", "updated_at"])
    return refund(charge_key=follow_up.charge_key, key=follow_up.refund_key, reason=reason, actor=actor)


def most_refundable(follow_up: FollowUpSchedule) -> int:
    """What may be given back of a follow-up, in credits. Raises ``Conflict`` or ``InvalidInput``: nothing."""
    if follow_up.status == State.PENDING:
        raise Conflict("It still waits: cancel it, and its credits come back.", code="not_refundable")
    if follow_up.status in (State.SENDING, State.IN_DOUBT):
        raise Conflict("It is on its way: wait for what becomes of it.", code="not_refundable")
    if not follow_up.credits_charged:
        raise InvalidInput.field("amount", "It cost nothing, so there is nothing to give back.")
    return follow_up.credits_charged


def goodwill_key(follow_up: FollowUpSchedule) -> str:
    """The ledger's key of what was given back of one that went out: at most once."""
    return f"followup:{follow_up.pk}:goodwill"


def entry_given_back(follow_up: FollowUpSchedule) -> CreditEntry | None:
    """The entry that gave its credits back, by hand or by the settings."""
    keys = [follow_up.refund_key, goodwill_key(follow_up)]
    return CreditEntry.objects.filter(idempotency_key__in=keys).first()
