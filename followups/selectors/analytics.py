"""Reads of the daily figures: totals, rates, revenue, the best templates, each channel's performance."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q, QuerySet, Sum
from django.utils.timezone import localdate

from followups.choices import State
from followups.models import FollowUpAnalytics, FollowUpSchedule
from followups.selectors.audiences import People, people_of
from followups.selectors.follow_ups import matching_template

TOP_TEMPLATES = 10
RECENT_DAYS = 30
Figures = Mapping[str, object]

_SUMS = {
    "sent": Sum("total_sent", default=0),
    "delivered": Sum("total_delivered", default=0),
    "read": Sum("total_read", default=0),
    "failed": Sum("total_failed", default=0),
    "revenue": Sum("revenue_generated", default=0),
}


@dataclass(frozen=True)
class Period:
    """Whose figures: days (both included, either may be open), channel, template (id or name), language."""

    start: date | None = None
    end: date | None = None
    channel: str = ""
    template: str = ""
    language: str = ""

    def of_figures(self) -> QuerySet[FollowUpAnalytics]:
        condition = Q()
        if self.start:
            condition &= Q(date__gte=self.start)
        if self.end:
            condition &= Q(date__lte=self.end)
        return FollowUpAnalytics.objects.filter(condition & self._what())

    def of_failures(self) -> QuerySet[FollowUpSchedule]:
        """The messages that failed in the period, whether or not they had been sent."""
        condition = Q(failed_at__isnull=False, status=State.FAILED)
        if self.start:
            condition &= Q(failed_at__gte=midnight(self.start))
        if self.end:
            condition &= Q(failed_at__lt=midnight(self.end) + timedelta(days=1))
        return FollowUpSchedule.objects.filter(condition & self._what())

    def people(self) -> People:
        """Who was written to in the period, and who of them read it."""
        return people_of(first=self.start, last=self.end, what=self._what())

    def _what(self) -> Q:
        condition = Q(channel=self.channel) if self.channel else Q()
        if self.language:
            condition &= Q(language=self.language)
        return condition & matching_template(self.template) if self.template else condition


def midnight(day: date) -> datetime:
    """When a day of the reports begins."""
    return datetime.combine(day, time.min, ZoneInfo(settings.FOLLOWUP_REPORT_TIME_ZONE))


def percentage(part: int, whole: int) -> float:
    """``part`` of ``whole`` in percent, 0 of nothing; never above 100."""
    return min(100.0, round(100 * part / whole, 2)) if whole else 0.0


def rates(sent: int, delivered: int, read: int) -> dict[str, float]:
    """Delivered over sent; read over delivered, or over sent where nothing is reported delivered."""
    return {"delivery_rate": percentage(delivered, sent), "read_rate": percentage(read, delivered or sent)}


def analytics_report(period: Period) -> Figures:
    """Everything the analytics page shows. Credits are whole numbers, money is in the report's currency."""
    figures = period.of_figures()
    total = figures.aggregate(
        **_SUMS,
        charged=Sum("credits_charged", default=0),
        refunded=Sum("credits_refunded", default=0),
        late=Sum("delivered_after_refund", default=0),
    )
    return {
        "total_sent": total["sent"],
        "total_delivered": total["delivered"],
        "total_read": total["read"],
        "total_failed": total["failed"],
        **rates(total["sent"], total["delivered"], total["read"]),
        "delivered_after_refund": total["late"],
        "total_credits_charged": total["charged"],
        "total_credits_refunded": total["refunded"],
        "total_revenue": float(total["revenue"]),
        "top_templates": _top_templates(figures),
        "channel_performance": _by_channel(figures),
        "daily": _by_day(figures),
        "engagement": engagement(period),
    }


def _summed(figures: QuerySet[FollowUpAnalytics], *columns: str) -> list[dict[str, Any]]:
    """One row a group of these columns, in their order, with the sums of its figures."""
    return list(figures.values(*columns).annotate(**_SUMS).order_by(*columns))


def _top_templates(figures: QuerySet[FollowUpAnalytics]) -> list[Figures]:
    rows = _summed(figures, "template_id", "template__name", "template__tamil_name")
    best = sorted((row for row in rows if row["sent"]), key=lambda row: (-row["sent"], row["template__name"]))
    return [
        {
            "id": row["template_id"],
            "name": row["template__name"],
            "tamil_name": row["template__tamil_name"],
            "total_sent": row["sent"],
            **rates(row["sent"], row["delivered"], row["read"]),
            "revenue": float(row["revenue"]),
        }
        for row in best[:TOP_TEMPLATES]
    ]


def _by_channel(figures: QuerySet[FollowUpAnalytics]) -> Mapping[str, Figures]:
    found = {row["channel"]: row for row in _summed(figures, "channel")}
    nothing: dict[str, Any] = dict.fromkeys(_SUMS, 0)
    return {
        channel: {
            **{name: row[name] for name in ("sent", "delivered", "read", "failed")},
            **rates(row["sent"], row["delivered"], row["read"]),
            "revenue": float(row["revenue"]),
        }
        for channel in dict.fromkeys([*settings.FOLLOWUP_CHANNELS, *found])
        for row in [found.get(channel, nothing)]
    }


def _by_day(figures: QuerySet[FollowUpAnalytics]) -> list[Figures]:
    return [{**row, "revenue": float(row["revenue"])} for row in _summed(figures, "date")]


def engagement(period: Period) -> Figures:
    """People, not messages: who was written to, who reads."""
    today = localdate(timezone=ZoneInfo(settings.FOLLOWUP_REPORT_TIME_ZONE))
    recent = Period(start=today - timedelta(days=RECENT_DAYS - 1), end=today)
    people = period.people()
    recently = people if period == recent else recent.people()
    return {
        "active_users": people.readers,
        "recipients": people.recipients,
        "active_rate": percentage(people.readers, people.recipients),
        "recipients_last_30_days": recently.recipients,
    }
