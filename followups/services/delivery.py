"""Sending one follow-up: gate (commit), call with no transaction open, settle. See `docs/delivery.md`."""

import hashlib
import random
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from followups.addresses import hash_address
from followups.channels import get_channel
from followups.channels.base import Channel, Message
from followups.choices import Origin, State
from followups.composing import render_message
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected
from followups.gate import Facts, Go, Later, Never, verdict
from followups.links import callback_url
from followups.models import Attempt, FollowUpSchedule
from followups.selectors.channels import is_paused
from followups.selectors.recipients import reachability
from followups.selectors.refusals import intent_of
from followups.selectors.settings import effective_settings
from followups.services.admission import Refusal, admit, give_back, report
from followups.services.settling import (
    IN_FLIGHT,
    Outcome,
    back_to_queue,
    database_now,
    key_has_lapsed,
    let_connection_go,
    lock_address,
    open_rivals,
    settle,
)
from followups.services.withdrawing import fail_follow_up
from jyotiflow.failpoints import failpoint

log = structlog.get_logger(__name__)

LONGEST_GATE_SECONDS = 5  # from beginning to the socket; a worker slower than that was frozen
ONE_AT_A_TIME_WAIT: Final = timedelta(seconds=15)  # for what is under way to the same address
CALL_MARGIN_SECONDS = 5  # between the end of the longest call and the end of the lease

_BEGIN: Final = """
    UPDATE follow_up_schedules
       SET claim_token = gen_random_uuid(), tries = tries + 1, updated_at = statement_timestamp(),
           lease_until = statement_timestamp() + make_interval(secs => %(lease)s)
     WHERE id = %(id)s AND status = 'sending' AND claim_token = %(token)s
       AND lease_until > statement_timestamp()
 RETURNING claim_token, channel
"""


def deliver(*, follow_up_id: UUID, token: UUID) -> None:
    """Send one claimed follow-up. A token that is stale, or was used already, does nothing."""
    begun = begin(follow_up_id=follow_up_id, token=token)
    if begun is None:
        return
    failpoint("after_begin")
    if refusal := admit(begun.channel_name):
        put_off(follow_up_id=follow_up_id, token=begun.token, refusal=refusal)
        return
    began = time.monotonic()
    passed = pass_gate(follow_up_id=follow_up_id, token=begun.token)
    if passed is None:
        give_back(begun.channel_name)
        return
    failpoint("after_gate")
    if time.monotonic() - began > LONGEST_GATE_SECONDS:
        # This worker was frozen: others may have acted on the expired lease. Nothing was sent, for certain.
        outcome: Outcome = NotProcessed("stale_gate", counts=False)
        give_back(begun.channel_name)
    else:
        outcome = call(get_channel(begun.channel_name), passed.message)
        report(begun.channel_name, outcome)
    failpoint("after_call")
    settle(attempt_id=passed.message.attempt_id, outcome=outcome)
    failpoint("after_settle")


@dataclass(frozen=True)
class Begun:
    """A claim in one worker's own hands."""

    token: UUID
    channel_name: str


def begin(*, follow_up_id: UUID, token: UUID) -> Begun | None:
    """Take a claim for oneself: its token is used up and another returned; ``None`` for a void token.

    A doubled task, or a claim released while its task was running after all, so finds nothing to do. Counts
    a try and renews the lease, committed before anything can go wrong: waiting in a queue is not a try, but
    a message that brings down whoever begins it is parked in time.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _BEGIN,
            {"id": follow_up_id, "token": token, "lease": settings.FOLLOWUP_LEASE_SECONDS},
        )
        row = cursor.fetchone()
    return Begun(*row) if row else None


def put_off(*, follow_up_id: UUID, token: UUID, refusal: Refusal) -> None:
    """Put a begun follow-up back: there's no room for its call now. No try is used up."""
    wait = timedelta(seconds=refusal.seconds + random.random())
    FollowUpSchedule.objects.filter(pk=follow_up_id, status=State.SENDING, claim_token=token).update(
        status=State.PENDING,
        claim_token=None,
        lease_until=None,
        due_at=Now() + wait,
        failure_code=refusal.code,
        tries=F("tries") - 1,
        updated_at=Now(),
    )
    log.info("follow_up_waits", follow_up_id=str(follow_up_id), code=refusal.code)


@dataclass(frozen=True)
class Passed:
    """A message that passed the gate: its attempt is committed, the provider is called next."""

    message: Message


def shortest_lease() -> float:
    """Seconds of a lease that the longest call and a margin take."""
    longest_call = settings.FOLLOWUP_CONNECT_TIMEOUT_SECONDS + settings.FOLLOWUP_READ_TIMEOUT_SECONDS
    return float(longest_call + CALL_MARGIN_SECONDS)


@transaction.atomic
def pass_gate(*, follow_up_id: UUID, token: UUID) -> Passed | None:
    """The point of no return: check everything that can forbid the message, then write the attempt.

    ``None`` when it must not be sent now; it's then back in the queue, failed and refunded, or not ours.
    """
    follow_up = (
        # Its reader is read after the lock is held: who is erased meanwhile isn't written to.
        FollowUpSchedule.objects.select_for_update(of=("self",))
        .select_related("session", "template", "template_version")
        .filter(pk=follow_up_id, status=State.SENDING, claim_token=token)
        .first()
    )
    moment = database_now()
    if follow_up is None or follow_up.lease_until is None:
        return None
    if follow_up.lease_until < moment + timedelta(seconds=shortest_lease()):
        return None  # too little of the lease is left for a call: the rescue puts it back
    channel = get_channel(follow_up.channel)
    reach = reachability(user=follow_up.user, channel=follow_up.channel)
    intent = intent_of(follow_up, reach, moment)
    preference = reach.preference
    decision = verdict(
        Facts(
            now=moment,
            scheduled_at=follow_up.scheduled_at,
            expires_at=follow_up.expires_at,
            origin=Origin(follow_up.origin),
            zone=follow_up.user.zone,
            default_quiet=effective_settings().quiet_hours,
            own_quiet=preference.quiet_hours,
            paused_until=preference.paused_until,
            channel_is_paused=is_paused(follow_up.channel),
            user_is_active=follow_up.user.is_active,
            has_opted_out=reach.has_opted_out,
            is_suppressed=reach.is_suppressed,
            is_reachable=bool(reach.addresses),
            objection=reach.fault or channel.objection(intent),
            closed=channel.closed_hours(intent),
        )
    )
    match decision:
        case Later(until=until, code=code):
            back_to_queue(follow_up, due_at=until, code=code, counts=False)
            return None
        case Never(code=code, reason=reason):
            fail_follow_up(follow_up=follow_up, code=code, reason=reason, from_states=IN_FLIGHT)
            return None
        case Go() if key_has_lapsed(follow_up, channel):
            reason = "The provider never confirmed it."
            fail_follow_up(follow_up=follow_up, code="no_proof", reason=reason, from_states=IN_FLIGHT)
            return None
        case Go():
            return _start_attempt(follow_up, channel, tuple(reach.addresses))


def _start_attempt(follow_up: FollowUpSchedule, channel: Channel, to: tuple[str, ...]) -> Passed | None:
    rendered = render_message(follow_up, is_private=channel.is_private)
    attempt = Attempt(
        follow_up=follow_up,
        number=follow_up.attempts.count() + 1,
        provider=channel.provider,
        to_hash=hash_address("\n".join(to)),
        body_hash=hashlib.sha256(rendered.text.encode()).hexdigest(),
    )
    if channel.can_be_asked and not channel.finds_by_text:
        lock_address(attempt.to_hash)
        if open_rivals(attempt, channel).exists():
            # Were both in doubt, the provider's list could not tell the one from the other. Where it shows
            # texts, those it can't tell apart read the same: exchanged, their reader gets each all the same.
            until = database_now() + ONE_AT_A_TIME_WAIT
            back_to_queue(follow_up, due_at=until, code="one_at_a_time", counts=False)
            return None
    attempt.save(force_insert=True)
    follow_up.subject_sent, follow_up.message_sent = rendered.subject, rendered.body
    follow_up.provider = channel.provider
    follow_up.save(update_fields=["subject_sent", "message_sent", "provider", "updated_at"])
    failpoint("in_gate")
    return Passed(
        Message(
            attempt_id=attempt.pk,
            follow_up_id=follow_up.pk,
            user_id=follow_up.user_id,
            to=to,
            language=follow_up.language,
            subject=rendered.subject,
            text=rendered.text,
            html=rendered.html,
            unsubscribe_url=rendered.unsubscribe_url,
            callback_url=callback_url(provider=channel.provider, attempt_id=attempt.pk),
            whatsapp_content_sid=rendered.whatsapp_content_sid,
            whatsapp_variables=rendered.whatsapp_variables or {},
            valid_for_seconds=int((follow_up.expires_at - database_now()).total_seconds()),
        ),
    )


def call(channel: Channel, message: Message) -> Outcome:
    """Call the provider; whatever a channel raises beyond its four words counts as an unknown outcome."""
    let_connection_go()
    try:
        return channel.send(message)
    except (NotProcessed, Rejected, Misconfigured, OutcomeUnknown) as outcome:
        return outcome
    except Exception as error:  # a bug after the socket write must not become a second message
        log.error("channel_bug", attempt_id=str(message.attempt_id), exc_info=True)
        return OutcomeUnknown(code=type(error).__name__)
