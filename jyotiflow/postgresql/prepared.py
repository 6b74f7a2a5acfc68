"""Statements that PostgreSQL reads and plans once a connection, instead of each time they are executed.

For what is asked many times a second by one text: to plan the gate costs PostgreSQL ten times as much as to
go through it. ``DATABASE_PREPARE_AFTER=0`` turns it off.
"""

from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper


def prepared_cursor() -> CursorWrapper:
    """A cursor that sends parameters apart from the text, so each needs a type PostgreSQL can tell: a cast.

    A text is prepared once its connection has executed it ``DATABASE_PREPARE_AFTER`` times. What a partial
    index demands belongs into the text, not into a parameter: a plan for all values can't use the index.
    """
    wrapper: Any = connection
    cursor: CursorWrapper = wrapper.prepared_cursor()
    return cursor
