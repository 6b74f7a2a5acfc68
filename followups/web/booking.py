"""A new follow-up for a session: what it says, costs and when it goes comes before the order."""

import uuid
from datetime import datetime
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from followups.exceptions import SessionNotFound
from followups.selectors.center import offered_for
from followups.selectors.follow_ups import session_of
from followups.selectors.quotes import Quote, quote
from followups.selectors.refusals import price_of
from followups.selectors.settings import effective_settings
from followups.services.idempotency import Answer, answer_once
from followups.services.scheduling import schedule_follow_up
from followups.templatetags.reading import when
from followups.web.center import SECTION
from followups.web.forms import AgreedForm, OrderForm
from followups.web.readers import ReaderRequest, for_reader, show
from followups.web.wording import WAITS, refusal
from jyotiflow.accounts.limits import limit_user
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import DomainError
from sessions_app.models import Session


@for_reader
@limit_user
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: ReaderRequest, session_id: str) -> HttpResponse:
    """GET asks and shows the quote for what was chosen; POST orders what was shown."""
    session = session_of(request.user, session_id)
    if session.status != Session.Status.COMPLETED:
        raise SessionNotFound()
    return _order(request, session) if request.method == "POST" else _ask(request, session)


def _ask(request: ReaderRequest, session: Session) -> HttpResponse:
    settings = effective_settings()
    form = OrderForm(request.GET if "template" in request.GET else None)
    context: dict[str, object] = {
        "session": session,
        "form": form,
        "offers": [(each, price_of(each, settings)) for each in offered_for(session)],
        "chosen": request.GET.get("template", ""),
    }
    if form.is_valid():
        offer = quote(
            user=request.user,
            template_id=form.cleaned_data["template"],
            session_id=session.pk,
            scheduled_at=form.cleaned_data["at"],
        )
        context |= _shown(offer) | {"key": uuid.uuid4(), "at": request.GET.get("at", "")}
    return show(request, "new.html", context, section=SECTION)


def _shown(offer: Quote) -> dict[str, object]:
    return {
        "quote": offer,
        "left": offer.balance - offer.price,
        "refusals": list(dict.fromkeys(refusal(each) for each in offer.refusals)),
        "waits": WAITS.get(offer.departure.waits_for, ""),
    }


def _order(request: ReaderRequest, session: Session) -> HttpResponse:
    form = AgreedForm(request.POST)
    asked = {name: request.POST[name] for name in ("template", "at") if request.POST.get(name)}
    back = f"{reverse('followups:new', args=[session.pk])}?{urlencode(asked)}"
    if not form.is_valid():
        return redirect(back)
    try:
        booked = answer_once(
            user=request.user,
            key=str(form.cleaned_data["key"]),
            request={"session": session.pk, **form.cleaned_data},
            act=lambda: _book(request.user, session, form),
        )
    except DomainError as refused:
        messages.error(request, refusal(refused))
        return redirect(back)
    at = timezone.localtime(datetime.fromisoformat(str(booked.body["scheduled_at"])))
    messages.success(request, _("It is booked and goes out on %(at)s.") % {"at": when(at)})
    return redirect("followups:follow_up", booked.body["followup_id"])


def _book(user: User, session: Session, form: AgreedForm) -> Answer:
    booked = schedule_follow_up(
        user=user,
        template_id=form.cleaned_data["template"],
        session_id=session.pk,
        scheduled_at=form.cleaned_data["at"],
        agreed_price=form.cleaned_data["price"],
    )
    return Answer(201, {"followup_id": str(booked.pk), "scheduled_at": booked.scheduled_at.isoformat()})
