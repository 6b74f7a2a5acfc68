"""Reads of the ledger."""

from dataclasses import dataclass

from django.db.models import F, QuerySet, Sum, Window
from django.db.models.functions import Coalesce

from credits.models import CreditAccount, CreditEntry
from jyotiflow.accounts.models import User


@dataclass(frozen=True)
class Imbalance:
    """An account whose balance is not the sum of its entries, in credits."""

    account_id: int
    balance: int
    entries: int


def balance_of(user: User) -> int:
    """The user's credits; 0 for a user who never had any."""
    return CreditAccount.objects.filter(user=user).values_list("balance", flat=True).first() or 0


def statement_of(user: User) -> QuerySet[CreditEntry]:
    """The user's entries, newest first, each with ``balance_after``: the credits after it."""
    running = Window(Sum("amount"), order_by=[F("created_at").asc(), F("id").asc()])
    entries = CreditEntry.objects.filter(account__user=user)
    return entries.annotate(balance_after=running).order_by("-created_at", "-id")


def imbalances() -> list[Imbalance]:
    """Every account whose balance differs from the sum of its entries: empty when the ledger is sound."""
    accounts = CreditAccount.objects.annotate(total=Coalesce(Sum("entries__amount"), 0))
    return [
        Imbalance(account.pk, account.balance, account.total)
        for account in accounts.exclude(balance=F("total")).order_by("pk")
    ]
