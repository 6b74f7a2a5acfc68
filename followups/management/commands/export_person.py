"""A copy of what is kept about a person, for whoever may have it."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from followups.management.people import add_person_arguments, person_of
from followups.selectors.privacy import export_personal_data


class Command(BaseCommand):
    help = "Print everything that is kept about a person as JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        add_person_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        data = export_personal_data(person_of(options["person"]))
        self.stdout.write(json.dumps(data, ensure_ascii=False, indent=2))
