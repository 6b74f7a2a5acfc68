"""Scheduling: what a user asks for is checked, priced, charged and stored in one transaction."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.utils.timezone import now

from credits.services import charge, lock_account
from followups.choices import Origin, TemplateType
from followups.exceptions import SessionNotFound, TemplateNotFound
from followups.models import FollowUpSchedule, FollowUpTemplate
from followups.selectors.ordering import (
    check_custom_variables,
    lawful,
    moment_of,
    serves,
    template_on_sale,
    templates_on_sale,
)
from followups.selectors.refusals import Order, examine, limits_on
from followups.selectors.settings import EffectiveSettings, effective_settings
from followups.services.templates import pin_version
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict, DomainError, NotFound
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
    template = template_on_sale(template_id, channel=channel)
    session = _lock_own_session(user, session_id) if session_id is not None else None
    variables = check_custom_variables(template, custom_variables or {})
    settings = effective_settings()
    lock_account(user=user)  # the user's lock: limits are looked at one request at a time
    scheduled_at = moment_of(user=user, template=template, wanted=scheduled_at, settings=settings)
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
            for template in templates_on_sale()
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
    moment = lawful(user, template, now())
    _refuse(limits_on(Order(user, template, moment, Origin.INSTANT, session), settings))
    return book(
        user=user,
        template=template,
        session=session,
        scheduled_at=moment,
        origin=Origin.INSTANT,
        settings=settings,
    )


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


def _refuse(found: Sequence[DomainError]) -> None:
    if found:
        raise found[0]


def _lock_own_session(user: User, session_id: str) -> Session:
    try:
        session = lock_session(session_id=session_id)
    except NotFound:
        raise SessionNotFound() from None
    if session.user_id != user.pk:
        raise SessionNotFound()
    return session
