"""Automatic planning: a completed session gets its sequence of follow-ups, once."""

from datetime import timedelta

import structlog
from django.db import transaction
from django.utils.timezone import now

from credits.services import lock_account
from followups.models import SessionPlan
from followups.selectors.catalogue import Catalogue, catalogue
from followups.selectors.plans import situation_of, steps_of
from followups.selectors.settings import effective_settings
from followups.services.scheduling import follow_up_of, sell
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
    account = lock_account(user=session.user)  # the user's lock: what is decided now still holds when sold
    decisions: list[dict[str, object]] = []
    for step in steps_of(situation_of(session, settings), known, settings):
        decision: dict[str, object] = {"template": str(step.template.pk)}
        decisions.append(decision)
        if step.refusals:
            decision["skipped"] = step.refusals[0].code
        elif step.order is not None and step.found is not None:
            follow_up = follow_up_of(step.order, step.found, settings)
            decision["follow_up"] = str(sell(follow_up, account=account).pk)
    return decisions
