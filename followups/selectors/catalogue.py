"""Settings and templates as each process keeps them, read once for as long as their stamp stays the same.

Whoever asks for the catalogue reads the stamp, in a transaction of their own or not, so a change by anybody
is seen at once, and one's own before its commit. What users want is never kept: reading it costs no more
than reading a stamp.
"""

from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar, cast
from uuid import UUID

from django.conf import settings
from django.db import connection

from followups.models.stamps import CATALOGUE

Value = TypeVar("Value")

_READ: Final = "SELECT stamp FROM follow_up_stamps WHERE name = %s"


class Catalogue:
    """What was read under one stamp. All threads share it: what it gives is not to be changed."""

    def __init__(self, stamp: UUID | None) -> None:
        self.stamp = stamp  # None: keeps nothing
        self._kept: dict[Hashable, Any] = {}

    def keep(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """The value of this key, read once."""
        if key in self._kept:
            return cast(Value, self._kept[key])
        value = read()
        # Read under the same stamp still: not by somebody who has changed it since, and may yet roll back.
        if self.stamp is not None and _stamp() == self.stamp:
            self._kept[key] = value
        return value


_current = Catalogue(None)


def catalogue() -> Catalogue:
    """The catalogue as of this moment; costs one short statement, and more after a change."""
    global _current
    stamp = _stamp() if settings.FOLLOWUP_CATALOGUE_CACHE else None
    known = _current  # one look: another thread may put its own there
    if stamp is None or known.stamp != stamp:
        known = _current = Catalogue(stamp)
    return known


def _stamp() -> UUID | None:
    with connection.cursor() as cursor:
        cursor.execute(_READ, [CATALOGUE])
        row = cursor.fetchone()
    return row[0] if row else None
