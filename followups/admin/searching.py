"""Searching large tables by whole ids, which have indexes, instead of by parts of every text."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Q


def as_uuid(word: str) -> UUID | None:
    """The word as an id, or nothing when it isn't one."""
    try:
        return UUID(word)
    except ValueError:
        return None


def by_id(word: str, *, uuids: Sequence[str] = (), texts: Sequence[str] = ()) -> Q:
    """A condition: one of these columns equals the word. Matches nothing when none can."""
    condition = Q(pk__in=[])
    for field in texts:
        condition |= Q(**{field: word})
    key = as_uuid(word)
    if key is not None:
        for field in uuids:
            condition |= Q(**{field: key})
    return condition
