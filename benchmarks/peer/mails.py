"""The peer's queue: filled with copies of one mail, as its own `send` stores it."""

from typing import Any

from django.db import connection
from post_office import mail
from post_office.models import STATUS, Email

from benchmarks.rows import copy, row_of, settle_down

TABLES = ("post_office_email", "post_office_log")


def load(count: int, words: dict[str, Any]) -> None:
    """Nothing queued but ``count`` mails with these words, one a reader."""
    first = mail.send(
        recipients="reader0@example.test",
        subject=words["subject"],
        message=words["text"],
        html_message=words["html"],
        headers=words["headers"],
    )
    row = row_of("post_office_email", first.pk)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE post_office_email CASCADE")
    copy(
        "post_office_email",
        row,
        count=count,
        id="nextval(pg_get_serial_sequence('post_office_email', 'id'))",
        to="'reader' || n || '@example.test'",
    )
    settle_down(*TABLES)


def sent() -> int:
    """How many are marked as sent."""
    return Email.objects.filter(status=STATUS.sent).count()
