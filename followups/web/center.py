"""One's follow-ups by session, one follow-up, and taking it back. Works without JavaScript."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from credits.selectors import balance_of
from followups.choices import State
from followups.models import FollowUpSchedule
from followups.selectors.center import (
    Shown,
    counts_of,
    groups_on,
    items_of,
    items_page,
    sessions_page,
)
from followups.selectors.follow_ups import follow_up_of, session_of
from followups.selectors.settings import effective_settings
from followups.services.rescheduling import reschedule_follow_up
from followups.services.withdrawing import cancel_follow_up
from followups.templatetags.reading import credits, when
from followups.web.forms import RescheduleForm
from followups.web.readers import ReaderRequest, for_reader, is_partial, show
from followups.web.wording import refusal
from jyotiflow.exceptions import DomainError

SECTION = "center"


@for_reader
@require_safe
def center(request: ReaderRequest) -> HttpResponse:
    """The sessions with their newest follow-ups, and how many there are."""
    asked = request.GET.get("show", "")
    shown = Shown(asked) if asked in list(Shown) else Shown.ALL
    page = sessions_page(request.user, shown, request.GET.get("page"))
    context = {
        "page": page,
        "groups": groups_on(page, request.user, shown),
        "shown": shown,
        "counts": counts_of(request.user),
        "balance": balance_of(request.user),
        "max_per_session": effective_settings().max_followups_per_session,
    }
    return show(request, "center.html", context, section=SECTION)


@for_reader
@require_safe
def of_session(request: ReaderRequest, session_id: str | None = None) -> HttpResponse:
    """All follow-ups of one session, or those that belong to none."""
    session = session_of(request.user, session_id) if session_id is not None else None
    page = items_page(request.user, session, request.GET.get("page"))
    context = {
        "session": session,
        "page": page,
        "items": items_of(page),
        "max_per_session": effective_settings().max_followups_per_session,
    }
    return show(request, "session.html", context, section=SECTION)


@for_reader
@require_safe
def follow_up(request: ReaderRequest, follow_up_id: UUID) -> HttpResponse:
    """One follow-up with all of its words."""
    return card_or_page(request, follow_up_of(request.user, follow_up_id))


@for_reader
@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: ReaderRequest, follow_up_id: UUID) -> HttpResponse:
    """Ask first, saying what is refunded; then take it back."""
    wanted = follow_up_of(request.user, follow_up_id)
    if request.method != "POST":
        if wanted.status != State.PENDING:
            return redirect("followups:follow_up", follow_up_id)
        refunds = effective_settings().refund_on_cancel and wanted.credits_charged
        return card_or_page(request, wanted, acting="cancel", refund=refunds or 0)
    cancelled = cancel_follow_up(follow_up_id=wanted.pk, owner=request.user)
    if cancelled.credits_refunded:
        amount = credits(cancelled.credits_refunded)
        said = _("It is cancelled. %(amount)s came back to you.") % {"amount": amount}
    else:
        said = _("It is cancelled.")
    return done(request, wanted.pk, said)


@for_reader
@require_http_methods(["GET", "HEAD", "POST"])
def reschedule(request: ReaderRequest, follow_up_id: UUID) -> HttpResponse:
    """Another time for one that waits."""
    wanted = follow_up_of(request.user, follow_up_id)
    if wanted.status != State.PENDING and request.method != "POST":
        return redirect("followups:follow_up", follow_up_id)
    form = RescheduleForm(request.POST or None, initial={"scheduled_at": wanted.scheduled_at})
    if form.is_valid():
        try:
            moved = reschedule_follow_up(
                follow_up_id=wanted.pk, scheduled_at=form.cleaned_data["scheduled_at"], owner=request.user
            )
        except DomainError as refused:
            form.add_error("scheduled_at", refusal(refused))
        else:
            said = _("It goes out on %(at)s.") % {"at": when(timezone.localtime(moved.scheduled_at))}
            return done(request, wanted.pk, said)
    return card_or_page(request, wanted, acting="reschedule", form=form)


def done(request: ReaderRequest, follow_up_id: UUID, said: str) -> HttpResponse:
    """What was asked for is done: the card as it is now, or its page."""
    if not is_partial(request):
        messages.success(request, said)
        return redirect("followups:follow_up", follow_up_id)
    changed = follow_up_of(request.user, follow_up_id)
    counts = {"counts": counts_of(request.user), "balance": balance_of(request.user), "said": said}
    return card_or_page(request, changed, **counts)


def card_or_page(request: ReaderRequest, wanted: FollowUpSchedule, **context: object) -> HttpResponse:
    """A follow-up as htmx wants it, in place of its card in the list; else a page of its own."""
    (item,) = items_of([wanted])
    template = "_changed.html" if is_partial(request) else "follow_up.html"
    return show(request, template, {"item": item, **context}, section=SECTION)
