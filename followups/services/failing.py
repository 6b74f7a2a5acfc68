"""A provider took a message and reports that it did not arrive: another attempt, or the end."""

import random
from datetime import datetime, time

import structlog

from followups.channels.esp import keys_of
from followups.channels.meanings import known_rule
from followups.channels.verdicts import Rule
from followups.choices import RETRY_WORDS, SENT_STATES, ErrorPhase, ErrorWord, ReceiptKind, State
from followups.models import Attempt, FollowUpSchedule, ProviderEvent
from followups.retries import new_attempt_at
from followups.selectors.recipients import preference_of
from followups.selectors.settings import effective_settings
from followups.services.settling import database_now
from followups.services.withdrawing import fail_follow_up

log = structlog.get_logger(__name__)


def take_failure(event: ProviderEvent, attempt: Attempt, follow_up: FollowUpSchedule) -> None:
    """Queue a locked follow-up for another attempt if the rule of its failure says so, or call it failed.

    Its credits stay charged while it waits. Nothing happens once another try has begun: that one decides.
    """
    is_claimed_anew = follow_up.status == State.SENDING  # an open attempt would have been accepted by now
    if is_claimed_anew or follow_up.attempts.filter(number__gt=attempt.number).exists():
        return
    if follow_up.status == State.SENT and (again := _another_attempt_at(event, attempt, follow_up)):
        _send_anew(follow_up, due_at=again, code=event.code)
        return
    fail_follow_up(
        follow_up=follow_up,
        code=event.code or event.kind,
        reason=event.raw.get("_reason") or "The provider could not deliver it.",
        from_states=[*SENT_STATES, State.IN_DOUBT],
    )


def _another_attempt_at(
    event: ProviderEvent, attempt: Attempt, follow_up: FollowUpSchedule
) -> datetime | None:
    rule = known_rule(ErrorPhase.REPORT, keys_of(event.provider, event.code))
    if rule is None or rule.word not in RETRY_WORDS:
        return None
    failed_before = follow_up.attempts.filter(events__kind=ReceiptKind.FAILED).exclude(pk=attempt.pk)
    return new_attempt_at(
        moment=database_now(),
        expires_at=follow_up.expires_at,
        first_wait=rule.retry_after or 0,
        most_retries=rule.most_retries,
        retries=failed_before.distinct().count(),
        zone=follow_up.user.zone,
        quiet=_quiet_hours(rule, follow_up),
        spread=random.random(),
    )


def _quiet_hours(rule: Rule, follow_up: FollowUpSchedule) -> list[tuple[time, time]]:
    """The hours in which a carrier takes nothing, as far as we know them: the default ones, and one's own."""
    if rule.word != ErrorWord.WINDOW:
        return []  # the gate looks at quiet hours as at any other time
    own = preference_of(follow_up.user).quiet_hours
    default = effective_settings().quiet_hours
    return [default] if own is None else [default, own]


def _send_anew(follow_up: FollowUpSchedule, *, due_at: datetime, code: str) -> None:
    """Back to the queue as if it had not gone out, with all its tries. The code stays until the next word."""
    follow_up.status = State.PENDING
    follow_up.sent_at = None
    follow_up.provider_message_id = ""
    follow_up.due_at = due_at
    follow_up.tries = 0
    follow_up.failure_code = code[:50]
    follow_up.save()
    log.info("follow_up_sent_anew", follow_up_id=str(follow_up.pk), code=code)
