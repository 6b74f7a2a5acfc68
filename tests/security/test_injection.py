"""What people type stays text: in templates, mails, pages, addresses and requests."""

from email.header import decode_header, make_header
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import get_resolver, reverse
from rest_framework import serializers
from rest_framework.test import APIClient

from credits.selectors import balance_of
from credits.services import grant
from followups.links import read_unsubscribe_token, unsubscribe_url
from followups.models import FollowUpSchedule, FollowUpTemplate, SandboxMessage
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import User
from sessions_app.models import Session
from tests.factories import PASSWORD, SessionFactory, UserFactory
from tests.followups.conftest import ScriptedChannel
from tests.security.matrix import ROUTES

pytestmark = pytest.mark.django_db

CODE = [
    "{{ settings.SECRET_KEY }}",
    "{{settings}}",
    "{% include '/etc/passwd' %}",
    "{% load static %}",
    "{0.__class__.__init__.__globals__}",
    "{{ user_name.__class__ }}",
    "{{user_name|safe}}",
    "%(SECRET_KEY)s",
    "${1337*1337}",
    "{{1337*1337}}",
    "#{1337*1337}",
    "<%= 1337*1337 %>",
]
SCRIPT = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


# --- Templates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CODE)
def test_code_in_a_name_is_printed_as_it_was_typed(
    code: str, rich_user: User, make_template: Any, run_queue: Any
) -> None:
    User.objects.filter(pk=rich_user.pk).update(name=code)
    rich_user.refresh_from_db()
    template = make_template(channel="email")
    schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=None)
    FollowUpSchedule.objects.update(due_at="2020-01-01T00:00:00Z")
    run_queue()
    message = SandboxMessage.objects.get()
    assert code in message.body
    for told in (message.body, message.subject, message.html):
        assert settings.SECRET_KEY not in told
        assert str(1337 * 1337) not in told
        assert "root:" not in told


@pytest.mark.parametrize("code", [text for text in CODE if "{{" in text])
def test_code_in_a_template_is_refused(code: str, admin: User) -> None:
    client = APIClient()
    client.force_authenticate(admin)
    body = {
        "name": "Bad",
        "template_type": "session_followup",
        "channel": "email",
        "subject": "Hello",
        "content": f"Hello {code}",
    }
    answer = client.post("/api/followup/admin/templates", body, format="json")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["content"])
    assert not FollowUpTemplate.objects.exists()


# --- Headers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\u2028", "\x0b", "\x85"])
def test_no_name_adds_a_header(
    end: str, rich_user: User, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    name = f"Lakshmi{end}Bcc: everybody@example.test{end}{end}<script>"
    User.objects.filter(pk=rich_user.pk).update(name=name)
    template = make_template(channel="email")
    schedule_follow_up(user=User.objects.get(pk=rich_user.pk), template_id=template.pk, scheduled_at=None)
    FollowUpSchedule.objects.update(due_at="2020-01-01T00:00:00Z")
    run_queue()
    (message,) = provider.taken
    from_channel = message.subject
    assert from_channel.splitlines() == [from_channel]
    decoded = str(make_header(decode_header(from_channel)))
    assert "Bcc: everybody" in decoded  # a part of the subject's one line, no header


# --- Pages -----------------------------------------------------------------------------------------------


def test_a_script_in_names_and_texts_is_shown_not_run(
    rich_user: User, make_template: Any, run_queue: Any, admin_site: Client, client: Client
) -> None:
    User.objects.filter(pk=rich_user.pk).update(name=SCRIPT)
    rich_user.refresh_from_db()
    session = SessionFactory(user=rich_user, completed=True, question=SCRIPT, guidance_summary=SCRIPT)
    template = make_template(
        name=SCRIPT[:100],
        description=SCRIPT,
        subject="Hello {{user_name}}",
        content=f"{SCRIPT} {{{{user_name}}}}",
    )
    follow_up = schedule_follow_up(
        user=rich_user, template_id=template.pk, session_id=session.pk, scheduled_at=None
    )
    client.force_login(rich_user)
    pages = [client.get("/followups/")]
    for name, row in (
        ("followups_followupschedule", follow_up),
        ("followups_followuptemplate", template),
        ("sessions_app_session", session),
        ("accounts_user", rich_user),
    ):
        pages.append(admin_site.get(reverse(f"admin:{name}_changelist")))
        pages.append(admin_site.get(reverse(f"admin:{name}_change", args=[row.pk])))
    for page in pages:
        text = page.content.decode()
        assert page.status_code == 200
        assert "<script>alert" not in text
        assert "<img src=x" not in text
    assert sum("&lt;script&gt;alert" in page.content.decode() for page in pages) >= 5


# --- Redirects -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/accounts/login", "/admin/login/"])
@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        " https://evil.example",
        "https://testserver@evil.example/",
        "http:///evil.example",
        "\thttps://evil.example",
    ],
)
def test_signing_in_leads_nowhere_else(path: str, target: str, client: Client, admin: User) -> None:
    sent = {"username": admin.email, "password": PASSWORD, "next": target}
    for answer in (client.post(path, sent), Client().post(f"{path}?next={target}", sent)):
        assert answer.status_code == 302
        place = answer["Location"]
        assert place.startswith("/")
        assert not place.startswith(("//", "/\\"))
    assert "evil" not in client.get(path, {"next": target}).headers.get("Location", "")


def test_no_route_switches_the_language_by_a_redirect() -> None:
    names = {str(name) for name in get_resolver().reverse_dict}
    assert "set_language" not in names


def test_a_link_s_token_is_for_one_purpose_and_one_person(client: Client, user: User) -> None:
    token = unsubscribe_url(user_id=user.pk, channel="email").rpartition("/")[2]
    body, _, signature = token.rpartition(".")
    other = UserFactory()
    for forged in (
        f"{other.pk}-email.{signature}",
        f"{user.pk}-sms.{signature}",
        f"{body}.",
        body,
        f"{token}x",
    ):
        assert read_unsubscribe_token(forged) is None
        assert client.post(f"/u/{forged}").status_code == 404
    assert client.get(f"/u/{token}?next=https://evil.example").status_code == 200
    assert "evil" not in client.post(f"/u/{token}", {"next": "https://evil.example"}).content.decode()
    assert user.email not in token


# --- Requests --------------------------------------------------------------------------------------------

# What nobody may set by sending it along, whatever the request is about.
FORBIDDEN: dict[str, Any] = {
    "id": "00000000-0000-4000-8000-000000000000",
    "pk": 1,
    "user": 1,
    "user_id": 1,
    "owner": 1,
    "account": 1,
    "status": "delivered",
    "state": "delivered",
    "delivery_status": "read",
    "credits": 1_000_000,
    "credits_charged": 0,
    "credits_refunded": 1_000_000,
    "credits_to_charge": 0,
    "price": 0,
    "amount": 1_000_000,
    "balance": 1_000_000,
    "provider": "twilio",
    "provider_message_id": "SM1",
    "template_version": 1,
    "is_staff": True,
    "is_superuser": True,
    "is_active": True,
    "role": "admin",
    "groups": [1],
    "user_permissions": [1],
    "password_hash": "x",
    "sent_at": "2026-01-01T00:00:00Z",
    "due_at": "2026-01-01T00:00:00Z",
    "tries": 0,
    "lease_until": "2026-01-01T00:00:00Z",
}
# Where one of these names is a field that may be set: the caller's own input of that meaning.
MEANT = {"TemplateRequest": {"is_active"}}


def write_serializers() -> list[type[serializers.Serializer[Any]]]:
    """Every serializer of the product that can take input."""
    found, waiting = [], list(serializers.Serializer.__subclasses__())
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        is_ours = kind.__module__.startswith(("jyotiflow.", "followups.", "credits.", "sessions_app."))
        if is_ours and any(
            word in kind.__name__ for word in ("Request", "Credentials", "Refresh", "Document")
        ):
            found.append(kind)
    return sorted(set(found), key=lambda kind: kind.__name__)


def test_no_request_has_a_field_for_what_is_ours() -> None:
    kinds = write_serializers()
    assert len(kinds) >= 7
    for kind in kinds:
        writable = {name for name, field in kind().fields.items() if not field.read_only}
        assert writable & set(FORBIDDEN) == MEANT.get(kind.__name__, set()), kind.__name__


def test_no_request_sets_what_is_ours(rich_user: User, make_template: Any) -> None:
    template = make_template()
    client = APIClient()
    client.force_authenticate(rich_user)
    before = User.objects.filter(pk=rich_user.pk).values().get()
    for name, value in FORBIDDEN.items():
        body = {"template_id": str(template.pk), name: value}
        answer = client.post("/api/followup/schedule", body, format="json")
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [name])
        device = {"token": "t", "platform": "ios", name: value}
        assert client.post("/api/followup/devices", device, format="json").status_code == 400
    assert not FollowUpSchedule.objects.exists()
    assert balance_of(rich_user) == 100
    assert User.objects.filter(pk=rich_user.pk).values().get() == before


def test_signing_in_raises_nobody(user: User) -> None:
    body = {"email": user.email, "password": PASSWORD, **FORBIDDEN}
    answer = APIClient().post("/api/auth/login", body, format="json")
    assert (answer.status_code, answer.json()["user"]["role"]) == (200, "user")
    user.refresh_from_db()
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert balance_of(user) == 0


def test_a_machine_sets_the_session_and_nothing_of_its_owner(user: User, admin: User) -> None:
    session = SessionFactory(user=user)
    client = APIClient()
    client.force_authenticate(admin)
    for name, value in FORBIDDEN.items():
        body = {"session_id": session.pk, "user_email": user.email, name: value}
        assert client.post("/api/followup/auto/session-complete", body, format="json").status_code in (
            401,
            403,
        )
    assert Session.objects.get().status == "open"


def bodies() -> dict[str, bytes]:
    return {
        "deep": b'{"custom_variables": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "deep objects": b'{"a": ' * 10_000 + b"1" + b"}" * 10_000,
        "large": b'{"a": "' + b"x" * 300_000 + b'"}',
        "huge number": b'{"a": ' + b"9" * 100_000 + b"}",
        "many fields": b"{" + b",".join(b'"f%d": 1' % number for number in range(20_000)) + b"}",
        "not utf-8": b"\xff\xfe{}",
        "nan": b'{"a": NaN}',
        "nul": b'{"a": "\\u0000"}',
        "surrogate": b'{"a": "\\ud800"}',
        "list": b"[]",
        "text": b'"x"',
    }


@pytest.mark.parametrize("name", sorted(bodies()))
def test_a_body_of_no_sense_is_a_400_at_every_address_that_reads_one(name: str, admin: User) -> None:
    """A superuser sends it, so no permission answers first; nothing is ever a 500."""
    grant(user=admin, amount=10, reason="test", key="k")
    client: Any = APIClient()
    client.force_authenticate(admin)
    for route, calls in ROUTES.items():
        if not route.startswith("api/followup/") or "<" in route or "receipts" in route or "auto" in route:
            continue
        for method in set(calls) & {"POST", "PUT", "DELETE"}:
            answer = client.generic(method, f"/{route}", bodies()[name], content_type="application/json")
            assert answer.status_code == 400, (method, route)
            assert answer.json()["success"] is False
            assert len(answer.content) < 1_000_000


def test_an_answer_tells_of_a_few_unknown_fields_only(user: User) -> None:
    client: Any = APIClient()
    client.force_authenticate(user)
    body = bodies()["many fields"]
    answer = client.generic("POST", "/api/followup/devices", body, content_type="application/json")
    assert len(answer.content) < 5_000
