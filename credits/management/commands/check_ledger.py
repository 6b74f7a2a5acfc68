"""Proves the ledger."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from credits.models import CreditAccount, CreditEntry
from credits.selectors import imbalances


class Command(BaseCommand):
    help = (
        "Prove that every balance is the sum of its entries. Exits 1 and lists the accounts where it is not."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        faults = imbalances()
        for fault in faults:
            self.stdout.write(f"account {fault.account_id}: balance {fault.balance}, entries {fault.entries}")
        if faults:
            raise CommandError(f"{len(faults)} accounts don't add up.")
        counts = f"{CreditAccount.objects.count()} accounts, {CreditEntry.objects.count()} entries"
        self.stdout.write(f"The ledger adds up: {counts}.")
