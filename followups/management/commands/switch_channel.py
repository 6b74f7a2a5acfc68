"""Pause a channel or let it go on, from the command line."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from followups.services.switching import switch_channel
from jyotiflow.exceptions import NotFound


class Command(BaseCommand):
    """``manage.py switch_channel sms off --reason "numbers are being moved"``."""

    help = "Pause a channel (off) or let it go on (on). What is bought waits; nothing is lost or refunded."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("channel")
        parser.add_argument("to", choices=["on", "off"])
        parser.add_argument("--reason", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            switch_channel(
                channel=options["channel"],
                is_paused=options["to"] == "off",
                actor=None,
                reason=options["reason"],
            )
        except NotFound as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{options['channel']} is {options['to']}.")
