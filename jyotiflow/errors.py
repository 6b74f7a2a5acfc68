"""Every error as the same JSON: ``{"success": false, "message", "code", "errors"?}``."""

import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.db import InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions as drf
from rest_framework.response import Response

from jyotiflow.exceptions import DomainError

logger = structlog.get_logger(__name__)

NON_FIELD = "non_field_errors"
View = Callable[..., HttpResponse]
# The database is away, starts anew, is full or read-only: the same may work in a moment. Cut off in a commit,
# one can't know whether it was kept; that's what Idempotency-Key is for.
DATABASE_AWAY = (OperationalError, InterfaceError, InternalError)
AWAY_SECONDS = 5
SIGN_IN_CHALLENGE = 'Bearer realm="api"'


def error_body(message: str, code: str, errors: Mapping[str, list[str]] | None = None) -> dict[str, Any]:
    """The error envelope."""
    body: dict[str, Any] = {"success": False, "message": message, "code": code}
    return {**body, "errors": dict(errors)} if errors else body


def exception_handler(exception: Exception, context: dict[str, Any]) -> Response:
    """Renders whatever a view raised; what nobody expected is a plain 500 and a log line without values."""
    if isinstance(exception, DomainError):
        error = exception
    elif isinstance(exception, drf.APIException):
        error = _from_drf(exception)
    elif isinstance(exception, Http404):
        error = _error(404, "Not found.", "not_found")
    elif isinstance(exception, PermissionDenied):
        error = _error(403, "You are not allowed to do this.", "permission_denied")
    elif isinstance(exception, ValidationError):
        error = _from_fields(_django_errors(exception))
    elif isinstance(exception, SuspiciousOperation | MultiPartParserError):
        error = _error(400, "The request is not valid.", "bad_request")
    else:
        # The text and the values of an exception may hold addresses or messages; its class and lines don't.
        logger.error(
            "unexpected_error",
            error=type(exception).__name__,
            traceback="".join(traceback.format_tb(exception.__traceback__)),
        )
        error = _unexpected(exception)
    body = error_body(error.message, error.code, error.errors)
    return Response(body, status=error.status, headers=_headers(exception, error.status))


def _unexpected(exception: Exception) -> DomainError:
    if isinstance(exception, DATABASE_AWAY):
        return _error(503, "This doesn't work just now. Please try again in a moment.", "unavailable")
    return _error(500, "Something went wrong on our side.", "server_error")


def _headers(exception: Exception, status: int) -> dict[str, str]:
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(AWAY_SECONDS)}
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": getattr(exception, "auth_header", None) or SIGN_IN_CHALLENGE}
    wait = getattr(exception, "wait", None)
    return {"Retry-After": f"{wait:.0f}"} if wait is not None else {}


def _error(
    status: int, message: str, code: str, errors: Mapping[str, list[str]] | None = None
) -> DomainError:
    error = DomainError(message, code=code, errors=errors)
    error.status = status
    return error


def _from_drf(exception: drf.APIException) -> DomainError:
    if isinstance(exception, drf.ValidationError):
        return _from_fields(dict(_flatten(exception.detail)))
    # 415 is outside the contract; a body that is not JSON is a bad request.
    status = 400 if isinstance(exception, drf.UnsupportedMediaType) else exception.status_code
    code = exception.get_codes()
    return _error(status, str(exception.detail), code if isinstance(code, str) else "invalid")


def _from_fields(errors: dict[str, list[str]]) -> DomainError:
    field, texts = next(iter(errors.items()), (NON_FIELD, []))
    text = texts[0] if texts else "The request is not valid."
    return _error(400, text if field == NON_FIELD else f"{field}: {text}", "invalid", errors)


def _flatten(detail: Any, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """DRF's nested error detail as (dotted field name, sentences)."""
    if isinstance(detail, dict):
        for key, inner in detail.items():
            yield from _flatten(inner, path if key == NON_FIELD else f"{path}.{key}".lstrip("."))
    elif isinstance(detail, list) and any(isinstance(inner, dict | list) for inner in detail):
        for index, inner in enumerate(detail):
            yield from _flatten(inner, f"{path}.{index}".lstrip("."))
    else:
        texts = detail if isinstance(detail, list) else [detail]
        if texts:
            yield path or NON_FIELD, [str(text) for text in texts]


def _django_errors(exception: ValidationError) -> dict[str, list[str]]:
    if not hasattr(exception, "error_dict"):
        return {NON_FIELD: exception.messages}
    return {NON_FIELD if key == "__all__" else key: texts for key, texts in exception.message_dict.items()}


# --- Outside REST framework: no route, a broken request, a crash in a middleware ---------------------------


def _is_api(request: HttpRequest) -> bool:
    return request.path_info == "/api" or request.path_info.startswith("/api/")


def _json(status: int, message: str, code: str) -> JsonResponse:
    return JsonResponse(error_body(message, code), status=status)


@csrf_exempt
def api_not_found(request: HttpRequest, path: str = "") -> HttpResponse:
    """What an unknown path below ``/api`` answers, in DEBUG too."""
    return _json(404, "There is nothing at this address.", "not_found")


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """``handler400``: JSON below ``/api``, a page elsewhere."""
    if _is_api(request):
        return _json(400, "The request is not valid.", "bad_request")
    return defaults.bad_request(request, exception or SuspiciousOperation())


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """``handler403``: JSON below ``/api``, a page elsewhere."""
    if _is_api(request):
        return _json(403, "You are not allowed to do this.", "permission_denied")
    return defaults.permission_denied(request, exception or PermissionDenied())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """``CSRF_FAILURE_VIEW``: as any other 403."""
    return permission_denied(request)


def only(*methods: str) -> Callable[[View], View]:
    """A view outside REST framework that takes these methods; others get 405 in JSON. Needs no CSRF token."""

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method not in methods:
                refused = _json(405, f"Use {' or '.join(methods)}.", "method_not_allowed")
                refused["Allow"] = ", ".join(methods)
                return refused
            return view(request, *args, **kwargs)

        return csrf_exempt(guarded)

    return guard


def too_many_requests(request: HttpRequest, wait: float) -> HttpResponse:
    """A page's 429: come back after ``wait`` seconds."""
    answer = render(request, "429.html", status=429)
    answer["Retry-After"] = f"{wait:.0f}"
    return answer


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """``handler404``: JSON below ``/api``, a page elsewhere."""
    if _is_api(request):
        return api_not_found(request)
    return defaults.page_not_found(request, exception or Http404())


def server_error(request: HttpRequest) -> HttpResponse:
    """``handler500``: JSON below ``/api``, a page elsewhere."""
    if _is_api(request):
        return _json(500, "Something went wrong on our side.", "server_error")
    return defaults.server_error(request)
