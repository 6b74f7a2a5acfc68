"""Creates an API key for another system."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jyotiflow.accounts.models import MachineKey
from jyotiflow.accounts.services import create_machine_key
from jyotiflow.exceptions import DomainError


class Command(BaseCommand):
    help = "Create an API key for another system and print its secret, this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="Which system it is for.")
        parser.add_argument(
            "--scope", choices=MachineKey.Scope.values, default=MachineKey.Scope.SESSIONS_COMPLETE.value
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            _, secret = create_machine_key(name=options["name"], scope=options["scope"])
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stderr.write("Keep this secret; it can't be shown again.")
        self.stdout.write(secret)
