"""What is refused before any view sees it, what every answer says, and what of a request is logged."""

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from django_structlog.middlewares import RequestMiddleware

from jyotiflow.errors import bad_request, not_found

UNUSED_FEATURES = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


class AnswerHeaders:
    """No cache keeps an answer unless its view allows it, and no page asks for a device."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self.get_response(request)
        answer.headers.setdefault("Cache-Control", "no-store")
        answer.headers.setdefault("Permissions-Policy", UNUSED_FEATURES)
        return answer


class RefuseNulCharacters:
    """A NUL in the path or the query names nothing of ours, and PostgreSQL would answer it with an error."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\x00" in request.path_info:
            return not_found(request)
        if "%00" in request.META.get("QUERY_STRING", ""):
            return bad_request(request)
        return self.get_response(request)


class RequestLog(RequestMiddleware):
    """Logs a request without what may name a person: its query, and whatever in its path is no id of ours."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        return f"{request.method} {loggable_path(request)}"


def loggable_path(request: HttpRequest) -> str:
    """The path as its route is written, with ids put in; the caller's own words show as ``…``."""
    try:
        match = request.resolver_match or resolve(request.path_info)
    except Resolver404:
        return "/…"
    words = ["", *match.route.split("/")]
    return "/".join(part if part in words or _is_id(part) else "…" for part in request.path_info.split("/"))


def _is_id(part: str) -> bool:
    """A number of ours or a UUID; a phone number is longer."""
    return re.fullmatch(r"\d{1,9}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", part) is not None
