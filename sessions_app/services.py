"""Writes to guidance sessions."""

from typing import Final

from django.db import connection, transaction

from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict, NotAllowed, NotFound
from jyotiflow.postgresql.locking import lock_row
from sessions_app.models import Session
from sessions_app.signals import session_completed

# Its owner is read after the session's lock: an erasure either sees what is written here or is seen.
_COMPLETE: Final = """
    UPDATE sessions
       SET status = 'completed', completed_at = statement_timestamp(), guidance_summary = %(guidance)s
      FROM accounts_user owner
     WHERE sessions.id = %(id)s AND owner.id = sessions.user_id AND owner.erased_at IS NULL
 RETURNING completed_at
"""


def lock_session(*, session_id: str) -> Session:
    """Lock one session until the transaction ends and return it. Raises ``NotFound``."""
    session = (
        Session.objects.select_for_update(of=("self",)).select_related("user").filter(pk=session_id).first()
    )
    if session is None:
        raise NotFound("There is no such session.", code="session_not_found")
    return session


def lock_own_session(*, session_id: str, user: User) -> Session:
    """Lock one session of the user's and return it. Raises ``NotFound``, for another's too."""
    session = lock_row(Session, "id", session_id)
    if session is None or session.user_id != user.pk:
        raise NotFound("There is no such session.", code="session_not_found")
    session.user = user
    return session


@transaction.atomic
def complete_session(
    *, session_id: str, guidance_summary: str | None = None, owner_email: str | None = None
) -> Session:
    """Mark a session as completed and announce it; a completed one is returned as it is.

    The guidance is stored before the announcement, so whoever listens can use it; they find the session's row
    locked. Raises ``NotFound``, ``NotAllowed`` when it belongs to somebody else than ``owner_email``, and
    ``Conflict`` for a session that failed or whose owner was erased.
    """
    session = lock_session(session_id=session_id)
    if owner_email is not None and session.user.email.casefold() != owner_email.casefold():
        raise NotAllowed("This session belongs to somebody else.", code="not_the_owner")
    if session.status == Session.Status.COMPLETED:
        return session
    if session.status == Session.Status.FAILED:
        raise Conflict("This session failed and can't be completed.", code="session_failed")
    if guidance_summary is not None:
        session.guidance_summary = guidance_summary
    with connection.cursor() as cursor:
        cursor.execute(_COMPLETE, {"id": session.pk, "guidance": session.guidance_summary})
        row = cursor.fetchone()
    if row is None:
        raise Conflict("The person this session belonged to was erased.", code="person_erased")
    session.status, session.completed_at = Session.Status.COMPLETED, row[0]
    session_completed.send(sender=Session, session=session)
    return session


def erase_sessions(*, user: User) -> None:
    """Forget what a person asked and was answered; that there were sessions, and when, stays."""
    told = Session.objects.filter(user=user).exclude(question="", guidance_summary="")
    told.update(question="", guidance_summary="")
