"""Automatic planning: a completed session gets its sequence of follow-ups, once."""

from datetime import timedelta

import structlog
from django.db import transaction
from django.utils.timezone import now

from credits.services import lock_account
from followups.choices import Origin
from followups.models import FollowUpSchedule, FollowUpTemplate, SessionPlan
from followups.selectors.catalogue import Catalogue, catalogue
from followups.selectors.ordering import pick_time, serves, templates_on_sale
from followups.selectors.refusals import Order
from followups.selectors.settings import EffectiveSettings, effective_settings
from followups.services.scheduling import prepare, sell
from jyotiflow.exceptions import DomainError
from sessions_app.models import Session
from sessions_app.services import lock_session

log = structlog.get_logger(__name__)

MISSED_FOR = timedelta(seconds=30)  # a completion's own planning gets this long before the beat looks
MISSED_SINCE = timedelta(days=7)  # older sessions were imported, not missed


@transaction.atomic
def plan_session(*, session_id: str) -> SessionPlan:
    """Plan the follow-ups of a completed session; a session that has its plan keeps it.

    What can't be booked (no credits, switched-off channel, no free time) is skipped and the reason kept in
    the plan's ``decisions``.
    """
    return plan_locked(session=lock_session(session_id=session_id))


def plan_locked(*, session: Session) -> SessionPlan:
    """As ``plan_session``, for whoever has just read the session under its lock and still holds it."""
    known = SessionPlan.objects.filter(session=session).first()
    if known is not None:
        return known
    decisions = _book_sequence(session, catalogue())
    log.info("session_planned", session_id=session.pk, booked=sum("follow_up" in each for each in decisions))
    return SessionPlan.objects.create(session=session, decisions=decisions)


def plan_missed_sessions(*, batch: int = 100) -> int:
    """Plan completed sessions whose own planning failed; returns how many were planned now."""
    planned = 0
    missed = Session.objects.filter(
        status=Session.Status.COMPLETED,
        completed_at__range=(now() - MISSED_SINCE, now() - MISSED_FOR),
        follow_up_plan__isnull=True,
    )
    for session_id in list(missed.order_by("completed_at").values_list("pk", flat=True)[:batch]):
        try:
            plan_session(session_id=session_id)
            planned += 1
        except Exception as error:  # one bad session must not hold up the others
            log.error("planning_failed", session_id=session_id, error=type(error).__name__)
    return planned


def _book_sequence(session: Session, known: Catalogue) -> list[dict[str, object]]:
    settings = effective_settings(known)
    if not settings.auto_followup_enabled:
        return [{"skipped": "auto_followup_enabled"}]
    account = lock_account(user=session.user)
    room = settings.max_followups_per_session - session.follow_up_count
    automatic = [each for each in templates_on_sale(known) if each.sequence_order is not None]
    automatic.sort(key=lambda template: template.sequence_order or 0)
    decisions: list[dict[str, object]] = []
    for template in automatic:
        if not serves(template, session.service_type):
            continue
        decision: dict[str, object] = {"template": str(template.pk)}
        decisions.append(decision)
        if room <= 0:
            decision["skipped"] = "max_followups_per_session"
            continue
        try:
            step = _prepare_step(session, template, settings)
        except DomainError as refused:
            decision["skipped"] = refused.code
        except (OverflowError, ValueError):  # a template no clock can serve must not end the others' planning
            decision["skipped"] = "invalid_template"
        else:
            decision["follow_up"] = str(sell(step, account=account).pk)
            room -= 1
    return decisions


def _prepare_step(
    session: Session, template: FollowUpTemplate, settings: EffectiveSettings
) -> FollowUpSchedule:
    completed = session.completed_at or now()
    moment = pick_time(
        user=session.user,
        template=template,
        earliest=max(completed + timedelta(hours=template.delay_hours), now()),
        settings=settings,
    )
    return prepare(Order(session.user, template, moment, Origin.AUTOMATIC, session), settings)
