"""What the pages for signed-in people have in common."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone

from followups.web.wording import refusal
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import DomainError, NotFound

View = Callable[..., HttpResponseBase]


class ReaderRequest(HttpRequest):
    """A request by somebody who is signed in."""

    user: User


def for_reader(view: View) -> View:
    """A page for whoever is signed in, with times in their zone; others are sent to the sign-in first.

    What isn't there, or isn't theirs, is a 404; any other refusal is told on the list of follow-ups.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not isinstance(request.user, User):
            return _sign_in_first(request)
        with timezone.override(request.user.zone):
            try:
                return view(request, *args, **kwargs)
            except NotFound as missing:
                raise Http404 from missing
            except DomainError as refused:
                messages.error(request, refusal(refused))
                return redirect("followups:center")

    return guarded


def is_partial(request: HttpRequest) -> bool:
    """Whether htmx asks, for the part of the page that changes."""
    return request.headers.get("HX-Request") == "true"


def show(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, section: str, status: int = 200
) -> HttpResponse:
    """A page of the FollowUpCenter; ``section`` is the tab it belongs to."""
    return render(request, f"followups/{template}", {**context, "section": section}, status=status)


def _sign_in_first(request: HttpRequest) -> HttpResponse:
    if not is_partial(request):
        return redirect_to_login(request.get_full_path())
    # The browser goes there as a whole: a sign-in form has no place inside a card.
    shown = urlsplit(request.headers.get("HX-Current-URL", ""))
    answer = HttpResponse()
    answer["HX-Redirect"] = redirect_to_login(shown.path or "/").url
    return answer
