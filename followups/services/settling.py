"""How a call to a provider ended, written down by compare-and-set. See `docs/delivery.md`."""

import random
from datetime import UTC, datetime
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction

from followups.channels import get_channel
from followups.channels.base import Accepted
from followups.choices import AttemptState, State
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected
from followups.models import Attempt, FollowUpSchedule
from followups.retries import HALT_WAIT, backoff, gives_up
from followups.services.consent import suppress
from followups.services.withdrawing import fail_follow_up
from jyotiflow.failpoints import failpoint

log = structlog.get_logger(__name__)

IN_FLIGHT = (State.SENDING, State.IN_DOUBT)

Outcome = Accepted | NotProcessed | Rejected | Misconfigured | OutcomeUnknown


def database_now() -> datetime:
    """The database's clock, the only one leases and due times are read by."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        row = cursor.fetchone()
    moment: datetime = row[0]
    return moment.astimezone(UTC)


@transaction.atomic
def settle(*, attempt_id: UUID, outcome: Outcome) -> None:
    """Write down how an attempt ended. One that was settled before, by a receipt say, stays as it is."""
    attempt, follow_up = lock_attempt(attempt_id)
    if attempt is None or follow_up is None:
        return
    match outcome:
        case Accepted():
            accept(attempt, follow_up, outcome)
        case Rejected(code=code, reason=reason, suppress=suppress_as):
            finish(attempt, AttemptState.REJECTED, code=code)
            fail_follow_up(follow_up=follow_up, code=code, reason=reason, from_states=IN_FLIGHT)
            if suppress_as:
                suppress(
                    channel=follow_up.channel, address_hash=attempt.to_hash, reason=suppress_as, source=code
                )
        case NotProcessed(code=code, retry_after=retry_after, counts=counts):
            finish(attempt, AttemptState.NOT_PROCESSED, code=code)
            try_again(follow_up, code=code, retry_after=retry_after, counts=counts)
        case Misconfigured(code=code, reason=reason):
            log.error("channel_misconfigured", channel=follow_up.channel, code=code, reason=reason)
            finish(attempt, AttemptState.NOT_PROCESSED, code=code)
            back_to_queue(follow_up, due_at=database_now() + HALT_WAIT, code=code, counts=False)
        case OutcomeUnknown(code=code) if may_repeat(attempt, follow_up):
            finish(attempt, AttemptState.ABANDONED, code=code)
            try_again(follow_up, code=code)
        case OutcomeUnknown(code=code):
            put_in_doubt(attempt, follow_up, code=code)
    failpoint("in_settle")


def lock_attempt(attempt_id: UUID) -> tuple[Attempt, FollowUpSchedule] | tuple[None, None]:
    """Lock an open attempt with its follow-up, the follow-up first; nothing when it's no longer open."""
    follow_up = (
        FollowUpSchedule.objects.select_for_update(of=("self",))
        .select_related("user")
        .filter(attempts=attempt_id)
        .first()
    )
    attempt = Attempt.objects.filter(
        pk=attempt_id, state__in=[AttemptState.CALLING, AttemptState.IN_DOUBT]
    ).first()
    if follow_up is None or attempt is None:
        return None, None
    return attempt, follow_up


def may_repeat(attempt: Attempt, follow_up: FollowUpSchedule) -> bool:
    """Whether sending again shows once: so says the backend, if it's still the one that was called."""
    if follow_up.channel not in settings.FOLLOWUP_CHANNELS:
        return False
    channel = get_channel(follow_up.channel)
    return channel.repeat_is_harmless and channel.provider == attempt.provider


def finish(attempt: Attempt, state: AttemptState, *, code: str = "") -> None:
    """Close an attempt for good."""
    attempt.state, attempt.code, attempt.finished_at = state, code[:50], database_now()
    attempt.save()


def accept(attempt: Attempt, follow_up: FollowUpSchedule, accepted: Accepted) -> None:
    """The provider has it: the follow-up is sent, as of the moment it passed the gate or now."""
    attempt.provider_message_id = accepted.provider_message_id
    attempt.details = dict(accepted.details)
    finish(attempt, AttemptState.ACCEPTED)
    if follow_up.status not in IN_FLIGHT:
        return
    # A message found later went out when it was called, not when we learned of it.
    moment = attempt.finished_at if follow_up.status == State.SENDING else attempt.gate_at
    follow_up.status = State.DELIVERED if accepted.delivered else State.SENT
    follow_up.sent_at = moment
    follow_up.delivered_at = moment if accepted.delivered else None
    follow_up.claim_token = follow_up.lease_until = None
    follow_up.provider_message_id = accepted.provider_message_id
    follow_up.save()
    log.info("follow_up_sent", follow_up_id=str(follow_up.pk), channel=follow_up.channel)


def try_again(
    follow_up: FollowUpSchedule, *, code: str, retry_after: float | None = None, counts: bool = True
) -> None:
    """Queue a follow-up the provider did not take, later each time; the last try fails it."""
    if counts and gives_up(follow_up.tries):
        reason = "The provider could not take it, however often it was tried."
        fail_follow_up(follow_up=follow_up, code=code, reason=reason, from_states=IN_FLIGHT)
        return
    wait = backoff(follow_up.tries, retry_after=retry_after, spread=random.random())
    back_to_queue(follow_up, due_at=database_now() + wait, code=code, counts=counts)


def put_in_doubt(attempt: Attempt, follow_up: FollowUpSchedule, *, code: str) -> None:
    """Nobody knows whether it went out: it waits for proof and is never sent again without."""
    attempt.state, attempt.code = AttemptState.IN_DOUBT, code[:50]
    attempt.save()
    if follow_up.status not in IN_FLIGHT:  # a report on an earlier attempt has settled it meanwhile
        return
    follow_up.status = State.IN_DOUBT
    follow_up.claim_token = follow_up.lease_until = None
    follow_up.save()
    log.warning("follow_up_in_doubt", follow_up_id=str(follow_up.pk), code=code)


def back_to_queue(follow_up: FollowUpSchedule, *, due_at: datetime, code: str, counts: bool) -> None:
    """Let a follow-up in flight wait until ``due_at``; what doesn't count gives its try back."""
    if follow_up.status not in IN_FLIGHT:
        return
    follow_up.status = State.PENDING
    follow_up.claim_token = follow_up.lease_until = None
    follow_up.due_at = due_at
    follow_up.failure_code = code[:50]
    if not counts:
        follow_up.tries = max(0, follow_up.tries - 1)
    follow_up.save()
    log.info("follow_up_waits", follow_up_id=str(follow_up.pk), code=code)
