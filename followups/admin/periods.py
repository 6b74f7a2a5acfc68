"""Whose figures a page shows, kept in its address: days, channel, template, language."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from followups.conf import channel_choices
from followups.models import FollowUpTemplate
from followups.selectors.analytics import Period
from jyotiflow.accounts.models import Language

USUAL_DAYS: Final = 30
MOST_DAYS: Final = 366
KEPT: Final = (
    "days",
    "start_date",
    "end_date",
    "channel",
    "template",
    "language",
    "rank",
)  # in the page's address
QUICK_CHOICES: Final = {1: _("Today"), 7: _("7 days"), 30: _("30 days"), 90: _("90 days")}


def today() -> date:
    """The day it is in the reports."""
    return timezone.localdate(timezone=ZoneInfo(settings.FOLLOWUP_REPORT_TIME_ZONE))


def name_of(template: Any) -> str:
    """What a template, or its figures, is called in the language of the page."""
    is_tamil = get_language() == "ta"
    return (template.tamil_name if is_tamil else "") or template.name


class TemplateField(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        return name_of(obj)


class PeriodForm(forms.Form):
    """The filters, by the names the API gives them. Without days the last `USUAL_DAYS`, today included."""

    start_date = forms.DateField(
        label=_("From"), widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
    )
    end_date = forms.DateField(
        label=_("To"), widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
    )
    channel = forms.ChoiceField(label=_("Channel"), required=False)
    template = TemplateField(
        label=_("Template"), required=False, queryset=FollowUpTemplate.objects.none(), empty_label=_("All")
    )

    language = forms.ChoiceField(
        label=_("Language"), required=False, choices=[("", _("All")), *Language.choices]
    )

    def __init__(self, asked: QueryDict) -> None:
        super().__init__({**_usual(asked), **asked.dict()}, auto_id="filter-%s")
        self.asked = asked
        self.fields["channel"].choices = [("", _("All")), *channel_choices()]  # type: ignore[attr-defined]
        self.fields["template"].queryset = FollowUpTemplate.objects.only(  # type: ignore[attr-defined]
            "name", "tamil_name"
        ).order_by("name", "id")

    def clean(self) -> dict[str, Any]:
        """Both ends in order, and not so far apart that nobody could read the days."""
        given = super().clean() or {}
        start, end = given.get("start_date"), given.get("end_date")
        if start and end and start > end:
            self.add_error("end_date", _("The last day lies before the first one."))
        elif start and end and (end - start).days >= MOST_DAYS:
            self.add_error("end_date", _("Choose at most %d days.") % MOST_DAYS)
        return given

    def period(self) -> Period:
        """What was asked for; the usual days of everything if that can't be."""
        if not self.is_valid():
            usual = _usual(QueryDict())
            return Period(start=usual["start_date"], end=usual["end_date"])
        given = self.cleaned_data
        return Period(
            start=given["start_date"],
            end=given["end_date"],
            channel=given["channel"],
            template=str(given["template"].pk) if given["template"] else "",
            language=given["language"],
        )

    def query(self, **changes: object) -> str:
        """The page's address, from the ``?`` on, with these changes."""
        query = QueryDict(mutable=True)
        for name, value in {**self.asked.dict(), **changes}.items():
            if value and (name in KEPT or name in changes):
                query[name] = str(value)
        return "?" + query.urlencode()

    def quick_choices(self) -> list[dict[str, object]]:
        """Links to the usual periods, keeping the other filters."""
        period = self.period()
        return [
            {
                "title": title,
                "query": self.query(days=days, start_date="", end_date=""),
                "is_chosen": (period.start, period.end) == _last(days),
            }
            for days, title in QUICK_CHOICES.items()
        ]


def _last(days: int) -> tuple[date, date]:
    return today() - timedelta(days=days - 1), today()


def _usual(asked: Mapping[str, Any]) -> dict[str, date]:
    """The days a quick choice names; else the usual ones."""
    days = asked.get("days", "")
    start, end = _last(int(days) if days in map(str, QUICK_CHOICES) else USUAL_DAYS)
    return {"start_date": start, "end_date": end}
