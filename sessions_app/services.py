"""Writes to guidance sessions."""

from django.db import transaction
from django.db.models.functions import Now

from jyotiflow.accounts.models import User
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
    ``Conflict`` for a session that failed or whose owner was erased.
    """
    session = lock_session(session_id=session_id)
    if session.status == Session.Status.COMPLETED:
        return session
    if session.status == Session.Status.FAILED:
        raise Conflict("This session failed and can't be completed.", code="session_failed")
    # Read after the lock: an erasure either sees what is written here or is seen.
    if User.objects.filter(pk=session.user_id, erased_at__isnull=False).exists():
        raise Conflict("The person this session belonged to was erased.", code="person_erased")
    session.status = Session.Status.COMPLETED
    session.completed_at = Now()
    if guidance_summary is not None:
        session.guidance_summary = guidance_summary
    session.save(update_fields=["status", "completed_at", "guidance_summary"])
    session.refresh_from_db(fields=["completed_at"])
    session_completed.send(sender=Session, session=session)
    return session


def erase_sessions(*, user: User) -> None:
    """Forget what a person asked and was answered; that there were sessions, and when, stays."""
    told = Session.objects.filter(user=user).exclude(question="", guidance_summary="")
    told.update(question="", guidance_summary="")
