"""What is refused before any view sees it, and what of a request is logged."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django_structlog.middlewares import RequestMiddleware

from jyotiflow.errors import bad_request, not_found


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
    """Logs a request without its query, which may name a person, and without a signed link's token."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        path = "/u/…" if request.path.startswith("/u/") else request.path
        return f"{request.method} {path}"
