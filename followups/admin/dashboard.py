"""The first page for staff: what went out, what it earned, what waits, what fails; channels on and off."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from followups.admin.channels import channel_states, switch_by_hand
from followups.admin.charts import COLUMNS, FILES, charts_of
from followups.admin.periods import PeriodForm, today
from followups.admin.timeline_words import because
from followups.choices import State
from followups.conf import CHANNEL_LABELS, channel_choices
from followups.models import FollowUpAnalytics
from followups.selectors.analytics import Period, engagement, midnight, percentage
from followups.selectors.dashboard import by_template, failures, ranking, totals
from followups.selectors.follow_ups import STUCK_AFTER
from followups.selectors.queue import LEASE_GRACE, together
from followups.selectors.settings import effective_settings
from jyotiflow.admin_site import admin_page
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import record_change
from jyotiflow.exporting import csv_lines
from jyotiflow.health import check_health

REFRESH_SECONDS: Final = 10
SHOWN_FAILURES: Final = 8
RANKS: Final = {"delivery": ("delivery_rate", _("By delivery")), "read": ("read_rate", _("By reading"))}


@admin_page(
    "followups/dashboard/",
    name="followups_dashboard",
    permission="followups.view_followupanalytics",
    title=_("Dashboard"),
    help=_("What went out, what it earned, what waits, what fails; channels on and off"),
)
@require_safe
def dashboard(request: HttpRequest) -> HttpResponseBase:
    """All of it; with ``part=live`` only what changes by the second, with ``csv=…`` the rows of a chart."""
    form = PeriodForm(request.GET)
    period = form.period()
    if wanted := request.GET.get("csv"):
        return _csv(request, wanted, period)
    context = _live(form, period)
    if request.GET.get("part") == "live":
        return render(request, "admin/followups/dashboard/live.html", context)
    return render(
        request,
        "admin/followups/dashboard.html",
        {**admin.site.each_context(request), **context, **_figures(request, form, period)},
    )


class SwitchForm(forms.Form):
    channel = forms.ChoiceField(choices=channel_choices)
    is_paused = forms.BooleanField(required=False)
    reason = forms.CharField(max_length=200, required=False)


@admin_page(
    "followups/dashboard/switch/",
    name="followups_dashboard_switch",
    permission="followups.switch_channel",
)
@require_POST
def switch(request: HttpRequest) -> HttpResponse:
    """Pause a channel or let it go on, and return to the dashboard as it was."""
    form = SwitchForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        switch_by_hand(request, given["channel"], is_paused=given["is_paused"], reason=given["reason"])
    else:
        messages.error(request, _("Name a channel, and a reason of at most 200 letters."))
    return redirect(f"{reverse('admin:followups_dashboard')}{PeriodForm(request.GET).query()}")


def _live(form: PeriodForm, period: Period) -> dict[str, Any]:
    """What is asked for every few seconds: a handful of queries, however much there is."""
    channels = channel_states()
    day = replace(period, start=today(), end=today())
    health = check_health()
    return {
        "form": form,
        "period": period,
        "total": totals(period),
        "today": totals(day) if day != period else None,
        "queue": together([channel.queue for channel in channels]),
        "channels": channels,
        "links": _queue_links(),
        "stuck_minutes": int(STUCK_AFTER.total_seconds() // 60),
        "is_counting": effective_settings().enable_analytics,
        "ill": [part for part, word in health.checks.items() if word != "ok"],
        "shown_at": timezone.now(),
        "refresh_seconds": REFRESH_SECONDS,
        "live_query": form.query(part="live"),
        "query": form.query(),
    }


def _figures(request: HttpRequest, form: PeriodForm, period: Period) -> dict[str, Any]:
    rank = request.GET.get("rank", "")
    rank = rank if rank in RANKS else "delivery"
    reasons = failures(period)
    failed = sum(reason.count for reason in reasons)
    return {
        "title": _("Dashboard"),
        "zone": settings.FOLLOWUP_REPORT_TIME_ZONE,
        "charts": charts_of(period),
        "rank": rank,
        "ranks": [(name, title, form.query(rank=name)) for name, (_column, title) in RANKS.items()],
        "ranking": ranking(by_template(period), by=RANKS[rank][0]),
        "failures": [
            {
                "failure": reason,
                "because": capfirst(because(reason.code, reason.reason)),
                "channels": [CHANNEL_LABELS.get(name, name) for name in reason.channels],
                "share": percentage(reason.count, failed),
                "link": _failure_link(period, reason.code),
            }
            for reason in reasons[:SHOWN_FAILURES]
        ],
        "other_failures": sum(reason.count for reason in reasons[SHOWN_FAILURES:]),
        "engagement": engagement(period),
    }


def _csv(request: HttpRequest, wanted: str, period: Period) -> HttpResponseBase:
    """The rows of a chart, or of all templates: sums only, nobody's data. Raises ``Http404``."""
    if wanted not in FILES:
        raise Http404
    key, rows_in = FILES[wanted]
    found = rows_in(period)
    names = ["name", "tamil_name"] if rows_in is by_template else []
    titles = [key, *names, *COLUMNS]
    actor: Any = request.user  # signed in, else the admin site had not let them in
    record_change(
        action=Action.EXPORTED, of=FollowUpAnalytics, actor=actor, label=wanted, after={"rows": len(found)}
    )
    rows = ([row.key, *(getattr(row, name) for name in [*names, *COLUMNS])] for row in found)
    return StreamingHttpResponse(
        csv_lines(titles, rows),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{wanted}-{period.start}-{period.end}.csv"',
        },
    )


def _list(**conditions: object) -> str:
    return f"{reverse('admin:followups_followupschedule_changelist')}?{urlencode(conditions)}"


def _queue_links() -> dict[str, str]:
    moment = timezone.now()
    return {
        "hour": _list(
            status__exact=State.PENDING, due_at__gt=moment, due_at__lte=moment + timedelta(hours=1)
        ),
        "day": _list(status__exact=State.PENDING, due_at__gt=moment, due_at__lte=moment + timedelta(days=1)),
        "due": _list(status__exact=State.PENDING, due_at__lte=moment),
        "overdue": _list(stuck="yes"),
        "abandoned": _list(status__exact=State.SENDING, lease_until__lte=moment - LEASE_GRACE),
        "in_doubt": _list(status__exact=State.IN_DOUBT),
    }


def _failure_link(period: Period, code: str) -> str:
    what: dict[str, object] = {"status__exact": State.FAILED, "failure_code": code}
    if period.start:
        what["failed_at__gte"] = midnight(period.start).isoformat()
    if period.end:
        what["failed_at__lt"] = midnight(period.end + timedelta(days=1)).isoformat()
    if period.channel:
        what["channel__exact"] = period.channel
    if period.template:
        what["template"] = period.template
    if period.language:
        what["language__exact"] = period.language
    return _list(**what)
