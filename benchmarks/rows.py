"""Many rows out of one: copies made by the database itself, whatever columns the table has."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import connection


def row_of(table: str, key: int | str | UUID) -> dict[str, Any]:
    """A row as JSON, to be copied later."""
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT to_jsonb(source) FROM "{table}" AS source WHERE id = %s', [key])
        found = cursor.fetchone()
    return dict(found[0] if isinstance(found[0], dict) else json.loads(found[0]))


def copy(table: str, row: Mapping[str, Any], *, count: int, **columns: str) -> None:
    """``count`` copies of ``row``; ``columns`` are what differs, in SQL, where ``n`` counts from 1."""
    differs = ", ".join(f"'{name}', {expression}" for name, expression in columns.items())
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO "{table}"
                SELECT copied.*
                  FROM generate_series(1, %s) AS n
                 CROSS JOIN LATERAL jsonb_populate_record(
                       NULL::"{table}", %s::jsonb || jsonb_build_object({differs})) AS copied""",
            [count, json.dumps(row)],
        )


def settle_down(*tables: str) -> None:
    """Vacuumed, analysed and on disk, so that what was loaded does not disturb the run."""
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM (ANALYZE) {', '.join(tables)}")
        cursor.execute("CHECKPOINT")
