"""What follow-ups do when another app announces something."""

import structlog
from django.db import transaction
from django.dispatch import receiver

from followups.services.planning import plan_locked
from sessions_app.models import Session
from sessions_app.signals import session_completed

log = structlog.get_logger(__name__)


@receiver(session_completed, dispatch_uid="followups.plan_completed_session")
def plan_completed_session(*, session: Session, **_: object) -> None:
    """Plan the session's follow-ups; a failure never undoes the session, and the beat tries again."""
    try:
        with transaction.atomic():
            plan_locked(session=session)
    except Exception:  # whatever it is, the session is completed
        log.error("planning_failed", session_id=session.pk, exc_info=True)
