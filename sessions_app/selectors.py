"""Reads of guidance sessions."""

from django.db.models import QuerySet

from jyotiflow.accounts.models import User
from sessions_app.models import Session


def sessions_of(user: User) -> QuerySet[Session]:
    """The user's sessions, newest first."""
    return Session.objects.filter(user=user).order_by("-created_at", "-id")
