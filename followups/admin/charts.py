"""Charts of figures. Each is drawn from its own table, which is there without a script, too."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from django.utils.formats import date_format, number_format
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from followups.admin.periods import today
from followups.conf import CHANNEL_LABELS
from followups.selectors.analytics import Period
from followups.selectors.dashboard import Figures, by_channel, by_day, by_language, by_template
from jyotiflow.accounts.models import Language

COLUMNS: Final[dict[str, str | Promise]] = {
    "sent": _("Sent"),
    "delivered": _("Delivered"),
    "read": _("Read"),
    "failed": _("Failed"),
    "delivery_rate": _("Delivered %"),
    "read_rate": _("Read %"),
    "charged": _("Credits charged"),
    "refunded": _("Credits refunded"),
    "revenue": _("Revenue kept"),
}
MESSAGES: Final = ("sent", "delivered", "read", "failed")
RATES: Final = ("delivery_rate", "read_rate")
CREDITS: Final = ("charged", "refunded")

FILES: Final = {  # what the first column is called, and the rows
    "daily": ("date", by_day),
    "channels": ("channel", by_channel),
    "languages": ("language", by_language),
    "templates": ("id", by_template),
}


@dataclass(frozen=True)
class Cell:
    """A figure as a number for the chart, and as people read it."""

    value: str
    shown: str


@dataclass(frozen=True)
class Row:
    label: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Chart:
    """``kind`` is how it's drawn (``days``, ``bars``); ``drawn`` names the columns that are, the others are
    only in the table. ``csv`` is the file with the same rows."""

    name: str
    title: str | Promise
    kind: str
    first: str | Promise
    columns: Sequence[str]
    drawn: Sequence[str]
    rows: Sequence[Row]
    csv: str

    @property
    def heads(self) -> list[tuple[str, str | Promise]]:
        """Each column's series, empty where it isn't drawn, and its title."""
        return [(name if name in self.drawn else "", COLUMNS[name]) for name in self.columns]

    @property
    def is_empty(self) -> bool:
        """Nothing to draw: all is zero."""
        drawn = [place for place, name in enumerate(self.columns) if name in self.drawn]
        return not any(float(row.cells[place].value) for row in self.rows for place in drawn)


def rows_of(
    figures: Iterable[Figures], columns: Sequence[str], label: Callable[[Any], object]
) -> Sequence[Row]:
    """Table rows; ``label`` says what a row's key is called."""
    return [
        Row(str(label(each.key)), [_cell(name, getattr(each, name)) for name in columns]) for each in figures
    ]


def _cell(name: str, value: int | float | Decimal) -> Cell:
    decimals = {"revenue": 2}.get(name, 1 if name in RATES else 0)
    return Cell(str(value), number_format(value, decimal_pos=decimals, force_grouping=True))


def charts_of(period: Period) -> list[Chart]:
    """The dashboard's."""
    days, channels = by_day(period), by_channel(period)
    everything = (*MESSAGES, *RATES, "revenue")
    return [
        Chart(
            name="messages",
            title=_("Messages by day"),
            kind="days",
            first=_("Day"),
            columns=(*MESSAGES, *RATES),
            drawn=MESSAGES,
            rows=rows_of(days, (*MESSAGES, *RATES), _day),
            csv="daily",
        ),
        Chart(
            name="channels",
            title=_("By channel"),
            kind="bars",
            first=_("Channel"),
            columns=everything,
            drawn=MESSAGES,
            rows=rows_of(channels, everything, _channel),
            csv="channels",
        ),
        Chart(
            name="languages",
            title=_("By language"),
            kind="bars",
            first=_("Language"),
            columns=everything,
            drawn=MESSAGES,
            rows=rows_of(by_language(period), everything, _language),
            csv="languages",
        ),
        Chart(
            name="revenue",
            title=_("Revenue kept by day"),
            kind="days",
            first=_("Day"),
            columns=("revenue",),
            drawn=("revenue",),
            rows=rows_of(days, ("revenue",), _day),
            csv="daily",
        ),
        Chart(
            name="credits",
            title=_("Credits charged and refunded by day"),
            kind="days",
            first=_("Day"),
            columns=CREDITS,
            drawn=CREDITS,
            rows=rows_of(days, CREDITS, _day),
            csv="daily",
        ),
    ]


def _day(day: date) -> str:
    return date_format(day, "j M" if day.year == today().year else "j M Y")


def _channel(name: str) -> str:
    return str(CHANNEL_LABELS.get(name, name))


def _language(code: str) -> str:
    return str(Language(code).label)
