"""Reads of the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import F, Q, QuerySet, Sum, Window
from django.db.models.functions import Coalesce

from credits.models import CreditAccount, CreditEntry
from jyotiflow.accounts.models import User


@dataclass(frozen=True)
class Imbalance:
    """An account whose balance is not the sum of its entries, in credits."""

    account_id: int
    balance: int
    entries: int


@dataclass(frozen=True)
class StatementLine:
    """An entry and the account's credits after it."""

    entry: CreditEntry
    balance_after: int


@dataclass(frozen=True)
class StatementPage:
    """Entries of one account, the newest first; the next page begins below ``older_than``."""

    lines: Sequence[StatementLine]
    older_than: UUID | None


def balance_of(user: User) -> int:
    """The user's credits; 0 for a user who never had any."""
    return CreditAccount.objects.filter(user=user).values_list("balance", flat=True).first() or 0


def statement_of(user: User) -> QuerySet[CreditEntry]:
    """The user's entries, newest first, each with ``balance_after``: the credits after it."""
    running = Window(Sum("amount"), order_by=[F("created_at").asc(), F("id").asc()])
    entries = CreditEntry.objects.filter(account__user=user)
    return entries.annotate(balance_after=running).order_by("-created_at", "-id")


def statement_page(
    account: CreditAccount, *, older_than: UUID | None = None, size: int = 50
) -> StatementPage:
    """A page of an account's entries with who made each.

    ``older_than`` is the last entry of the page before; one that isn't the account's means the first page.
    The page's first balance is what is left of the account's after taking off the newer entries, so that a
    deep page reads the newer amounts and no more.
    """
    entries = CreditEntry.objects.filter(account=account)
    last = entries.filter(pk=older_than).first() if older_than else None
    balance = account.balance
    if last is not None:
        older = Q(created_at=last.created_at, pk__lt=last.pk) | Q(created_at__lt=last.created_at)
        balance -= entries.exclude(older).aggregate(newer=Coalesce(Sum("amount"), 0))["newer"]
        entries = entries.filter(older)
    found = entries.select_related("actor").order_by("-created_at", "-id")[: size + 1]
    lines = []
    for entry in found:
        lines.append(StatementLine(entry, balance))
        balance -= entry.amount
    has_more = len(lines) > size
    return StatementPage(lines[:size], lines[size - 1].entry.pk if has_more else None)


def imbalances() -> list[Imbalance]:
    """Every account whose balance differs from the sum of its entries: empty when the ledger is sound."""
    accounts = CreditAccount.objects.annotate(total=Coalesce(Sum("entries__amount"), 0))
    return [
        Imbalance(account.pk, account.balance, account.total)
        for account in accounts.exclude(balance=F("total")).order_by("pk")
    ]
