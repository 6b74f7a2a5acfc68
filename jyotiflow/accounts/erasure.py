"""Erasing a person: the account stays as a pseudonym, because the ledger's entries refer to it."""

import json
import re
from collections.abc import Iterable

from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import make_password
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session as SignInSession
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from jyotiflow.accounts.models import ERASED_DOMAIN, Language, User
from jyotiflow.exceptions import Conflict

SHORTEST_WORD = 3  # a name of one letter is in every text


def close_account(*, user: User) -> None:
    """Nobody signs in with it, nothing is booked for it and nothing is sent to it from here on.

    Raises ``Conflict`` for staff: their rights are taken away first, by somebody else.
    """
    closed = User.objects.filter(pk=user.pk, is_staff=False, is_superuser=False).update(is_active=False)
    if not closed:
        raise Conflict("This person is staff; take their rights away first.", code="is_staff")


@transaction.atomic
def erase_account(*, user: User) -> None:
    """Take what is personal from a closed account, its sign-ins and the admin log; a repeat does nothing."""
    # Locked before its foreign keys: whoever holds a row that refers to it has committed then.
    person = User.objects.select_for_update().get(pk=user.pk)
    if person.erased_at is not None:
        return
    _mask_admin_log(person)
    _end_sign_ins(person)
    person.groups.clear()
    person.user_permissions.clear()
    fresh = User(email=pseudonym_of(person))
    User.objects.filter(pk=person.pk).update(
        email=fresh.email,
        name="",
        phone="",
        password=make_password(None),
        last_login=None,
        preferred_language=Language.ENGLISH,
        timezone=fresh.timezone,
        erased_at=Now(),
    )


def pseudonym_of(user: User) -> str:
    """The email an erased account is left with."""
    return f"erased-{user.pk}@{ERASED_DOMAIN}"


def words_naming(user: User) -> list[str]:
    """Texts that tell who a person is: email, phone, name."""
    return [word for word in (user.email, user.phone, user.name) if len(word) >= SHORTEST_WORD]


def _mask_admin_log(person: User) -> None:
    own = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(User), object_id=str(person.pk)
    )
    own.update(object_repr=f"user {person.pk}")
    words = words_naming(person)
    forms = {form for word in words for form in (word, json.dumps(word)[1:-1])}  # changes are kept as JSON
    named = Q()
    for form in forms:
        named |= Q(object_repr__icontains=form) | Q(change_message__icontains=form)
    for entry in LogEntry.objects.filter(named).iterator():
        entry.object_repr = _without(forms, entry.object_repr)
        entry.change_message = _without(forms, entry.change_message)
        entry.save(update_fields=["object_repr", "change_message"])


def _without(words: Iterable[str], text: str) -> str:
    longest_first = sorted(words, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), "…", text, flags=re.IGNORECASE)


def _end_sign_ins(person: User) -> None:
    OutstandingToken.objects.filter(user=person).delete()
    # Whose a session is stands inside it, so each is opened; it costs a walk through the table.
    theirs = [
        session.pk
        for session in SignInSession.objects.iterator(chunk_size=1_000)
        if session.get_decoded().get("_auth_user_id") == str(person.pk)
    ]
    SignInSession.objects.filter(pk__in=theirs).delete()
