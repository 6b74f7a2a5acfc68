"""JyotiFlow's React front end, replayed: the bytes a browser sends from another origin, and what it reads."""

import re
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from django.core.servers.basehttp import ThreadedWSGIServer
from django.utils.timezone import now
from pytest_django import Settings

from credits.services import grant
from followups.models import FollowUpSchedule, FollowUpTemplate
from jyotiflow.accounts.models import User
from jyotiflow.wsgi import application
from tests.contracts.browser import HOST, ORIGIN, Browser, Handler
from tests.factories import PASSWORD, SessionFactory, UserFactory
from tests.followups.conftest import make_template, run_queue

__all__ = ["make_template", "run_queue"]
pytestmark = pytest.mark.django_db(transaction=True)

API: Final = "/api/followup"


def names(text: str) -> set[str]:
    """The words of a text."""
    return set(text.split())


STATUSES: Final = {"pending", "sent", "delivered", "read", "failed", "cancelled"}
CHANNELS: Final = {"email", "sms", "whatsapp", "push", "in_app"}
ITEM: Final = names(
    "id session_id template_id template_name template_tamil_name channel status state delivery_status "
    "subject message scheduled_at sent_at delivered_at read_at failure_reason credits_charged "
    "credits_refunded created_at updated_at"
)
TEMPLATE: Final = names(
    "id name tamil_name description template_type channel subject tamil_subject content tamil_content "
    "variables credits_cost is_active version created_at updated_at"
)
INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@pytest.fixture
def port(settings: Settings) -> Iterator[int]:
    """The application on a socket, open to one other origin."""
    settings.ALLOWED_HOSTS = [HOST]
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    server = ThreadedWSGIServer(("127.0.0.1", 0), Handler)
    server.set_app(application)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def visit(port: int) -> Iterator[Any]:
    """Opens a tab signed in as somebody."""
    tabs: list[Browser] = []

    def sign_in(person: User | None) -> Browser:
        tab = Browser(port)
        tabs.append(tab)
        if person is not None:
            credentials = {"email": person.email, "password": PASSWORD}
            tab.token = tab.act("POST", "/api/auth/login", credentials)["access_token"]
        return tab

    yield sign_in
    for tab in tabs:
        tab.close()


@pytest.fixture
def lakshmi() -> User:
    """A reader with credits, whose language is Tamil."""
    person = UserFactory(name="லட்சுமி", preferred_language="ta", phone="+919840012345")
    grant(user=person, amount=100, reason="test", key="test")
    return person


def in_days(days: int) -> str:
    """What ``new Date(…).toISOString()`` gives."""
    moment = now() + timedelta(days=days)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def check_item(item: dict[str, Any], extra: frozenset[str] = frozenset()) -> None:
    assert item.keys() >= ITEM | extra
    assert item["status"] == item["delivery_status"]
    assert item["status"] in STATUSES
    assert item["channel"] in CHANNELS
    for name in ("credits_charged", "credits_refunded"):
        assert type(item[name]) is int
    for name in [name for name in ITEM if name.endswith("_at")]:
        assert item[name] is None or INSTANT.fullmatch(item[name]), name


# --- The reader's pages ----------------------------------------------------------------------------------


def test_signing_in_and_staying_signed_in(visit: Any, lakshmi: User) -> None:
    tab = visit(None)
    wrong = tab.is_refused(401, "POST", "/api/auth/login", {"email": lakshmi.email, "password": "no"})
    unknown = tab.is_refused(401, "POST", "/api/auth/login", {"email": "x@y.test", "password": "no"})
    assert wrong == unknown
    tab.is_refused(401, "GET", "/api/user/profile")
    body = tab.act("POST", "/api/auth/login", {"email": lakshmi.email, "password": PASSWORD})
    assert body["token_type"] == "bearer"
    assert body["user"] == {
        "id": lakshmi.pk,
        "email": lakshmi.email,
        "name": "லட்சுமி",
        "role": "user",
        "preferred_language": "ta",
        "credits": 100,
    }
    renewed = tab.act("POST", "/api/auth/refresh", {"refresh_token": body["refresh_token"]})
    assert renewed.keys() >= {"access_token", "refresh_token"}
    tab.is_refused(401, "POST", "/api/auth/refresh", {"refresh_token": body["refresh_token"]})
    tab.token = renewed["access_token"]
    profile = tab.read("/api/user/profile")
    assert profile.keys() >= {"id", "email", "name", "role", "preferred_language", "timezone", "credits"}


def test_the_profile_page(visit: Any, lakshmi: User) -> None:
    session = SessionFactory(user=lakshmi, completed=True)
    tab = visit(lakshmi)
    assert tab.read("/api/user/credits")["data"] == {"credits": 100}
    history = tab.read("/api/user/credits/history")
    assert (history["count"], history["data"][0]["amount"]) == (1, 100)
    sessions = tab.read("/api/user/sessions")["data"]
    assert sessions[0].keys() >= names(
        "id session_id service_type question guidance_summary status created_at completed_at follow_up_sent "
        "follow_up_count"
    )
    assert sessions[0]["id"] == sessions[0]["session_id"] == session.pk
    document = {
        "preferred_language": "ta",
        "timezone": "Asia/Kolkata",
        "phone": "+919840012345",
        "channels": {"email": True, "sms": False, "whatsapp": True, "push": True, "in_app": True},
        "quiet_hours": {"start": "22:00", "end": "07:00"},
        "paused_until": None,
    }
    tab.act("PUT", f"{API}/preferences", document)
    assert tab.read(f"{API}/preferences").items() >= document.items()
    device = {"token": "fcm-token:APA91b", "platform": "web"}
    tab.act("POST", f"{API}/devices", device, status=201)
    tab.act("DELETE", f"{API}/devices", device)


def test_a_follow_up_from_quote_to_refund(visit: Any, lakshmi: User, make_template: Any) -> None:
    template = make_template(tamil_name="நலம்")
    session = SessionFactory(user=lakshmi, completed=True)
    tab = visit(lakshmi)
    order = {
        "template_id": str(template.pk),
        "channel": "in_app",
        "session_id": session.pk,
        "scheduled_at": in_days(2),
        "user_email": lakshmi.email,
        "custom_variables": {},
    }
    quote = tab.fetch("POST", f"{API}/quote", order).body["data"]
    assert (quote["credits_cost"], quote["refusals"]) == (5, [])
    booked = tab.act("POST", f"{API}/schedule", order, status=201, Idempotency_Key="c0ffee")
    assert booked.keys() >= {"followup_id", "credits_charged", "scheduled_at", "status"}
    assert (booked["credits_charged"], booked["status"]) == (5, "pending")
    assert tab.act("POST", f"{API}/schedule", order, status=201, Idempotency_Key="c0ffee") == booked
    tab.is_refused(400, "POST", f"{API}/schedule", {**order, "credits_to_charge": 0})
    tab.is_refused(403, "POST", f"{API}/schedule", {**order, "user_email": "somebody@else.test"})
    for path in (f"{API}/my-followups?status=pending&session_id={session.pk}", f"{API}/session/{session.pk}"):
        listed = tab.read(path)
        assert listed["count"] == 1
        check_item(listed["data"][0])
        assert listed["data"][0]["message"] == "அன்புள்ள லட்சுமி, நலமா?"
        assert listed["data"][0]["template_tamil_name"] == "நலம்"
    moved = tab.act("POST", f"{API}/reschedule/{booked['followup_id']}", {"scheduled_at": in_days(4)})
    assert datetime.fromisoformat(moved["scheduled_at"]) > now() + timedelta(days=3)
    assert tab.act("POST", f"{API}/cancel/{booked['followup_id']}")["credits_refunded"] == 5
    tab.is_refused(409, "POST", f"{API}/cancel/{booked['followup_id']}")
    tab.is_refused(404, "POST", f"{API}/cancel/00000000-0000-4000-8000-000000000000")
    assert tab.read("/api/user/credits")["data"]["credits"] == 100


@pytest.mark.parametrize("channel", ["email", "sms", "whatsapp"])
def test_sending_now_from_the_guidance_page(
    channel: str, visit: Any, lakshmi: User, make_template: Any, run_queue: Any
) -> None:
    make_template(channel=channel)
    session = SessionFactory(user=lakshmi, completed=True)
    tab = visit(lakshmi)
    sent = tab.act("POST", f"{API}/{channel}/{session.pk}")
    assert sent.keys() >= {"followup_id", "credits_charged", "status"}
    assert run_queue() == 1
    assert tab.read(f"{API}/my-followups")["data"][0]["status"] == "sent"
    tab.is_refused(404, "POST", f"{API}/{channel}/{SessionFactory().pk}")


def test_reading_in_the_inbox(visit: Any, lakshmi: User, make_template: Any, run_queue: Any) -> None:
    tab = visit(lakshmi)
    order = {"template_id": str(make_template().pk), "scheduled_at": in_days(0)}
    booked = tab.act("POST", f"{API}/schedule", order, status=201)
    run_queue()
    tab.act("POST", f"{API}/read/{booked['followup_id']}")
    assert tab.read(f"{API}/my-followups?status=read")["count"] == 1


def test_without_credits_the_page_can_say_so(visit: Any, make_template: Any) -> None:
    tab = visit(UserFactory())
    refused = tab.is_refused(402, "POST", f"{API}/schedule", {"template_id": str(make_template().pk)})
    assert refused["code"] == "insufficient_credits"


# --- The admin's pages -----------------------------------------------------------------------------------


def test_the_templates_tab(visit: Any) -> None:
    tab = visit(UserFactory(admin=True))
    form = {
        "name": "நலம் விசாரிப்பு",
        "tamil_name": "",
        "description": "",
        "template_type": "session_followup",
        "channel": "email",
        "subject": "How are you, {{user_name}}?",
        "tamil_subject": "",
        "content": "Dear {{user_name}}, {{guidance_summary}}",
        "tamil_content": "அன்புள்ள {{user_name}}, {{guidance_summary}}",
        "credits_cost": 5,
        "is_active": True,
    }
    made = tab.act("POST", f"{API}/admin/templates", form, status=201)
    assert made.keys() >= {"template_id", "warnings"}
    (shown,) = tab.read(f"{API}/admin/templates")["data"]
    assert shown.keys() >= TEMPLATE
    assert shown["variables"] == ["user_name", "guidance_summary"]
    assert type(shown["credits_cost"]) is int
    path = f"{API}/admin/templates/{made['template_id']}"
    saved = tab.act("PUT", path, {**shown, "subject": "How do you fare, {{user_name}}?"})
    assert saved["version"] == 2
    preview = tab.fetch("POST", f"{path}/preview", {"language": "ta"}).body["data"]
    assert preview.keys() >= {"subject", "body", "segments", "warnings"}
    tab.act("POST", f"{path}/test", {"to": "editor@example.test"})
    tab.act("DELETE", path)
    assert tab.read(f"{API}/admin/templates")["count"] == 0


def test_the_schedules_tab(visit: Any, lakshmi: User, make_template: Any) -> None:
    template: FollowUpTemplate = make_template()
    reader, tab = visit(lakshmi), visit(UserFactory(admin=True))
    order = {"template_id": str(template.pk), "scheduled_at": in_days(2)}
    booked = reader.act("POST", f"{API}/schedule", order, status=201)
    nothing = "status=&channel=&template=&user_email=&from=&to=&limit=50&offset=0"
    everything = (
        f"status=pending&channel=in_app&template={template.pk}&user_email={lakshmi.email}"
        f"&from={in_days(1)}&to={in_days(3)}&limit=200&offset=0"
    )
    for query in (nothing, everything):
        listed = tab.read(f"{API}/admin/schedules?{query}")
        assert listed["count"] == 1
        check_item(listed["data"][0], frozenset({"user_email", "user_name"}))
    late = f"from={in_days(3)}"
    for query in ("status=sent", "channel=sms", "template=Other", "user_email=a@b.test", late):
        assert tab.read(f"{API}/admin/schedules?{query}")["count"] == 0, query
    path = f"{API}/admin/schedules/{booked['followup_id']}"
    tab.act("POST", f"{path}/cancel")
    tab.is_refused(409, "POST", f"{path}/retry")
    FollowUpSchedule.objects.update(
        status="failed", cancelled_at=None, failed_at=now(), failure_reason="Refused."
    )
    tab.act("POST", f"{path}/retry")
    reader.is_refused(403, "GET", f"{API}/admin/schedules")


def test_the_figures_tab(visit: Any, lakshmi: User, make_template: Any, run_queue: Any) -> None:
    make_template(channel="email")
    reader, tab = visit(lakshmi), visit(UserFactory(admin=True))
    reader.act("POST", f"{API}/email/{SessionFactory(user=lakshmi, completed=True).pk}")
    run_queue()
    today = now().date()
    for query in (
        "",
        "?start_date=&end_date=&channel=&template=",
        f"?start_date={today}",
        f"?start_date={today}&end_date={today}&channel=email",
    ):
        data = tab.read(f"{API}/admin/analytics{query}")["data"]
        assert data.keys() >= names(
            "total_sent total_delivered total_read total_failed delivery_rate read_rate "
            "total_credits_charged total_credits_refunded total_revenue top_templates "
            "channel_performance daily engagement"
        )
        for name in ("total_sent", "delivery_rate", "read_rate", "total_revenue"):
            assert type(data[name]) in (int, float), name
    tab.is_refused(400, "GET", f"{API}/admin/analytics?start_date=yesterday")


def test_the_settings_tab(visit: Any) -> None:
    tab = visit(UserFactory(admin=True))
    form = tab.read(f"{API}/admin/settings")["data"]
    assert type(form["default_credits_cost"]) is int
    assert type(form["auto_followup_enabled"]) is bool
    tab.act("PUT", f"{API}/admin/settings", {**form, "default_credits_cost": 7})
    assert tab.read(f"{API}/admin/settings")["data"] == {**form, "default_credits_cost": 7}
    tab.is_refused(400, "PUT", f"{API}/admin/settings", {**form, "default_credits_cost": None})
    assert tab.read(f"{API}/admin/settings")["data"]["default_credits_cost"] == 7


def test_the_notifications_tab(visit: Any) -> None:
    tab = visit(UserFactory(admin=True))
    words = {"channel": "email", "to": "a@example.test", "subject": "வணக்கம்", "message": "ஒரு செய்தி"}
    tab.act("POST", "/api/notify/followup", words)


def test_the_health_tile(visit: Any) -> None:
    told = visit(None).exchange("GET", f"{API}/health/followup")
    assert told.body.keys() >= {"status", "message", "checks"}
    assert told.body["status"] in ("healthy", "unhealthy")


# --- From another origin ---------------------------------------------------------------------------------

CALLS: Final = [
    ("POST", "/api/auth/login"),
    ("POST", f"{API}/schedule"),
    ("GET", f"{API}/my-followups"),
    ("PUT", f"{API}/preferences"),
    ("DELETE", f"{API}/devices"),
    ("PUT", f"{API}/admin/settings"),
    ("DELETE", f"{API}/admin/templates/00000000-0000-4000-8000-000000000000"),
    ("POST", "/api/notify/followup"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_the_browser_is_told_that_it_may_ask(method: str, path: str, visit: Any) -> None:
    headers = ("authorization", "content-type", "idempotency-key")
    told = visit(None).preflight(method, path, *headers).headers
    assert told["access-control-allow-origin"] == ORIGIN
    assert told["access-control-allow-credentials"] == "true"
    assert method in told["access-control-allow-methods"].replace(" ", "").split(",")
    assert set(headers) <= set(told["access-control-allow-headers"].replace(" ", "").split(","))


def test_another_origin_may_not(visit: Any, settings: Settings) -> None:
    tab = visit(None)
    settings.CORS_ALLOWED_ORIGINS = ["https://elsewhere.test"]
    told = tab.preflight("POST", f"{API}/schedule", "authorization").headers
    assert "access-control-allow-origin" not in told
