"""Follow-ups in doubt: the provider is asked, never guessed."""

from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F

from followups.channels import get_channel
from followups.channels.base import CANNOT_TELL, Accepted, Sighting
from followups.choices import AttemptState, State
from followups.models import Attempt
from followups.selectors.recipients import hash_address
from followups.services.settling import IN_FLIGHT, accept, database_now, finish, lock_attempt, try_again
from followups.services.withdrawing import fail_follow_up
from jyotiflow.failpoints import failpoint

log = structlog.get_logger(__name__)

BETWEEN_LOOKS = timedelta(seconds=60)
LOOKS_THAT_PROVE_ABSENCE = 2
NO_PROOF_AFTER = timedelta(hours=24)


def reconcile(*, batch: int = 100) -> int:
    """Ask the providers about attempts in doubt; returns how many were resolved.

    Found: sent. Absent at two looks a minute apart, after the settle delay: tried again. No proof within
    24 hours: failed and refunded.
    """
    moment = database_now()
    settled_before = moment - timedelta(seconds=settings.FOLLOWUP_SETTLE_DELAY_SECONDS)
    doubtful = (
        Attempt.objects.filter(state=AttemptState.IN_DOUBT, gate_at__lt=settled_before)
        .exclude(checked_at__gt=moment - BETWEEN_LOOKS)
        .select_related("follow_up__user")
        .order_by(F("checked_at").asc(nulls_first=True), "gate_at")
    )
    return sum(_look_safely(attempt) for attempt in list(doubtful[:batch]))


def _look_safely(attempt: Attempt) -> bool:
    try:
        return _look(attempt)
    except Exception:  # one row must not hold up the others
        log.error("reconcile_failed", attempt_id=str(attempt.pk), exc_info=True)
        return False


def _look(attempt: Attempt) -> bool:
    if attempt.follow_up.channel not in settings.FOLLOWUP_CHANNELS:  # nobody left to ask
        return _resolve(attempt, CANNOT_TELL)
    failpoint("before_look")
    channel = get_channel(attempt.follow_up.channel)
    to = channel.addresses(attempt.follow_up.user)
    sighting = CANNOT_TELL
    if hash_address("\n".join(to)) == attempt.to_hash:  # else the address changed: asking would mislead
        try:
            sighting = channel.find(
                to=to, body_hash=attempt.body_hash, attempt_id=attempt.pk, since=attempt.gate_at
            )
        except Exception as error:  # the provider is away: look again later
            log.warning("reconcile_look_failed", attempt_id=str(attempt.pk), error=type(error).__name__)
    failpoint("after_look")
    return _resolve(attempt, sighting)


@transaction.atomic
def _resolve(seen: Attempt, sighting: Sighting) -> bool:
    is_resolved = _write_down(seen, sighting)
    failpoint("in_resolve")
    return is_resolved


def _write_down(seen: Attempt, sighting: Sighting) -> bool:
    attempt, follow_up = lock_attempt(seen.pk)
    if attempt is None or follow_up is None or attempt.state != AttemptState.IN_DOUBT:
        return False
    if sighting.found and not _is_taken(attempt, sighting):
        accept(attempt, follow_up, Accepted(provider_message_id=sighting.provider_message_id))
        return True
    moment = database_now()
    if attempt.checked_at and attempt.checked_at > moment - BETWEEN_LOOKS:
        return False  # another look has just been counted: two at one moment prove nothing
    attempt.checked_at = moment
    attempt.misses = attempt.misses + 1 if sighting.absent else 0
    if attempt.misses >= LOOKS_THAT_PROVE_ABSENCE:
        finish(attempt, AttemptState.ABSENT, code="absent")
        if follow_up.status == State.IN_DOUBT:
            try_again(follow_up, code="absent")
        return True
    if attempt.checked_at - attempt.gate_at > NO_PROOF_AFTER:
        finish(attempt, AttemptState.ABANDONED, code="no_proof")
        reason = "The provider never confirmed it."
        fail_follow_up(follow_up=follow_up, code="no_proof", reason=reason, from_states=IN_FLIGHT)
        return True
    attempt.save()
    return False


def _is_taken(attempt: Attempt, sighting: Sighting) -> bool:
    """Whether the message found belongs to another attempt (the same text to the same number)."""
    return (
        Attempt.objects.filter(provider=attempt.provider, provider_message_id=sighting.provider_message_id)
        .exclude(pk=attempt.pk)
        .exists()
    )
