"""Scheduling: what a user asks for is checked, priced, charged and stored in one transaction."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.utils.timezone import now

from credits.models import CreditAccount
from credits.services import charge, lock_account
from followups.choices import Origin, TemplateType
from followups.exceptions import SessionNotFound, TemplateNotFound
from followups.models import FollowUpSchedule
from followups.selectors.catalogue import catalogue
from followups.selectors.ordering import (
    check_custom_variables,
    lawful,
    moment_of,
    serves,
    template_on_sale,
    templates_on_sale,
)
from followups.selectors.refusals import Findings, Order, examine, limits_on
from followups.selectors.settings import EffectiveSettings, effective_settings
from followups.services.templates import pin_version
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict, DomainError, NotFound
from jyotiflow.failpoints import failpoint
from sessions_app.models import Session
from sessions_app.services import lock_own_session

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
    agreed_price: int | None = None,
) -> FollowUpSchedule:
    """Book one follow-up for the user: at ``scheduled_at`` (aware), else at the first time that suits.

    Raises ``TemplateNotFound``, ``SessionNotFound``, ``InvalidInput``, ``LimitReached``, ``Unreachable``,
    ``InsufficientCredits``, or ``Conflict`` where it costs more than the ``agreed_price`` its reader was
    shown; nothing is stored or charged then.
    """
    known = catalogue()
    template = template_on_sale(known, template_id, channel=channel)
    session = _lock_own_session(user, session_id) if session_id is not None else None
    variables = check_custom_variables(template, custom_variables or {})
    settings = effective_settings(known)
    account = lock_account(user=user)  # the user's lock: limits are looked at one request at a time
    moment = moment_of(user=user, template=template, wanted=scheduled_at, settings=settings)
    order = Order(user, template, moment, Origin.MANUAL, session)
    _refuse(limits_on(order, settings))
    prepared = prepare(order, settings, custom_variables=variables)
    if agreed_price is not None and prepared.credits_charged > agreed_price:
        raise Conflict(f"It costs {prepared.credits_charged} credits now.", code="price_changed")
    return sell(prepared, account=account)


@transaction.atomic
def send_now(*, user: User, session_id: str, channel: str) -> FollowUpSchedule:
    """Book the channel's session follow-up for this very moment, because the reader asks for it.

    The interval between follow-ups doesn't apply; the same message for the same session does wait that long.
    Raises as ``schedule_follow_up``, and ``Conflict`` when the session isn't completed.
    """
    session = _lock_own_session(user, session_id)
    if session.status != Session.Status.COMPLETED:
        raise Conflict("This session isn't completed yet.", code="session_not_completed")
    known = catalogue()
    template = next(
        (
            template
            for template in templates_on_sale(known)
            if template.channel == channel
            and template.template_type == TemplateType.SESSION_FOLLOWUP
            and serves(template, session.service_type)
        ),
        None,
    )
    if template is None:
        raise TemplateNotFound("There is no session follow-up on this channel.")
    settings = effective_settings(known)
    account = lock_account(user=user)
    order = Order(user, template, lawful(user, template, now()), Origin.INSTANT, session)
    _refuse(limits_on(order, settings))
    return book(order, settings, account=account)


def book(
    order: Order,
    settings: EffectiveSettings,
    *,
    account: CreditAccount,
    custom_variables: Mapping[str, str] | None = None,
    retry_of: FollowUpSchedule | None = None,
) -> FollowUpSchedule:
    """Store and charge one follow-up: ``prepare``, then ``sell``."""
    prepared = prepare(order, settings, custom_variables=custom_variables, retry_of=retry_of)
    return sell(prepared, account=account)


def prepare(
    order: Order,
    settings: EffectiveSettings,
    *,
    custom_variables: Mapping[str, str] | None = None,
    retry_of: FollowUpSchedule | None = None,
) -> FollowUpSchedule:
    """The follow-up an order would become, not yet stored. The caller has checked times and limits.

    Raises the first of what `followups.selectors.refusals.examine` finds against it. Whoever holds the locks
    of the user and the session can `sell` it: all that may be refused is refused here.
    """
    found = examine(order, settings)
    _refuse(found.refusals)
    return follow_up_of(order, found, settings, custom_variables=custom_variables, retry_of=retry_of)


def follow_up_of(
    order: Order,
    found: Findings,
    settings: EffectiveSettings,
    *,
    custom_variables: Mapping[str, str] | None = None,
    retry_of: FollowUpSchedule | None = None,
) -> FollowUpSchedule:
    """The follow-up that an order against which nothing was found becomes, not yet stored."""
    return FollowUpSchedule(
        id=uuid.uuid4(),
        user=order.user,
        user_email=order.user.email,
        session=order.session,
        template=order.template,
        template_version=pin_version(template=order.template),
        channel=order.template.channel,
        origin=order.origin,
        retry_of=retry_of,
        language=found.language,
        wanted_language=order.user.preferred_language,
        custom_variables=dict(custom_variables or {}),
        scheduled_at=order.scheduled_at,
        due_at=order.scheduled_at,
        expires_at=order.scheduled_at + timedelta(days=settings.auto_cancel_after_days),
        credits_charged=found.price,
    )


def sell(follow_up: FollowUpSchedule, *, account: CreditAccount) -> FollowUpSchedule:
    """Store and charge what was prepared under the locks that are still held; ``account`` is the user's."""
    follow_up.save(force_insert=True)
    charge(
        user=follow_up.user,
        account=account,
        amount=follow_up.credits_charged,
        key=follow_up.charge_key,
        reason=f"Follow-up: {follow_up.template.name}",
    )
    failpoint("in_booking")
    log.info(
        "follow_up_scheduled",
        follow_up_id=str(follow_up.pk),
        origin=follow_up.origin,
        credits=follow_up.credits_charged,
    )
    return follow_up


def _refuse(found: Sequence[DomainError]) -> None:
    if found:
        raise found[0]


def _lock_own_session(user: User, session_id: str) -> Session:
    try:
        return lock_own_session(session_id=session_id, user=user)
    except NotFound:
        raise SessionNotFound() from None
