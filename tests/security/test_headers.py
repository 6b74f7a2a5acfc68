"""What every answer says to a browser, and that no page needs what the policy forbids."""

from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import settings
from django.contrib.admin import site
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from followups.links import unsubscribe_url
from followups.models import FollowUpSchedule, SandboxMessage
from jyotiflow.accounts.models import User
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-src": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
MAIL_POLICY = {
    "default-src": "'none'",
    "script-src": "'none'",
    "style-src": "'unsafe-inline'",
    "frame-ancestors": "'self'",
    "sandbox": "",
}


def policy_of(answer: Any) -> dict[str, str]:
    directives = (part.strip().partition(" ") for part in answer["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in directives}


def link_of(user: User) -> str:
    return unsubscribe_url(user_id=user.pk, channel="email").removeprefix(settings.PUBLIC_BASE_URL)


def pages(user: User) -> list[str]:
    """Every page that is not the admin site's, and one of each kind of other answer."""
    return [
        "/accounts/login",
        *(f"/followups/{path}" for path in ("", "inbox", "credits", "preferences", "data", "data/erase")),
        link_of(user),
        "/u/forged",
        "/api/docs",
        "/api/schema",
        "/api/user/profile",
        "/api/nothing",
        "/nothing",
        "/nothing\x00",
        "/admin/login/",
        "/admin/jsi18n/",
        "/livez",
    ]


def test_every_answer_carries_the_policy_and_the_other_headers(client: Client, user: User) -> None:
    client.force_login(user)
    for path in pages(user):
        answer = client.get(path)
        assert policy_of(answer) == POLICY, path
        assert answer["X-Content-Type-Options"] == "nosniff", path
        assert answer["Referrer-Policy"] == "same-origin", path
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin", path
        assert answer["X-Frame-Options"] == "DENY", path
        assert "camera=()" in answer["Permissions-Policy"], path


def test_no_cache_keeps_what_is_about_a_person(client: Client, user: User) -> None:
    client.force_login(user)
    for path in pages(user):
        if path != "/admin/jsi18n/":  # translations, the same for everybody
            assert "no-store" in client.get(path)["Cache-Control"], path


def test_a_refused_request_carries_them_too(client: Client, user: User) -> None:
    for answer in (
        client.post("/api/auth/login", {"email": user.email, "password": "x"}, "application/json"),
        client.post("/api/followup/receipts/twilio"),
        client.get("/followups/"),
        client.put("/followups/"),
        client.get("/", headers={"Host": "lying.example"}),
    ):
        assert answer.status_code >= 300
        assert policy_of(answer) == POLICY
        assert answer["Cache-Control"] == "no-store" or "no-store" in answer["Cache-Control"]
        assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_mail_in_the_outbox_may_style_itself_and_nothing_else(
    admin_site: Client, sent: FollowUpSchedule
) -> None:
    message = SandboxMessage.objects.get()
    answer = admin_site.get(reverse("admin:followups_sandboxmessage_html", args=[message.pk]))
    assert policy_of(answer) == MAIL_POLICY
    assert answer["X-Frame-Options"] == "SAMEORIGIN"


SCHEMES = ("javascript:", "data:")
LOADING = ("script", "link", "img", "iframe", "base", "object", "embed")


class Inline(HTMLParser):
    """Collects what a strict policy refuses to run, apply or load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        kind = given.get("type", "")
        if tag == "style" or (tag == "script" and "src" not in given and "json" not in kind):
            self.found.append(f"<{tag}>")
        for name, value in given.items():
            is_code = name == "style" or name.startswith("on") or value.strip().lower().startswith(SCHEMES)
            if is_code or (tag in LOADING and "//" in value):
                self.found.append(f"{tag} {name}={value}")


def inline_of(answer: Any) -> list[str]:
    parser = Inline()
    parser.feed(answer.content.decode())
    return parser.found


def test_the_parser_sees_what_it_is_for() -> None:
    parser = Inline()
    parser.feed(
        '<style>a{}</style><p style="x" onclick="y">z</p><script>1</script><script src="//cdn/x.js"></script>'
        '<a href="javascript:1">a</a><script type="application/json">{}</script><script src="/a.js"></script>'
    )
    assert len(parser.found) == 6


def test_no_page_of_ours_needs_anything_inline(client: Client, user: User, sent: FollowUpSchedule) -> None:
    anonymous, reader = Client(), Client()
    reader.force_login(sent.user)
    for visitor in (anonymous, reader):
        for path in pages(user):
            answer = visitor.get(path)
            if answer["Content-Type"].startswith("text/html"):
                assert inline_of(answer) == [], path
    refused = anonymous.post("/accounts/login", {"username": user.email, "password": "wrong"})
    assert inline_of(refused) == []


def test_no_page_of_the_admin_site_needs_anything_inline(
    admin_site: Client, make_rows: Any, admin: User
) -> None:
    make_rows(1)
    seen = 0
    for model in sorted(site._registry, key=lambda each: each._meta.label):
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        row: Any = model._default_manager.first()
        paths = [reverse(f"{base}_changelist")]
        paths += [reverse(f"{base}_{name}", args=[row.pk]) for name in ("change", "history", "delete")]
        paths += [reverse(f"{base}_add")]
        for path in paths:
            answer = admin_site.get(path)
            assert policy_of(answer) == POLICY, path
            assert inline_of(answer) == [], path
            seen += answer.status_code == 200
    for path in (
        "/admin/",
        "/admin/followups/",
        "/admin/password_change/",
        "/admin/credits/creditaccount/grant/",
    ):
        assert inline_of(admin_site.get(path)) == [], path
    assert inline_of(admin_site.get(reverse("admin:auth_user_password_change", args=[admin.pk]))) == []
    assert seen > 60


def test_cookies_are_closed_to_scripts_and_to_other_sites(client: Client, user: User) -> None:
    signed_in = client.post("/accounts/login", {"username": user.email, "password": PASSWORD})
    cookie = signed_in.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert client.cookies["csrftoken"]["samesite"] == "Lax"


def test_over_https_browsers_are_told_to_stay_there(client: Client, settings: Settings) -> None:
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True
    answer = client.get("/accounts/login", secure=True)
    assert answer["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
