"""The simulation: who would get what, when, at what price, and why not. Nothing is written or sent."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings as django_settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.timezone import localdate
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from followups.admin.plans import REASONS
from followups.admin.timeline_words import because
from followups.models import FollowUpSchedule
from followups.selectors.settings import effective_settings
from followups.selectors.simulation import (
    AT_ONCE,
    MOST_SESSIONS,
    Outcome,
    SimulatedStep,
    Totals,
    after,
    completed_in,
    simulate,
)
from jyotiflow.accounts.models import Language
from jyotiflow.accounts.selectors import user_by_email
from jyotiflow.admin_site import admin_page
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import record_change
from jyotiflow.exceptions import DomainError
from jyotiflow.exporting import csv_lines
from jyotiflow.large_tables import count_of
from jyotiflow.read_only import read_only
from sessions_app.models import Session

LONGEST: Final = timedelta(days=31)
SHOWN_SESSIONS: Final = 20  # of one reader, to choose from
WHY: Final[Mapping[str, str | Promise]] = {
    **REASONS,
    "insufficient_credits": _("not enough credits"),
    "max_interval_days": _("no time is free in the days ahead"),
}
DAY: Final = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
COLUMNS: Final = (
    *("session", "completed_at", "reader", "planned_at", "template", "channel", "language"),
    *("scheduled_at", "goes_at", "zone", "credits", "why_not"),
)


class PeriodForm(forms.Form):
    """Days on which sessions were completed, both counted."""

    first = forms.DateField(
        label=_("From"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    last = forms.DateField(label=_("To"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))

    def clean(self) -> dict[str, Any]:
        fields = super().clean() or {}
        first, last = fields.get("first"), fields.get("last")
        if first and last and not first <= last < first + LONGEST:
            self.add_error("last", _("Choose a day up to %d days from the first.") % LONGEST.days)
        return fields

    def sessions(self) -> QuerySet[Session]:
        zone = ZoneInfo(django_settings.FOLLOWUP_REPORT_TIME_ZONE)
        start = datetime.combine(self.cleaned_data["first"], time.min, zone)
        end = datetime.combine(self.cleaned_data["last"] + timedelta(days=1), time.min, zone)
        return completed_in(start, end)


class OneForm(forms.Form):
    """A session by its id, or a reader by their email."""

    q = forms.CharField(label=_("Session or reader"), max_length=255, strip=True)


@dataclass(frozen=True)
class Line:
    """A step in words."""

    template: str
    channel: str
    language: str
    when: str
    waits: str
    price: int
    why_not: str


@dataclass(frozen=True)
class Card:
    """A session's outcome as the page shows it."""

    outcome: Outcome
    zone: str
    lines: Sequence[Line]
    price: int


@admin_page(
    "followups/simulate/",
    name="followups_simulate",
    permission="sessions_app.view_session",
    title=_("Simulate"),
    help=_("Who would get what, when and at what price, and why not; nothing is sent"),
)
def simulate_page(request: HttpRequest) -> HttpResponse:
    """One session, or those of a period, a chunk at a time; with htmx the next chunk follows by itself."""
    with read_only():
        context = _context(request)
        if request.headers.get("HX-Request"):
            return render(request, "admin/followups/simulate/_outcomes.html", context)
        page = {**admin.site.each_context(request), "title": _("Simulate"), "opts": FollowUpSchedule._meta}
        return render(request, "admin/followups/simulate/page.html", {**page, **context})


@admin_page("followups/simulate/csv/", name="followups_simulate_csv", permission="sessions_app.view_session")
def simulation_csv(request: HttpRequest) -> HttpResponse:
    """The whole period as a file, for whoever may export follow-ups; on record as an export."""
    return _export(request)


@require_POST
def _export(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("followups.export_followupschedule"):
        raise PermissionDenied
    form = PeriodForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose the days first."))
        return redirect("admin:followups_simulate")
    actor: Any = request.user  # signed in, else the admin site had not let them in
    days = {name: form.cleaned_data[name].isoformat() for name in ("first", "last")}
    record_change(action=Action.EXPORTED, of=FollowUpSchedule, label="simulation", actor=actor, after=days)
    name = f"simulation-{days['first']}-{days['last']}.csv"
    response: Any = StreamingHttpResponse(
        csv_lines(COLUMNS, _csv_rows(form.sessions())),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
    return response


def _csv_rows(sessions: QuerySet[Session]) -> Iterator[Sequence[object]]:
    last: Session | None = None
    for _chunk in range(MOST_SESSIONS // AT_ONCE):
        with read_only():
            outcomes = simulate((after(sessions, last) if last else sessions)[:AT_ONCE], at_completion=True)
        for outcome in outcomes:
            yield from _csv_of(outcome)
        if len(outcomes) < AT_ONCE:
            return
        last = outcomes[-1].session


def _csv_of(outcome: Outcome) -> Iterator[Sequence[object]]:
    session = outcome.session
    about = (session.pk, session.completed_at, session.user.email, outcome.at)
    for each in outcome.steps:
        found, departure = each.step.found, each.departure
        yield (
            *about,
            each.step.template.name,
            each.step.template.channel,
            found.language if found else "",
            departure.scheduled_at,
            departure.goes_at,
            session.user.timezone,
            each.price,
            _why(each.step.refusals),
        )


def _context(request: HttpRequest) -> dict[str, Any]:
    today = localdate(timezone=ZoneInfo(django_settings.FOLLOWUP_REPORT_TIME_ZONE))
    days = {"first": today - LONGEST + timedelta(days=1), "last": today}
    context: dict[str, Any] = {
        "one": OneForm(request.GET if "q" in request.GET else None),
        "period": PeriodForm(request.GET if "first" in request.GET else None, initial=days),
        "is_off": not effective_settings().auto_followup_enabled,
        "may_export": request.user.has_perm("followups.export_followupschedule"),
    }
    one, period = context["one"], context["period"]
    if one.is_bound and one.is_valid():
        return context | _of_one(one.cleaned_data["q"])
    if period.is_bound and period.is_valid():
        return context | _of_period(request, period)
    return context


def _of_one(word: str) -> dict[str, Any]:
    outcomes = simulate(Session.objects.filter(pk=word))
    if outcomes:
        return {"cards": [_card(outcome) for outcome in outcomes], "totals": Totals().plus(outcomes)}
    reader = user_by_email(word)
    if reader is None:
        return {"nothing": _("There is no session with this id and no reader with this email.")}
    newest = Session.objects.filter(user=reader).order_by("-created_at", "-id")[:SHOWN_SESSIONS]
    return {"reader": reader, "sessions": newest}


def _of_period(request: HttpRequest, form: PeriodForm) -> dict[str, Any]:
    sessions = form.sessions()
    last = sessions.filter(pk=request.GET.get("after", "")).first()
    outcomes = simulate((after(sessions, last) if last else sessions)[:AT_ONCE], at_completion=True)
    before = _totals_so_far(request) if last else Totals()
    totals = before.plus(outcomes)
    count = count_of(sessions).number
    has_more = len(outcomes) == AT_ONCE and totals.sessions < min(count, MOST_SESSIONS)
    days: dict[str, date] = {name: form.cleaned_data[name] for name in ("first", "last")}
    query = urlencode({**days, "after": outcomes[-1].session.pk, **asdict(totals)}) if has_more else ""
    return {
        "cards": [_card(outcome) for outcome in outcomes],
        "totals": totals,
        "count": count,
        "is_cut": count > MOST_SESSIONS and not has_more,
        "most": MOST_SESSIONS,
        "next": f"{reverse('admin:followups_simulate')}?{query}" if query else "",
    }


def _totals_so_far(request: HttpRequest) -> Totals:
    """What the pages before came to, as the link to this one says; only ever shown."""
    said = {name: request.GET.get(name, "0") for name in asdict(Totals())}
    return Totals(**{name: int(text) if text.isdecimal() else 0 for name, text in said.items()})


def _card(outcome: Outcome) -> Card:
    zone = outcome.session.user.zone
    lines = [_line(each, zone) for each in outcome.steps]
    return Card(outcome, outcome.session.user.timezone, lines, sum(line.price for line in lines))


def _line(each: SimulatedStep, zone: ZoneInfo) -> Line:
    step, departure = each.step, each.departure
    when = _moment(departure.scheduled_at, zone) if departure.scheduled_at else ""
    waits = ""
    if departure.waits_for:
        why = because(departure.waits_for)
        if departure.goes_at is None:
            waits = str(_("it would wait until it expires: %s") % why)
        else:
            until = {"until": _moment(departure.goes_at, zone), "why": why}
            waits = str(_("waits until %(until)s: %(why)s") % until)
    return Line(
        template=step.template.name,
        channel=str(step.template.get_channel_display()),
        language=str(Language(step.found.language).label) if step.found else "",
        when=when,
        waits=waits,
        price=each.price,
        why_not=_why(step.refusals),
    )


def _why(refusals: Iterable[DomainError]) -> str:
    return "; ".join(str(WHY.get(each.code) or because(each.code, each.message)) for each in refusals)


def _moment(moment: datetime, zone: ZoneInfo) -> str:
    local = moment.astimezone(zone)
    return f"{date_format(local, 'D j M Y')} {local:%H:%M}"
