"""Erasing a person by hand."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from followups.management.people import add_person_arguments, person_of
from followups.selectors.privacy import erasure_preview
from followups.services.privacy import erase_person
from jyotiflow.exceptions import DomainError


class Command(BaseCommand):
    help = "Erase a person for good: says what would happen, and does it with --yes."

    def add_arguments(self, parser: CommandParser) -> None:
        add_person_arguments(parser)
        parser.add_argument("--yes", action="store_true", help="Do it.")

    def handle(self, *args: Any, **options: Any) -> None:
        person = person_of(options["person"])
        if not options["yes"]:
            would = erasure_preview(person)
            self.stdout.write(
                f"User {person.pk}: {would.cancelled} follow-ups would be cancelled and "
                f"{would.credits_refunded} credits given back; {would.undecided} can't be stopped any more. "
                "Nothing was done; add --yes."
            )
            return
        try:
            report = erase_person(user=person)
        except DomainError as refused:
            raise CommandError(refused.message) from refused
        rest = "" if report.is_finished else " Messages are on their way; beat erases what is left of them."
        self.stdout.write(
            f"User {person.pk} is erased: {report.cancelled} follow-ups cancelled, "
            f"{report.credits_refunded} credits given back.{rest}"
        )
