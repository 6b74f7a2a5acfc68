"""The language pages are shown in: chosen by a visitor, else their own, else their browser's.

It decides nothing about messages; that is the user's `preferred_language`. Programs are answered in English.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_safe

START_PAGE = "/"
FOR_PROGRAMS = ("/api/", "/livez", "/readyz", "/metrics")


class PageLanguage:
    """Shows each page in the language of whoever asks for it; comes after authentication."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(FOR_PROGRAMS):
            return self.get_response(request)
        with speaking(request, _language_of(request)):
            answer = self.get_response(request)
            answer.headers.setdefault("Content-Language", translation.get_language())
            return answer


@contextmanager
def speaking(request: HttpRequest, language: str) -> Iterator[None]:
    """Within it, texts, dates and numbers are in the language, and ``request.LANGUAGE_CODE`` says so."""
    with translation.override(language):
        request.LANGUAGE_CODE = language
        yield


def chosen_language(request: HttpRequest) -> str | None:
    """What the visitor chose by the switch on a page; ``None`` without a choice."""
    language = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME)
    return language if language in dict(settings.LANGUAGES) else None


@require_safe
def choose_language(request: HttpRequest, language: str) -> HttpResponse:
    """Remember which language pages are to be in, and go back to ``next``. A page of this site, or the start.

    A link, so that it works on every page without a form's token; all it changes is the display.
    """
    if language not in dict(settings.LANGUAGES):
        raise Http404
    wanted = request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    answer = redirect(wanted if is_ours else START_PAGE)
    remember_language(answer, language)
    return answer


def remember_language(answer: HttpResponse, language: str) -> None:
    """Keep the choice for a year, in this browser."""
    answer.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
        samesite="Lax",
    )


def _language_of(request: HttpRequest) -> str:
    return (
        chosen_language(request)
        or getattr(request.user, "preferred_language", None)
        or translation.get_language_from_request(request)
    )
