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
    """Texts that tell who a person is, the longest first: email, phone, name and the name's parts."""
    words = {user.email, user.phone, user.name, *user.name.split()}
    return sorted((word for word in words if len(word) >= SHORTEST_WORD), key=len, reverse=True)


def is_named_in(user: User, text: str) -> bool:
    """Whether a text says who a person is."""
    return _naming(words_naming(user)).search(text) is not None


def _naming(words: Iterable[str]) -> re.Pattern[str]:
    # Whole words, so that Ann isn't found in "announced"; other scripts inflect names at their end.
    whole = (rf"(?<!\w){re.escape(word)}(?!\w)" if word.isascii() else re.escape(word) for word in words)
    return re.compile("|".join(whole), re.IGNORECASE)


def _mask_admin_log(person: User) -> None:
    own = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(User), object_id=str(person.pk)
    )
    own.update(object_repr=f"user {person.pk}")
    # What was changed is kept as JSON, which writes other scripts in its own way.
    words = [form for word in words_naming(person) for form in (word, json.dumps(word)[1:-1])]
    naming = _naming(words)
    may_name = Q()
    for word in words:
        may_name |= Q(object_repr__icontains=word) | Q(change_message__icontains=word)
    for entry in LogEntry.objects.filter(may_name).iterator():
        entry.object_repr = naming.sub("…", entry.object_repr)
        entry.change_message = naming.sub("…", entry.change_message)
        entry.save(update_fields=["object_repr", "change_message"])


def _end_sign_ins(person: User) -> None:
    OutstandingToken.objects.filter(user=person).delete()
    # Whose a session is stands inside it, so each is opened; it costs a walk through the table.
    theirs = [
        session.pk
        for session in SignInSession.objects.iterator(chunk_size=1_000)
        if session.get_decoded().get("_auth_user_id") == str(person.pk)
    ]
    SignInSession.objects.filter(pk__in=theirs).delete()
