"""One's own data: to take along, and to have erased."""

import json

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from credits.selectors import balance_of
from followups.selectors.center import counts_of
from followups.selectors.privacy import erasure_preview, export_personal_data
from followups.services.privacy import check_it_is_them, erase_person
from followups.web.forms import ErasureForm
from followups.web.readers import ReaderRequest, for_reader, show
from followups.web.wording import refusal
from jyotiflow.accounts.limits import limit_user
from jyotiflow.exceptions import DomainError
from sessions_app.selectors import sessions_of

SECTION = "preferences"


@for_reader
@require_safe
def data(request: ReaderRequest) -> HttpResponse:
    """What one can do with one's data."""
    return show(request, "data.html", {}, section=SECTION)


@for_reader
@limit_user
@require_http_methods(["POST"])
def export(request: ReaderRequest) -> HttpResponse:
    """Everything that is kept about the reader, as a file. A POST: it's much work, and no link leads here."""
    text = json.dumps(export_personal_data(request.user), ensure_ascii=False, indent=2)
    answer = HttpResponse(text, content_type="application/json; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="jyotiflow-data.json"'
    return answer


@for_reader
@limit_user
@require_http_methods(["GET", "HEAD", "POST"])
def erase(request: ReaderRequest) -> HttpResponse:
    """Names what is lost, asks for the password; then closes the account for good."""
    form = ErasureForm(request.POST or None)
    if form.is_valid():
        try:
            check_it_is_them(
                user=request.user,
                signed_in_by_platform=False,  # who signs in on this page has a password
                password=form.cleaned_data["password"],
                confirm="",
            )
            erase_person(user=request.user, actor=request.user)
        except DomainError as refused:
            form.add_error("password", refusal(refused))
        else:
            logout(request)
            return redirect("followups:goodbye")
    context = {
        "form": form,
        "preview": erasure_preview(request.user),
        "sessions": sessions_of(request.user).count(),
        "follow_ups": counts_of(request.user)["all"],
        "balance": balance_of(request.user),
    }
    return show(request, "erase.html", context, section=SECTION)


@require_safe
def goodbye(request: HttpRequest) -> HttpResponse:
    """After an erasure."""
    return render(request, "followups/goodbye.html")
