import datetime as dt
import json
import logging
import socket
import time
import uuid
from typing import Any

import pytest
import structlog
from django.core.cache import cache
from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.db import InternalError, OperationalError
from django.http import Http404
from django.test import Client
from redis.exceptions import ConnectionError as RedisDown
from rest_framework import exceptions as drf
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from jyotiflow.api import AwareDateTimeField, paginate
from jyotiflow.body import MAX_BODY_BYTES
from jyotiflow.exceptions import Conflict, InvalidInput
from jyotiflow.throttling import SafeThrottle
from sessions_app.models import Session
from tests.factories import SessionFactory

requests = APIRequestFactory()


class EchoView(APIView):
    """Answers what it was sent, or raises what the test wants."""

    authentication_classes = []
    permission_classes = []
    error: Exception | None = None

    def post(self, request: Request) -> Response:
        if self.error:
            raise self.error
        return Response(request.data)


def answer_to(error: Exception) -> Any:
    response = EchoView.as_view(error=error)(requests.post("/", {}, format="json"))
    response.render()
    return response


def body_of(response: Any) -> dict[str, Any]:
    return json.loads(response.content)


# --- Bodies ----------------------------------------------------------------------------------------------


def test_a_body_up_to_the_bound_is_read_and_one_byte_more_is_refused(client, db):
    frame = len(b'{"email": ""}')
    fits = b'{"email": "' + b"x" * (MAX_BODY_BYTES - frame) + b'"}'
    assert len(fits) == MAX_BODY_BYTES
    response = client.post("/api/auth/login", fits, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (400, "invalid")
    response = client.post("/api/auth/login", fits + b" ", content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (400, "body_too_large")


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"\xff",
        b"[1]",
        b'{"email": NaN}',
        b"[" * 200_000,
        rb'{"email": "\u0000@example.test", "password": "x"}',
        rb'{"email": "\ud800@example.test", "password": "x"}',
    ],
)
def test_an_unreadable_body_is_a_400_in_the_envelope(client, db, raw):
    response = client.post("/api/auth/login", raw, content_type="application/json")
    assert response.status_code == 400
    assert response.json()["success"] is False
    assert response.json()["code"] not in ("", "server_error")


def test_another_content_type_is_a_400(client, db):
    response = client.post("/api/auth/login", "email=a", content_type="application/x-www-form-urlencoded")
    assert (response.status_code, response.json()["code"]) == (400, "unsupported_media_type")


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense", "*/*"])
def test_the_answer_is_json_whatever_is_asked_for(client, db, accept):
    response = client.get("/api/user/profile?format=xml", headers={"accept": accept})
    assert response.status_code == 401
    assert response["Content-Type"] == "application/json"


# --- Errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidInput.field("a", "No."), 400, "invalid"),
        (Conflict(code="key_reused"), 409, "key_reused"),
        (drf.ValidationError({"a": ["No."]}), 400, "invalid"),
        (drf.ParseError(), 400, "parse_error"),
        (drf.NotFound(), 404, "not_found"),
        (drf.PermissionDenied(), 403, "permission_denied"),
        (drf.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (drf.UnsupportedMediaType("text/plain"), 400, "unsupported_media_type"),
        (drf.Throttled(wait=7), 429, "throttled"),
        (Http404("/secret"), 404, "not_found"),
        (PermissionDenied("secret"), 403, "permission_denied"),
        (ValidationError({"a": ["No."]}), 400, "invalid"),
        (ValidationError("No."), 400, "invalid"),
        (SuspiciousOperation("secret"), 400, "bad_request"),
        (OperationalError("secret"), 503, "unavailable"),
        (InternalError("secret: read-only"), 503, "unavailable"),
        (RuntimeError("secret"), 500, "server_error"),
    ],
)
def test_every_error_has_the_same_envelope(error, status, code):
    response = answer_to(error)
    body = body_of(response)
    assert (response.status_code, body["success"], body["code"]) == (status, False, code)
    assert body["message"]
    assert set(body) <= {"success", "message", "code", "errors"}
    assert "secret" not in response.content.decode()


def test_field_errors_are_flattened_to_dotted_names():
    detail: Any = {
        "quiet_hours": {"start": ["Not a time."], "non_field_errors": ["Start equals end."]},
        "devices": [{}, {"token": ["Too long."]}],
        "email": ["Taken.", "Too long."],
    }
    body = body_of(answer_to(drf.ValidationError(detail)))
    assert body["errors"] == {
        "quiet_hours.start": ["Not a time."],
        "quiet_hours": ["Start equals end."],
        "devices.1.token": ["Too long."],
        "email": ["Taken.", "Too long."],
    }
    assert body["message"] == "quiet_hours.start: Not a time."


def test_an_error_of_no_field_is_the_message_itself():
    assert body_of(answer_to(drf.ValidationError(["Choose one."])))["message"] == "Choose one."


def test_an_unexpected_error_is_logged_by_class_and_line_but_not_by_text(caplog):
    with caplog.at_level(logging.ERROR):
        answer_to(RuntimeError("lakshmi@example.test"))
    (record,) = caplog.records
    assert "RuntimeError" in record.getMessage()
    assert "test_api.py" in record.getMessage()
    assert "lakshmi" not in caplog.text


def test_too_many_requests_say_when_to_come_back():
    assert answer_to(drf.Throttled(wait=6.4))["Retry-After"] == "7"


def test_not_signed_in_is_a_401_with_a_challenge(client, db):
    response = client.get("/api/user/profile")
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nothing", "/api/user/profile/", "/api/x/%00", "/api/%ff"]
)
@pytest.mark.parametrize("debug", [False, True])
def test_an_unknown_api_path_is_a_json_404_for_every_method(client, settings, db, path, debug):
    settings.DEBUG = debug
    for method in ("get", "post", "put", "delete"):
        response = getattr(client, method)(path)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_wrong_method_is_a_json_405(client, db):
    for method in ("get", "put", "delete", "patch", "options", "trace"):
        response = getattr(client, method)("/api/auth/login")
        assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")


def test_a_nul_in_the_query_is_a_json_400(client, db):
    response = client.get("/api/user/sessions?limit=%00")
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")


def test_an_unknown_page_is_an_html_404(client, db):
    response = client.get("/nothing")
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")
    assert client.get("/x/%00").status_code == 404


def test_a_broken_host_is_a_json_400_below_api(db):
    response = Client(headers={"host": "evil.test"}).get("/api/user/profile")
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")


# --- Pages -----------------------------------------------------------------------------------------------


def page(query: str) -> Any:
    return paginate(Request(requests.get(f"/{query}")), Session.objects.order_by("id"))


def test_a_page_has_its_rows_and_the_total_that_match(db):
    for number in range(5):
        SessionFactory(id=f"s{number}")
    second = page("?limit=2&offset=2")
    assert ([row.id for row in second.rows], second.count) == (["s2", "s3"], 5)
    assert len(page("").rows) == 5
    assert page("?offset=99").rows == []


@pytest.mark.parametrize(
    "query",
    ["?limit=0", "?limit=201", "?limit=-1", "?limit=ten", "?limit=", "?limit=1.5", "?limit=١", "?offset=-1",
     "?offset=99999999999999999999", "?limit=" + "9" * 5000],
)  # fmt: skip
def test_a_page_out_of_range_is_refused(db, query):
    with pytest.raises(InvalidInput) as refusal:
        page(query)
    assert list(refusal.value.errors) == [query[1:].partition("=")[0]]


# --- Times -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01T10:00:00+05:30", dt.datetime(2026, 3, 1, 4, 30, tzinfo=dt.UTC)),
        ("2026-03-01T10:00:00Z", dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC)),
        ("2026-03-01T10:00:00.000Z", dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC)),
    ],
)
def test_a_time_with_its_zone_is_read(text, moment):
    assert AwareDateTimeField().to_internal_value(text) == moment


@pytest.mark.parametrize(
    "value",
    ["2026-03-01T10:00:00", "2026-03-01", "tomorrow", "", 1767225600, None, ["2026-03-01T10:00:00Z"], {},
     "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30T10:00:00Z",
     "2026-03-01T10:00:00+99:99"],
)  # fmt: skip
def test_any_other_time_is_refused(value):
    with pytest.raises(serializers.ValidationError):
        AwareDateTimeField().to_internal_value(value)


def test_a_time_without_a_zone_is_told_the_fix():
    with pytest.raises(serializers.ValidationError, match=r"2026-03-01T10:00:00\+05:30"):
        AwareDateTimeField().to_internal_value("2026-03-01T10:00:00")


def test_times_go_out_in_utc_with_their_zone():
    kolkata = dt.timezone(dt.timedelta(hours=5, minutes=30))
    moment = dt.datetime(2026, 3, 1, 10, tzinfo=kolkata)
    assert AwareDateTimeField().to_representation(moment) == "2026-03-01T04:30:00Z"


# --- Throttles -------------------------------------------------------------------------------------------


class TwoAMinute(SafeThrottle):
    rate = "2/min"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return "two-a-minute"


def allowed() -> tuple[bool, TwoAMinute]:
    throttle = TwoAMinute()
    return throttle.allow_request(Request(requests.get("/")), EchoView()), throttle


def test_a_throttle_counts_and_says_how_long_to_wait():
    answers = [allowed() for _ in range(3)]
    assert [answer for answer, _ in answers] == [True, True, False]
    assert 0 < answers[-1][1].wait() <= 60


def test_a_throttle_counts_parallel_requests_exactly(in_parallel):
    answers = in_parallel(*[lambda: allowed()[0]] * 20)
    assert answers.count(True) == 2


def test_a_throttle_lets_through_while_redis_is_away(settings):
    settings.CACHES = {
        "default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0", "OPTIONS": {}}
    }
    with pytest.raises(RedisDown):
        cache.get("x")
    assert [allowed()[0] for _ in range(4)] == [True] * 4


def test_a_silent_redis_is_asked_once_in_a_while_and_not_by_every_request(settings):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        working = settings.CACHES
        settings.CACHES = {"default": {**working["default"], "LOCATION": place}}
        with structlog.testing.capture_logs() as logged:
            assert [allowed()[0] for _ in range(50)] == [True] * 50
        assert [line["event"] for line in logged] == ["throttle_unavailable"]
    settings.CACHES = working
    SafeThrottle._silent_until = time.monotonic() - 1  # the while is over
    assert [allowed()[0] for _ in range(3)] == [True, True, False]


@pytest.mark.django_db
def test_a_request_is_logged_with_ids_but_without_words_of_the_caller() -> None:
    follow_up = uuid.uuid4()
    with structlog.testing.capture_logs() as logged:
        Client().get("/livez?user_email=someone@example.test")
        Client().get("/u/1-email.signature")
        Client().get("/api/followup/session/someone@example.test")
        Client().get("/api/someone@example.test")
        Client().post(f"/api/followup/cancel/{follow_up}")
        Client().get("/admin/accounts/user/17/change/")
        Client().get("/admin/accounts/user/+919840012345/change/")
    requests = [line["request"] for line in logged if "request" in line]
    assert requests == [
        line
        for path in (
            "GET /livez",
            "GET /u/…",
            "GET /api/followup/session/…",
            "GET /…/…",
            f"POST /api/followup/cancel/{follow_up}",
            "GET /admin/accounts/user/17/change/",
            "GET /admin/accounts/user/…/change/",
        )
        for line in (path, path)  # when it starts and when it ends
    ]
