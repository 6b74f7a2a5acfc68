"""Writes to guidance sessions."""

from django.db import transaction
from django.db.models.functions import Now

from jyotiflow.exceptions import Conflict, NotFound
from sessions_app.models import Session
from sessions_app.signals import session_completed


def lock_session(*, session_id: str) -> Session:
    """Lock one session until the transaction ends and return it. Raises ``NotFound``."""
    session = (
        Session.objects.select_for_update(of=("self",)).select_related("user").filter(pk=session_id).first()
    )
    if session is None:
        raise NotFound("There is no such session.")
    return session


@transaction.atomic
def complete_session(*, session_id: str, guidance_summary: str | None = None) -> Session:
    """Mark a session as completed and announce it; a completed one is returned as it is.

    The guidance is stored before the announcement, so whoever listens can use it. Raises ``NotFound``, and
    ``Conflict`` for a session that failed.
    """
    session = lock_session(session_id=session_id)
    if session.status == Session.Status.COMPLETED:
        return session
    if session.status == Session.Status.FAILED:
        raise Conflict("This session failed and can't be completed.", code="session_failed")
    session.status = Session.Status.COMPLETED
    session.completed_at = Now()
    if guidance_summary is not None:
        session.guidance_summary = guidance_summary
    session.save(update_fields=["status", "completed_at", "guidance_summary"])
    session.refresh_from_db(fields=["completed_at"])
    session_completed.send(sender=Session, session=session)
    return session
