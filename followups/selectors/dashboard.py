"""What staff see at a glance: figures by day, channel, language and template, and why messages failed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.db.models import CharField, Count, F, Max, Sum
from django.db.models.functions import Cast

from followups.models import FollowUpSchedule
from followups.selectors.analytics import Period, percentage, rates
from jyotiflow.accounts.models import Language

ENOUGH_TO_TELL: Final = 5  # messages of a template before its rates mean anything
RANKED: Final = 5  # templates at each end
_SUMS: Final = {
    "sent": Sum("total_sent", default=0),
    "delivered": Sum("total_delivered", default=0),
    "read": Sum("total_read", default=0),
    "failed": Sum("total_failed", default=0),
    "charged": Sum("credits_charged", default=0),
    "refunded": Sum("credits_refunded", default=0),
    "revenue": Sum("revenue_generated", default=Decimal(0)),
}


@dataclass(frozen=True)
class Figures:
    """Messages, credits and money of one group: a day, a channel, a language, a template, or all of it."""

    key: Any = None
    name: str = ""
    tamil_name: str = ""
    sent: int = 0
    delivered: int = 0
    read: int = 0
    failed: int = 0
    charged: int = 0
    refunded: int = 0
    revenue: Decimal = Decimal(0)

    @property
    def delivery_rate(self) -> float:
        """Percent of the sent."""
        return rates(self.sent, self.delivered, self.read)["delivery_rate"]

    @property
    def read_rate(self) -> float:
        """Percent of the delivered, or of the sent where nothing is reported delivered."""
        return rates(self.sent, self.delivered, self.read)["read_rate"]

    @property
    def failure_rate(self) -> float:
        """Percent of what was tried, as far as sums tell: what failed unsent isn't among the sent."""
        return percentage(self.failed, max(self.sent, self.delivered + self.failed))

    @property
    def kept(self) -> int:
        """Credits charged and not given back; below zero where more of earlier days came back."""
        return self.charged - self.refunded

    @property
    def kept_rate(self) -> float:
        """Percent of the credits charged."""
        return percentage(max(0, self.kept), self.charged)


def totals(period: Period) -> Figures:
    """All of a period in one row."""
    return Figures(**period.of_figures().aggregate(**_SUMS))


def by_day(period: Period) -> list[Figures]:
    """A row for each day, also where nothing happened. Raises ``ValueError`` for an open period."""
    if not (period.start and period.end):
        raise ValueError("The days of an open period can't be listed; give it a start and an end.")
    found = {row.key: row for row in _grouped(period, "date")}
    days = [period.start + timedelta(days=n) for n in range((period.end - period.start).days + 1)]
    return [found.get(day) or Figures(key=day) for day in days]


def by_channel(period: Period) -> list[Figures]:
    """A row for each configured channel, and for one that no longer is but has figures."""
    found = {row.key: row for row in _grouped(period, "channel")}
    names = dict.fromkeys([*([period.channel] if period.channel else settings.FOLLOWUP_CHANNELS), *found])
    return [found.get(name) or Figures(key=name) for name in names]


def by_language(period: Period) -> list[Figures]:
    """A row for each language messages are written in."""
    found = {row.key: row for row in _grouped(period, "language")}
    names = [period.language] if period.language else Language.values
    return [found.get(name) or Figures(key=name) for name in names]


def by_template(period: Period) -> list[Figures]:
    """A row for each template with figures, in the order of their names."""
    names = {"name": F("template__name"), "tamil_name": F("template__tamil_name")}
    rows: Any = period.of_figures().values(key=F("template_id"), **names)
    return [Figures(**row) for row in rows.annotate(**_SUMS).order_by("name", "key")]


def _grouped(period: Period, column: str) -> list[Figures]:
    rows: Any = period.of_figures().values(key=F(column))
    return [Figures(**row) for row in rows.annotate(**_SUMS).order_by("key")]


@dataclass(frozen=True)
class Ranking:
    """The templates at both ends, none at both; ``unsure`` have too few messages to tell."""

    best: Sequence[Figures]
    worst: Sequence[Figures]
    unsure: Sequence[Figures]


def ranking(templates: Iterable[Figures], *, by: str) -> Ranking:
    """Order templates by a rate: ``delivery_rate`` or ``read_rate``. Of equals the busier stands first."""
    used = [row for row in templates if row.sent]
    known = [row for row in used if row.sent >= ENOUGH_TO_TELL]
    best_first = sorted(known, key=lambda row: (-getattr(row, by), -row.sent, row.name))
    worst = min(RANKED, len(known) // 2)
    best = min(RANKED, len(known) - worst)
    return Ranking(
        best=best_first[:best],
        worst=best_first[len(known) - worst :][::-1],
        unsure=[row for row in used if row.sent < ENOUGH_TO_TELL],
    )


@dataclass(frozen=True)
class Failure:
    """Why messages failed: the code, what it means, how many in the period."""

    code: str
    reason: str
    count: int
    channels: Sequence[str]


def failures(period: Period) -> list[Failure]:
    """The most frequent reasons of what failed in the period (on the day it failed), first the commonest.

    Counted from an index; a row is read only for the words of each reason.
    """
    rows: Any = (
        period.of_failures()
        .values("failure_code", "channel")
        .annotate(count=Count("*"), example=Max(Cast("pk", CharField())))
        .order_by("-count", "failure_code", "channel")
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["failure_code"], []).append(row)
    examples = FollowUpSchedule.objects.filter(pk__in=[each[0]["example"] for each in found.values()])
    reasons = dict(examples.values_list("failure_code", "failure_reason"))
    merged = [
        Failure(
            code, reasons.get(code, ""), sum(row["count"] for row in each), [row["channel"] for row in each]
        )
        for code, each in found.items()
    ]
    return sorted(merged, key=lambda failure: (-failure.count, failure.code))
