"""The scenario's own view of a database that is being restarted under its feet."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, connection

Result = TypeVar("Result")
PATIENCE_SECONDS = 120.0


def patiently(act: Callable[[], Result]) -> Result:
    """Do something harmless to repeat until the database lets it through."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return act()
        except (DatabaseError, InterfaceError):
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def rows(sql: str, *parameters: Any) -> Sequence[tuple[Any, ...]]:
    """What a query answers."""

    def ask() -> Sequence[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall()

    return patiently(ask)


def change(sql: str, *parameters: Any) -> int:
    """How many rows a statement changed; it must be harmless to repeat."""

    def do() -> int:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.rowcount

    return patiently(do)
