"""Naming a person to a command, without leaving the name in the shell's history."""

import sys

from django.core.management.base import CommandError, CommandParser

from jyotiflow.accounts.models import User
from jyotiflow.accounts.selectors import user_by_email, user_by_id


def add_person_arguments(parser: CommandParser) -> None:
    """Adds the argument that ``person_of`` reads."""
    parser.add_argument("person", help="The id, or the email; - reads it from standard input.")


def person_of(text: str) -> User:
    """The user with this id or email. Raises ``CommandError`` without repeating what was given."""
    wanted = (sys.stdin.readline() if text == "-" else text).strip()
    user = user_by_email(wanted) if "@" in wanted else user_by_id(wanted)
    if user is None:
        raise CommandError("There is no user with this id or email.")
    return user
