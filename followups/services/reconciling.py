"""Follow-ups in doubt: the provider is asked, never guessed."""

import time
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F

from followups.addresses import hash_address
from followups.channels import get_channel
from followups.channels.base import CANNOT_TELL, Accepted, Channel, Sighting
from followups.choices import AttemptState, State
from followups.doubts import Ending, ending, nearest_in_time
from followups.models import Attempt, FollowUpSchedule, ProviderEvent
from followups.retries import gives_up
from followups.services.settling import (
    FOUND,
    IN_FLIGHT,
    accept,
    database_now,
    finish,
    let_connection_go,
    lock_address,
    lock_attempt,
    may_repeat,
    open_rivals,
    try_again,
)
from followups.services.withdrawing import fail_follow_up
from jyotiflow.failpoints import failpoint

log = structlog.get_logger(__name__)

REPEATED: Final = "repeated"  # the code of an attempt given up for one more try without proof
LONGEST_RUN_SECONDS: Final = 45  # then the next run goes on
FAILED_LOOKS: Final = 5  # in a row; then a provider is left alone for this run


def reconcile(*, batch: int = 1_000) -> int:
    """Ask the providers about attempts in doubt; returns how many were resolved.

    Found: sent. Absent at two looks, an interval apart, after the settle delay: tried again. What becomes of
    the others is in `doubts`.
    """
    started = time.monotonic()
    moment = database_now()
    settled_before = moment - timedelta(seconds=settings.FOLLOWUP_SETTLE_DELAY_SECONDS)
    doubtful = (
        Attempt.objects.filter(state=AttemptState.IN_DOUBT, gate_at__lt=settled_before)
        .exclude(checked_at__gt=moment - _look_interval())
        .select_related("follow_up__user")
        .order_by(F("checked_at").asc(nulls_first=True), "gate_at")
    )
    failed: Counter[str] = Counter()
    resolved = 0
    for attempt in list(doubtful[:batch]):
        if time.monotonic() - started > LONGEST_RUN_SECONDS:
            break
        if failed[attempt.follow_up.channel] < FAILED_LOOKS:
            resolved += _look_safely(attempt, failed)
    return resolved


def _look_interval() -> timedelta:
    return timedelta(seconds=settings.FOLLOWUP_LOOK_INTERVAL_SECONDS)


def _look_safely(attempt: Attempt, failed: Counter[str]) -> bool:
    try:
        return _look(attempt, failed)
    except Exception:  # one row must not hold up the others
        log.error("reconcile_failed", attempt_id=str(attempt.pk), exc_info=True)
        return False


def _look(attempt: Attempt, failed: Counter[str]) -> bool:
    failpoint("before_look")
    channel = _channel_of(attempt)
    sighting = CANNOT_TELL
    to = channel.addresses(attempt.follow_up.user) if channel and channel.can_be_asked else ()
    if channel and to and hash_address("\n".join(to)) == attempt.to_hash:  # a changed one would mislead
        let_connection_go()
        try:
            sighting = _find(channel, to, attempt)
            failed[attempt.follow_up.channel] = 0
        except Exception as error:  # the provider is away: look again later
            failed[attempt.follow_up.channel] += 1
            log.warning("reconcile_look_failed", attempt_id=str(attempt.pk), error=type(error).__name__)
    failpoint("after_look")
    return _resolve(attempt, channel, sighting)


def _find(channel: Channel, to: tuple[str, ...], attempt: Attempt) -> Sighting:
    """Ask; a second time if the first fails, since asking does nothing."""
    find = partial(
        channel.find,
        to=to,
        body_hash=attempt.body_hash,
        attempt_id=attempt.pk,
        since=attempt.gate_at,
    )
    try:
        return find()
    except Exception as error:
        log.info("reconcile_look_repeated", attempt_id=str(attempt.pk), error=type(error).__name__)
        return find()


def _channel_of(attempt: Attempt) -> Channel | None:
    """The backend that was called, if it's still the one in use."""
    name = attempt.follow_up.channel
    channel = get_channel(name) if name in settings.FOLLOWUP_CHANNELS else None
    return channel if channel and channel.provider == attempt.provider else None


@transaction.atomic
def _resolve(seen: Attempt, channel: Channel | None, sighting: Sighting) -> bool:
    lock_address(seen.to_hash)  # two must not find the same message
    is_resolved = _write_down(seen, channel, sighting)
    failpoint("in_resolve")
    return is_resolved


def _write_down(seen: Attempt, channel: Channel | None, sighting: Sighting) -> bool:
    attempt, follow_up = lock_attempt(seen.pk)
    if attempt is None or follow_up is None or attempt.state != AttemptState.IN_DOUBT:
        return False
    if channel and (message_id := _own_message(attempt, channel, sighting)):
        accept(attempt, follow_up, Accepted(provider_message_id=message_id), code=FOUND)
        return True
    moment = database_now()
    if attempt.checked_at and attempt.checked_at > moment - _look_interval():
        return False  # another look has just been counted: two at one moment prove nothing
    attempt.checked_at = moment
    attempt.looks += 1
    attempt.misses += sighting.is_whole  # a look that failed in between says nothing
    match ending(
        looks=attempt.looks,
        misses=attempt.misses,
        can_be_asked=channel is None or channel.can_be_asked,  # without its backend: perhaps later again
        repeats_left=_repeats_left(attempt, follow_up, channel),
        is_overdue=moment - attempt.gate_at > timedelta(hours=settings.FOLLOWUP_NO_PROOF_HOURS),
    ):
        case Ending.WAIT:
            attempt.save()
            return False
        case Ending.ABSENT:
            finish(attempt, AttemptState.ABSENT, code="absent")
            if follow_up.status == State.IN_DOUBT:
                try_again(follow_up, code="absent")
        case Ending.REPEAT:
            finish(attempt, AttemptState.ABANDONED, code=REPEATED)
            if follow_up.status == State.IN_DOUBT:
                try_again(follow_up, code=REPEATED)
        case Ending.GIVE_UP:
            finish(attempt, AttemptState.ABANDONED, code="no_proof")
            reason = "The provider never confirmed it."
            fail_follow_up(follow_up=follow_up, code="no_proof", reason=reason, from_states=IN_FLIGHT)
    return True


def _repeats_left(attempt: Attempt, follow_up: FollowUpSchedule, channel: Channel | None) -> int:
    if channel is None or gives_up(follow_up.tries):
        return 0
    if may_repeat(attempt, follow_up):
        return 1
    spent = follow_up.attempts.filter(state=AttemptState.ABANDONED, code=REPEATED).count()
    return channel.repeats_in_doubt - spent


def _own_message(attempt: Attempt, channel: Channel, sighting: Sighting) -> str | None:
    """Which of the listed messages is this attempt's: none that is another's, and each goes to the attempt
    nearest in time, the others being called or in doubt at the same address."""
    listed = {each.provider_message_id: each.made_at for each in sighting.candidates}
    if not listed:
        return None
    # Reported with an attempt's id, whether that report is applied, and that attempt known to us, or not.
    named = ProviderEvent.objects.filter(provider=attempt.provider, provider_message_id__in=listed)
    reported = dict(
        named.exclude(attempt_reference="").values_list("provider_message_id", "attempt_reference")
    )
    for message_id, reference in reported.items():
        if reference == str(attempt.pk):
            return message_id
        del listed[message_id]
    owned = Attempt.objects.filter(
        provider=attempt.provider, provider_message_id__in=listed, state=AttemptState.ACCEPTED
    )
    for message_id in owned.values_list("provider_message_id", flat=True):
        del listed[message_id]
    rivals = open_rivals(
        channel=channel, to_hash=attempt.to_hash, body_hash=attempt.body_hash, except_attempt=attempt.pk
    )
    called = dict(rivals.values_list("pk", "gate_at"))
    return nearest_in_time({**called, attempt.pk: attempt.gate_at}, listed).get(attempt.pk)
