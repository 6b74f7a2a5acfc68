"""Reads of guidance sessions."""

from django.db.models import QuerySet

from jyotiflow.accounts.models import User
from jyotiflow.exceptions import NotFound
from sessions_app.models import Session


def sessions_of(user: User) -> QuerySet[Session]:
    """The user's sessions, newest first."""
    return Session.objects.filter(user=user).order_by("-created_at", "-id")


def session_by_id(session_id: str) -> Session:
    """One session with its user. Raises ``NotFound``."""
    session = Session.objects.select_related("user").filter(pk=session_id).first()
    if session is None:
        raise NotFound("There is no such session.", code="session_not_found")
    return session
