"""May this booked follow-up be cancelled, moved, tried again, and what would it cost or give back?

As of now, nothing written. Whoever changes one asks under its lock; whoever only shows need not hold it.
"""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings as django_settings
from django.utils.timezone import now

from followups.channels import get_channel
from followups.choices import AttemptState, Origin, State
from followups.exceptions import TemplateNotFound
from followups.models import Erasure, FollowUpSchedule
from followups.selectors.recipients import reachability
from followups.selectors.refusals import (
    CLOCK_DIFFERENCE,
    Order,
    examine,
    intent_of,
    limits_on_time,
    refusals_of,
)
from followups.selectors.settings import EffectiveSettings
from jyotiflow.exceptions import Conflict, DomainError


@dataclass(frozen=True)
class Finding:
    """Why a change would be refused, if it would; the credits it would give back, or take where negative."""

    refusal: DomainError | None = None
    credits: int = 0
    scheduled_at: datetime | None = None  # of a move: the time it would go out


def cancelling(follow_up: FollowUpSchedule, settings: EffectiveSettings) -> Finding:
    """Withdrawing what waits, refunded as the settings say."""
    if follow_up.status != State.PENDING:
        message = "Only a follow-up that is still scheduled can be cancelled."
        return Finding(Conflict(message, code="not_pending"))
    return Finding(credits=credits_due(follow_up, refunds=settings.refund_on_cancel))


def credits_due(follow_up: FollowUpSchedule, *, refunds: bool) -> int:
    """What is to be given back when one is withdrawn. Of what an erased person bought nothing is kept."""
    if follow_up.credits_charged == 0 or follow_up.refunded_at is not None:
        return 0
    if not refunds and not Erasure.objects.filter(user=follow_up.user_id).exists():
        return 0
    return follow_up.credits_charged


def moving(
    follow_up: FollowUpSchedule,
    wanted: datetime,
    settings: EffectiveSettings,
    *,
    by_reader: bool,
) -> Finding:
    """Sending what waits at another time (aware). Staff aren't bound by the interval between two."""
    if follow_up.status != State.PENDING:
        message = "Only a follow-up that is still scheduled can be moved."
        return Finding(Conflict(message, code="not_pending"))
    if follow_up.attempts.filter(state__in=[AttemptState.ACCEPTED, AttemptState.ABANDONED]).exists():
        message = "This follow-up was handed over before and is being tried again."
        return Finding(Conflict(message, code="handed_over"))
    wanted = _lawful(follow_up, wanted)
    refusals = limits_on_time(
        user=follow_up.user,
        wanted=wanted,
        settings=settings,
        moving=follow_up.pk,
        has_interval=by_reader,
    )
    refusals += refusals_of(follow_up, wanted)
    return Finding(next(iter(refusals), None), scheduled_at=wanted)


def retrying(follow_up: FollowUpSchedule, settings: EffectiveSettings) -> Finding:
    """Sending again, now, what failed or waits. What was refunded is booked and charged anew, once.

    One that was booked anew before isn't refused and costs nothing: it goes out as that one.
    """
    if FollowUpSchedule.objects.filter(retry_of=follow_up).exists():
        return Finding()
    if follow_up.archived_at is not None:
        message = "It is too old to be tried again: schedule a new one."
        return Finding(Conflict(message, code="archived"))
    if not _never_went_out(follow_up):
        message = "Only a follow-up that never went out can be tried again."
        return Finding(Conflict(message, code="not_retriable"))
    if not follow_up.refunded_at:
        return Finding(next(iter(refusals_of(follow_up)), None))
    if follow_up.template.archived_at:
        return Finding(TemplateNotFound("Its template is archived and is not sold any more."))
    found = examine(anew(follow_up), settings)
    return Finding(next(iter(found.refusals), None), credits=-found.price)


def anew(follow_up: FollowUpSchedule) -> Order:
    """The order that books a follow-up once more, for this moment."""
    return Order(follow_up.user, follow_up.template, now(), Origin.RETRY, follow_up.session)


def _lawful(follow_up: FollowUpSchedule, wanted: datetime) -> datetime:
    """The time, or the first after it at which the law lets the message go out; a past one as it is."""
    moment = now()
    if wanted < moment - CLOCK_DIFFERENCE or follow_up.channel not in django_settings.FOLLOWUP_CHANNELS:
        return wanted
    wanted = max(wanted, moment)
    reach = reachability(user=follow_up.user, channel=follow_up.channel)
    closed = get_channel(follow_up.channel).closed_hours(intent_of(follow_up, reach, wanted))
    return closed.end_after(wanted) if closed else wanted


def _never_went_out(follow_up: FollowUpSchedule) -> bool:
    """Failed before any provider may have taken it, or waiting although its time has come."""
    if follow_up.status == State.FAILED:
        perhaps = [AttemptState.ACCEPTED, AttemptState.ABANDONED]
        return follow_up.sent_at is None and not follow_up.attempts.filter(state__in=perhaps).exists()
    return follow_up.status == State.PENDING and follow_up.scheduled_at <= now()
