"""Scheduling: what a user asks for is checked, priced, charged and stored in one transaction."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings as django_settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.timezone import now

from credits.services import charge, lock_account
from followups.channels import get_channel
from followups.choices import LIVE_STATES, Origin, TemplateType
from followups.exceptions import LimitReached, SessionNotFound, TemplateNotFound, Unreachable
from followups.models import FollowUpSchedule, FollowUpTemplate, TemplateVersion
from followups.rendering import MAX_VALUE_LENGTH, STANDARD_VARIABLES, is_storable
from followups.selectors.recipients import reachability
from followups.selectors.settings import EffectiveSettings, effective_settings
from followups.services.templates import pin_version
from followups.timing import conflicts, first_free
from jyotiflow.accounts.models import Language, User
from jyotiflow.exceptions import Conflict, InvalidInput, NotFound
from jyotiflow.failpoints import failpoint
from sessions_app.models import Session
from sessions_app.services import lock_session

log = structlog.get_logger(__name__)

CLOCK_DIFFERENCE = timedelta(seconds=5)  # a client's "now" is a little past when it gets here


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
    _check_session_limit(session, settings)
    moment = now()
    if scheduled_at is None:
        scheduled_at = pick_time(
            user=user,
            template=template,
            earliest=moment + timedelta(hours=template.delay_hours),
            settings=settings,
        )
    else:
        scheduled_at = _check_wanted_time(user, scheduled_at, moment, settings)
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
    _check_session_limit(session, settings)
    moment = now()
    if FollowUpSchedule.objects.filter(
        session=session,
        template=template,
        origin=Origin.INSTANT,
        status__in=LIVE_STATES,
        scheduled_at__gt=moment - settings.min_interval,
    ).exists():
        raise LimitReached("You have just received this message for this session.", code="min_interval")
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
        taken=_live_times(user, earliest - settings.min_interval, horizon + settings.min_interval),
        interval=settings.min_interval,
    )
    if moment > horizon:
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

    Raises ``Unreachable`` for a message that could not arrive, and ``InsufficientCredits``.
    """
    refusal = reachability(user=user, channel=template.channel).refusal
    # Read under the user's lock: a person who is erased at this moment is seen, or sees this booking.
    if not User.objects.filter(pk=user.pk, is_active=True).exists():
        refusal = "This account is closed."
    if refusal:
        raise Unreachable(refusal, errors={"channel": [refusal]})
    version = pin_version(template=template)
    price = price_of(template, settings)
    language = _language_of(version, user, template.channel)
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
        language=language,
        wanted_language=user.preferred_language,
        custom_variables=dict(custom_variables or {}),
        scheduled_at=scheduled_at,
        due_at=scheduled_at,
        expires_at=scheduled_at + timedelta(days=settings.auto_cancel_after_days),
        credits_charged=price,
    )
    follow_up.save(force_insert=True)
    charge(user=user, amount=price, key=follow_up.charge_key, reason=f"Follow-up: {template.name}")
    failpoint("in_booking")
    log.info("follow_up_scheduled", follow_up_id=str(follow_up.pk), origin=origin, credits=price)
    return follow_up


def price_of(template: FollowUpTemplate, settings: EffectiveSettings) -> int:
    """The price in credits: the template's own, else the default; 0 while charging is off."""
    if not settings.enable_credit_charging:
        return 0
    return settings.default_credits_cost if template.credits_cost is None else template.credits_cost


def serves(template: FollowUpTemplate, service_type: str) -> bool:
    """Whether a template is for this service type."""
    return not template.service_types or service_type in template.service_types


def _language_of(version: TemplateVersion, user: User, channel: str) -> Language:
    """The reader's language where the message exists in it, else English; else ``Unreachable``."""
    written = [Language.ENGLISH]
    if user.preferred_language == Language.TAMIL and version.tamil_content.strip():
        written.insert(0, Language.TAMIL)
    for language in written:
        if get_channel(channel).can_send(version, language):
            return language
    message = "This message isn't approved by the channel's provider yet."
    raise Unreachable(message, code="not_approved", errors={"template_id": [message]})


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


def _check_session_limit(session: Session | None, settings: EffectiveSettings) -> None:
    """The session's row is locked, so its count can't change between this look and the insert."""
    if session is not None and session.follow_up_count >= settings.max_followups_per_session:
        raise LimitReached(
            f"A session can have {settings.max_followups_per_session} follow-ups at most.",
            code="max_followups_per_session",
        )


def _check_wanted_time(
    user: User, wanted: datetime, moment: datetime, settings: EffectiveSettings
) -> datetime:
    if wanted < moment - CLOCK_DIFFERENCE:
        raise InvalidInput.field("scheduled_at", "Choose a time in the future.", code="past_time")
    wanted = max(wanted, moment)
    if wanted > moment + timedelta(days=settings.max_interval_days):
        message = f"Choose a time within {settings.max_interval_days} days."
        raise LimitReached(message, code="max_interval_days", errors={"scheduled_at": [message]})
    close = conflicts(
        wanted,
        _live_times(user, wanted - settings.min_interval, wanted + settings.min_interval),
        settings.min_interval,
    )
    if close:
        message = f"Leave at least {settings.min_interval_hours} hours between two follow-ups."
        raise LimitReached(message, code="min_interval", errors={"scheduled_at": [message]})
    return wanted


def _live_times(user: User, start: datetime, end: datetime) -> list[datetime]:
    return list(
        FollowUpSchedule.objects.filter(
            user=user, scheduled_at__range=(start, end), status__in=LIVE_STATES
        ).values_list("scheduled_at", flat=True)
    )


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
