"""Reads of accounts."""

from typing import Any

from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Lower

from jyotiflow.accounts.models import User
from jyotiflow.body import text_fault


def user_by_email(email: str) -> User | None:
    """The user with this email, whatever its case; ``None`` if there is none."""
    if text_fault(email):
        return None
    # Lower() on both sides: the unique index answers, and PostgreSQL alone decides what lower case is.
    return User.objects.alias(email_lower=Lower("email")).filter(email_lower=Lower(Value(email))).first()


def user_by_id(user_id: str) -> User | None:
    """The user with this id as text; ``None`` if there is none or the text is no id."""
    if not (user_id.isascii() and user_id.isdecimal() and len(user_id) <= 18):
        return None
    return User.objects.filter(pk=int(user_id)).first()


def people_like(word: str) -> QuerySet[User, Any]:
    """The keys of those whose email, name or phone has this part; for a condition on tables of theirs."""
    parts = Q(email__icontains=word) | Q(name__icontains=word) | Q(phone__icontains=word)
    return User.objects.filter(parts).order_by().values("pk")


def credits_of(user: User) -> int:
    """The user's balance, by the relation the ledger adds to users; 0 for a user who never had credits."""
    return User.objects.filter(pk=user.pk).values_list("credit_account__balance", flat=True).first() or 0
