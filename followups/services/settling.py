"""How a call to a provider ended, written down by compare-and-set. See `docs/delivery.md`."""

import random
from datetime import UTC, datetime
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from followups.channels import get_channel
from followups.channels.base import Accepted, Channel
from followups.choices import OPEN_ATTEMPT_STATES, AttemptState, ReceiptKind, State
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected
from followups.models import Attempt, FollowUpSchedule
from followups.retries import HALT_WAIT, backoff, gives_up
from followups.services.consent import suppress
from followups.services.withdrawing import fail_follow_up
from followups.status import next_state

log = structlog.get_logger(__name__)

IN_FLIGHT = (State.SENDING, State.IN_DOUBT)
FOUND = "found"  # the code of an attempt accepted because the provider's list showed such a message

Outcome = Accepted | NotProcessed | Rejected | Misconfigured | OutcomeUnknown


def database_now() -> datetime:
    """The database's clock, the only one leases and due times are read by."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        row = cursor.fetchone()
    moment: datetime = row[0]
    return moment.astimezone(UTC)


def let_connection_go() -> None:
    """Back to the pool before a provider is called: a slow one must not hold the database's connections."""
    if not connection.in_atomic_block:
        connection.close()


@transaction.atomic
def settle(*, attempt_id: UUID, outcome: Outcome) -> None:
    """Write down how an attempt ended. One that was settled before, by a receipt say, stays as it is.

    An acceptance counts however late: a worker that was frozen may learn of it when the attempt was given up.
    """
    attempt, follow_up = _lock(attempt_id)
    if attempt is None or follow_up is None or attempt.state == AttemptState.ACCEPTED:
        return
    if attempt.state not in OPEN_ATTEMPT_STATES and not isinstance(outcome, Accepted):
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


def lock_attempt(attempt_id: UUID) -> tuple[Attempt, FollowUpSchedule] | tuple[None, None]:
    """Lock an open attempt with its follow-up, the follow-up first; nothing when it's no longer open."""
    attempt, follow_up = _lock(attempt_id)
    if attempt is None or follow_up is None or attempt.state not in OPEN_ATTEMPT_STATES:
        return None, None
    return attempt, follow_up


def _lock(attempt_id: UUID) -> tuple[Attempt, FollowUpSchedule] | tuple[None, None]:
    follow_up = (
        FollowUpSchedule.objects.select_for_update(of=("self",))
        .select_related("user")
        .filter(attempts=attempt_id)
        .first()
    )
    attempt = Attempt.objects.filter(pk=attempt_id).first()
    return (attempt, follow_up) if attempt and follow_up else (None, None)


def may_repeat(attempt: Attempt, follow_up: FollowUpSchedule) -> bool:
    """Whether another try shows once: so says the backend, if it's still the one that was called."""
    if follow_up.channel not in settings.FOLLOWUP_CHANNELS or gives_up(follow_up.tries):
        return False
    channel = get_channel(follow_up.channel)
    if channel.provider != attempt.provider:
        return False
    if channel.keeps_key_for is not None:
        return not key_has_lapsed(follow_up, channel)
    return channel.repeat_is_harmless


def key_has_lapsed(follow_up: FollowUpSchedule, channel: Channel) -> bool:
    """Whether the provider may have forgotten the key of a first attempt whose outcome nobody knows."""
    if channel.keeps_key_for is None:
        return False
    unknown = [*OPEN_ATTEMPT_STATES, AttemptState.ABANDONED]
    return follow_up.attempts.filter(
        provider=channel.provider, state__in=unknown, gate_at__lt=database_now() - channel.keeps_key_for
    ).exists()


def lock_address(to_hash: str) -> None:
    """One at a time for an address, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [to_hash])


def open_rivals(*, channel: Channel, to_hash: str, body_hash: str, except_attempt: UUID) -> QuerySet[Attempt]:
    """Others called or in doubt whose message the provider's list could not tell from this one's."""
    rivals = Attempt.objects.filter(
        provider=channel.provider,
        state__in=OPEN_ATTEMPT_STATES,
        to_hash=to_hash,
        follow_up__channel=channel.name,
    ).exclude(pk=except_attempt)
    return rivals.filter(body_hash=body_hash) if channel.finds_by_text else rivals


def finish(attempt: Attempt, state: AttemptState, *, code: str = "") -> None:
    """Close an attempt for good."""
    attempt.state, attempt.code, attempt.finished_at = state, code[:50], database_now()
    attempt.save()


def accept(attempt: Attempt, follow_up: FollowUpSchedule, accepted: Accepted, *, code: str = "") -> None:
    """The provider has it: the follow-up is sent, as of the moment it passed the gate or now.

    One that waits for another try is sent too, and not tried again; what is past sending stays as it is.
    """
    was_calling = attempt.state == AttemptState.CALLING
    record_acceptance(attempt, follow_up, accepted, code=code)
    news = ReceiptKind.DELIVERED if accepted.delivered else ReceiptKind.ACCEPTED
    state = next_state(State(follow_up.status), news)
    if state is None:
        return
    # A message found later went out when it was called, not when we learned of it.
    moment = attempt.finished_at if was_calling else attempt.gate_at
    follow_up.status = state
    follow_up.sent_at = follow_up.sent_at or moment
    follow_up.delivered_at = moment if accepted.delivered else None
    follow_up.claim_token = follow_up.lease_until = None
    follow_up.provider_message_id = attempt.provider_message_id or follow_up.provider_message_id
    follow_up.save()
    log.info("follow_up_sent", follow_up_id=str(follow_up.pk), channel=follow_up.channel)


def record_acceptance(
    attempt: Attempt, follow_up: FollowUpSchedule, accepted: Accepted, *, code: str = ""
) -> None:
    """Write down that the provider took an attempt, whatever was thought of it before."""
    attempt.provider_message_id = _claim_id(attempt, follow_up, accepted.provider_message_id)
    attempt.details = dict(accepted.details)
    finish(attempt, AttemptState.ACCEPTED, code=code)


def _claim_id(attempt: Attempt, follow_up: FollowUpSchedule, message_id: str) -> str:
    """The provider's id if it's this attempt's to keep: a message belongs to one attempt.

    Another one that only found it on the provider's list gives it back, if it's needed here.
    """
    owner = (
        Attempt.objects.filter(
            provider=attempt.provider, provider_message_id=message_id, state=AttemptState.ACCEPTED
        )
        .exclude(pk=attempt.pk)
        .first()
        if message_id
        else None
    )
    if owner is None:
        return message_id
    if owner.code != FOUND or follow_up.status not in (State.PENDING, *IN_FLIGHT):
        return ""
    _give_back(owner)
    return message_id


def _give_back(owner: Attempt) -> None:
    """A message found on the list was another's after all: whoever took it for its own is in doubt again."""
    follow_up = FollowUpSchedule.objects.select_for_update().get(pk=owner.follow_up_id)
    owner.provider_message_id = ""
    if follow_up.status != State.SENT or follow_up.attempts.filter(state__in=OPEN_ATTEMPT_STATES).exists():
        owner.save()
        return
    owner.finished_at = owner.checked_at = None
    owner.looks = owner.misses = 0
    follow_up.status, follow_up.sent_at, follow_up.provider_message_id = State.IN_DOUBT, None, ""
    put_in_doubt(owner, follow_up, code="mistaken")


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
