"""Scheduling: what a user asks for is checked, priced, charged and stored in one transaction."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings as django_settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.timezone import now

from credits.services import charge, lock_account
from followups.choices import Origin, TemplateType
from followups.exceptions import LimitReached, SessionNotFound, TemplateNotFound
from followups.models import FollowUpSchedule, FollowUpTemplate
from followups.rendering import MAX_VALUE_LENGTH, STANDARD_VARIABLES, is_storable
from followups.selectors.refusals import (
    CLOCK_DIFFERENCE,
    Order,
    closed_hours_of,
    examine,
    limits_on,
    live_times,
)
from followups.selectors.settings import EffectiveSettings, effective_settings
from followups.services.templates import pin_version
from followups.timing import first_free
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict, DomainError, InvalidInput, NotFound
from jyotiflow.failpoints import failpoint
from sessions_app.models import Session
from sessions_app.services import lock_session

log = structlog.get_logger(__name__)


@transaction.atomic
def schedule_follow_up(
    *,
    user: User,
    template_id: UUID,
    session_id: str | None = None,
    channel: str | None = None,
    scheduled_at: datetime | None = None,
    custom_variables: Mapping[str, object] | None = None,
) -> FollowUpSchedule:
    """Book one follow-up for the user: at ``scheduled_at`` (aware), else at the first time that suits.

    Raises ``TemplateNotFound``, ``SessionNotFound``, ``InvalidInput``, ``LimitReached``, ``Unreachable`` or
    ``InsufficientCredits``; nothing is stored or charged then.
    """
    template = _active_templates().filter(pk=template_id).first()
    if template is None:
        raise TemplateNotFound()
    if channel is not None and channel != template.channel:
        raise InvalidInput.field("channel", f"This template goes out by {template.channel}.")
    session = _lock_own_session(user, session_id) if session_id is not None else None
    variables = _check_custom_variables(template, custom_variables or {})
    settings = effective_settings()
    lock_account(user=user)  # the user's lock: limits are looked at one request at a time
    moment = now()
    if scheduled_at is None:
        scheduled_at = pick_time(
            user=user,
            template=template,
            earliest=moment + timedelta(hours=template.delay_hours),
            settings=settings,
        )
    elif scheduled_at >= moment - CLOCK_DIFFERENCE:  # an earlier time is refused below
        scheduled_at = _lawful(user, template, max(scheduled_at, moment))
    _refuse(limits_on(Order(user, template, scheduled_at, Origin.MANUAL, session), settings))
    return book(
        user=user,
        template=template,
        session=session,
        scheduled_at=scheduled_at,
        origin=Origin.MANUAL,
        settings=settings,
        custom_variables=variables,
    )


@transaction.atomic
def send_now(*, user: User, session_id: str, channel: str) -> FollowUpSchedule:
    """Book the channel's session follow-up for this very moment, because the reader asks for it.

    The interval between follow-ups doesn't apply; the same message for the same session does wait that long.
    Raises as ``schedule_follow_up``, and ``Conflict`` when the session isn't completed.
    """
    session = _lock_own_session(user, session_id)
    if session.status != Session.Status.COMPLETED:
        raise Conflict("This session isn't completed yet.", code="session_not_completed")
    template = next(
        (
            template
            for template in _active_templates()
            .filter(channel=channel, template_type=TemplateType.SESSION_FOLLOWUP)
            .order_by("created_at", "pk")
            if serves(template, session.service_type)
        ),
        None,
    )
    if template is None:
        raise TemplateNotFound("There is no session follow-up on this channel.")
    settings = effective_settings()
    lock_account(user=user)
    moment = _lawful(user, template, now())
    _refuse(limits_on(Order(user, template, moment, Origin.INSTANT, session), settings))
    return book(
        user=user,
        template=template,
        session=session,
        scheduled_at=moment,
        origin=Origin.INSTANT,
        settings=settings,
    )


def pick_time(
    *, user: User, template: FollowUpTemplate, earliest: datetime, settings: EffectiveSettings
) -> datetime:
    """The first time from ``earliest`` on that suits the template, the user's day and their other follow-ups.

    Raises ``LimitReached`` when there is none within the horizon.
    """
    horizon = now() + timedelta(days=settings.max_interval_days)
    moment = first_free(
        earliest=earliest,
        zone=user.zone,
        wall=template.local_time,
        quiet=settings.quiet_hours,
        taken=live_times(user, earliest - settings.min_interval, horizon + settings.min_interval),
        interval=settings.min_interval,
        closed=closed_hours_of(user=user, template=template),
    )
    if moment is None or moment > horizon:
        raise LimitReached("There is no free time for it within the days ahead.", code="max_interval_days")
    return moment


def book(
    *,
    user: User,
    template: FollowUpTemplate,
    session: Session | None,
    scheduled_at: datetime,
    origin: Origin,
    settings: EffectiveSettings,
    custom_variables: Mapping[str, str] | None = None,
    retry_of: FollowUpSchedule | None = None,
) -> FollowUpSchedule:
    """Store and charge one follow-up. The caller has checked times and limits and holds the user's lock.

    Raises the first of what `followups.selectors.refusals.examine` finds against it, before any money moves.
    """
    found = examine(Order(user, template, scheduled_at, origin, session), settings)
    _refuse(found.refusals)
    version = pin_version(template=template)
    follow_up = FollowUpSchedule(
        id=uuid.uuid4(),
        user=user,
        user_email=user.email,
        session=session,
        template=template,
        template_version=version,
        channel=template.channel,
        origin=origin,
        retry_of=retry_of,
        language=found.language,
        wanted_language=user.preferred_language,
        custom_variables=dict(custom_variables or {}),
        scheduled_at=scheduled_at,
        due_at=scheduled_at,
        expires_at=scheduled_at + timedelta(days=settings.auto_cancel_after_days),
        credits_charged=found.price,
    )
    follow_up.save(force_insert=True)
    charge(user=user, amount=found.price, key=follow_up.charge_key, reason=f"Follow-up: {template.name}")
    failpoint("in_booking")
    log.info("follow_up_scheduled", follow_up_id=str(follow_up.pk), origin=origin, credits=found.price)
    return follow_up


def serves(template: FollowUpTemplate, service_type: str) -> bool:
    """Whether a template is for this service type."""
    return not template.service_types or service_type in template.service_types


def _refuse(found: Sequence[DomainError]) -> None:
    if found:
        raise found[0]


def _lawful(user: User, template: FollowUpTemplate, moment: datetime) -> datetime:
    """The moment, or the first after it at which the law lets the message go out."""
    closed = closed_hours_of(user=user, template=template)
    return closed.end_after(moment) if closed else moment


def _active_templates() -> QuerySet[FollowUpTemplate]:
    return FollowUpTemplate.objects.filter(is_active=True, channel__in=django_settings.FOLLOWUP_CHANNELS)


def _lock_own_session(user: User, session_id: str) -> Session:
    try:
        session = lock_session(session_id=session_id)
    except NotFound:
        raise SessionNotFound() from None
    if session.user_id != user.pk:
        raise SessionNotFound()
    return session


def _check_custom_variables(template: FollowUpTemplate, values: Mapping[str, object]) -> dict[str, str]:
    known = [name for name in template.variables if name not in STANDARD_VARIABLES]
    problems: list[str] = []
    for name, value in values.items():
        if name not in known:
            problems.append(
                f"{name[:50]} is not a variable of this template; it takes: {', '.join(known) or 'none'}."
            )
        elif isinstance(value, bool) or not isinstance(value, (str, int, float)):
            problems.append(f"{name} must be a text or a number.")
        elif len(str(value)) > MAX_VALUE_LENGTH or not is_storable(str(value)):
            problems.append(f"{name} must be plain text of at most {MAX_VALUE_LENGTH} characters.")
    if problems:
        raise InvalidInput(problems[0], errors={"custom_variables": problems})
    return {name: str(value) for name, value in values.items()}
