"""The permission matrix: every route of the URLconf, every method, every kind of caller."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.timezone import now
from rest_framework.test import APIClient

from credits.services import grant
from followups.links import unsubscribe_url
from followups.models import FollowUpSchedule, FollowUpTemplate
from followups.services.consent import register_device
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import MachineKey, User
from jyotiflow.accounts.services import create_machine_key, ensure_staff_groups
from jyotiflow.accounts.tokens import issue_pair
from jyotiflow.health import PARTS, record_pulse
from sessions_app.models import Session
from tests.factories import PASSWORD, SessionFactory, UserFactory
from tests.security.matrix import (
    ACTORS,
    ADMIN_ROUTES,
    GROUPS,
    IN,
    LOGIN,
    METHODS,
    PAGES,
    ROUTES,
    STAFF,
    TABLES,
    WITHOUT_CSRF_TOKEN,
    Call,
    Outcome,
    table_outcomes,
)

pytestmark = pytest.mark.django_db

ONE_DAY = timedelta(days=1)
TABLE_ROUTE = re.compile(r"admin/(?P<app>\w+)/(?P<model>\w+)/(?P<page>.*)")
REFUSED = (LOGIN, 401, 403, 404, 405)
WRITES = ("INSERT", "UPDATE", "DELETE")
# A key's last use is noted whatever it is used for; a device is looked for among one's own by deleting it.
NOTED = ('UPDATE "accounts_machinekey"', 'DELETE FROM "follow_up_devices" WHERE ("follow_up_devices"."token"')


# --- What there is ---------------------------------------------------------------------------------------


def walk(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from walk(pattern, route)


def all_routes() -> list[str]:
    return list(dict.fromkeys(walk(get_resolver())))


def admin_routes() -> list[str]:
    return [route for route in all_routes() if route.startswith("admin/")]


def label_and_page(route: str) -> tuple[str, str] | None:
    """The table and the page of an admin route that every table has."""
    parts = TABLE_ROUTE.fullmatch(route)
    label = f"{parts['app']}.{parts['model']}" if parts else ""
    is_table = label in {model._meta.label_lower for model in site._registry}
    return (label, parts["page"]) if parts and is_table and parts["page"] in PAGES else None


def admin_entry(route: str) -> str:
    """The admin route's name in the matrix; of the pattern that lists all apps the beginning."""
    return next(
        (name for name in ADMIN_ROUTES if name.endswith("app_label>") and route.startswith(name)), route
    )


def test_every_route_has_an_entry() -> None:
    missing = [
        route
        for route in all_routes()
        if route not in ROUTES
        and admin_entry(route) not in ADMIN_ROUTES
        and (label_and_page(route) or ("", ""))[0] not in TABLES
    ]
    assert missing == [], "say in tests/security/matrix.py who may call these"


def test_no_entry_is_about_a_route_that_is_gone() -> None:
    routes = all_routes()
    assert set(ROUTES) <= set(routes)
    assert set(ADMIN_ROUTES) <= {admin_entry(route) for route in routes}
    assert set(TABLES) == {model._meta.label_lower for model in site._registry}
    assert set(WITHOUT_CSRF_TOKEN) <= set(ROUTES)


def test_a_new_route_is_missed_by_name() -> None:
    assert label_and_page("admin/followups/attempt/<path:object_id>/resend/") is None
    assert "admin/followups/attempt/<path:object_id>/resend/" not in ADMIN_ROUTES
    assert "api/followup/new" not in ROUTES


# --- The world -------------------------------------------------------------------------------------------


@dataclass
class World:
    """Somebody's things, and everybody who may try to reach them."""

    owner: User
    session: Session
    follow_up: FollowUpSchedule
    sent: FollowUpSchedule
    free: FollowUpTemplate
    token: str
    refresh_token: str
    secret: str
    people: dict[str, User]
    device_token: str = "device-of-the-owner"
    password: str = PASSWORD
    in_five_days: str = field(default_factory=lambda: (now() + 5 * ONE_DAY).isoformat())

    def path(self, route: str) -> str:
        """The route's address, about the owner's things."""
        follow_up = self.sent if "/read/" in route or "/inbox/" in route else self.follow_up
        values = {
            "text_id:session_id": self.session.pk,
            "uuid:follow_up_id": follow_up.pk,
            "uuid:template_id": self.free.pk,
            "slug:esp": "postmark",
            "slug:language": "ta",
            "str:token": self.token,
        }
        if route.startswith("^api"):
            return "/api/nothing"
        return "/" + re.sub(r"<(.*?)>", lambda found: str(values[found[1]]), route)

    def order(self) -> dict[str, str]:
        """The free template, as the page that quotes it sends it."""
        return {"template": str(self.free.pk), "at": "", "price": "0", "key": str(self.session.pk)}

    def admin_path(self, route: str) -> str:
        """The admin route's address, about the first row of its table."""
        parts = TABLE_ROUTE.fullmatch(route)
        if "app_label>" in route:
            return "/admin/followups/"
        if route == "admin/(?P<url>.*)$":
            return "/admin/nothing"
        if route.startswith("admin/r/"):
            return "/admin/r/1/1/"
        if parts is None or "<" not in route:
            return f"/{route}"
        model: Any = next(
            m for m in site._registry if m._meta.label_lower == f"{parts['app']}.{parts['model']}"
        )
        row = self.owner if model is User else model._default_manager.first()
        assert row is not None, model
        return "/" + re.sub(r"<.*?>", str(row.pk), route)

    def browser(self, actor: str) -> Client:
        client = Client(headers={"X-API-Key": self.secret} if actor == "machine" else None)
        if actor in self.people:
            client.force_login(self.people[actor])
        return client

    def api(self, actor: str) -> Any:
        client = APIClient()
        if actor == "machine":
            client.credentials(HTTP_X_API_KEY=self.secret)
        elif actor in self.people:
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_pair(self.people[actor]).access_token}")
        return client


@pytest.fixture
def world(make_rows: Any, make_template: Any, run_queue: Any) -> World:
    ensure_staff_groups()
    make_rows(1)
    owner = UserFactory(phone="+919840055555")
    grant(user=owner, amount=50, reason="test", key="matrix")
    free = make_template(name="Free", credits_cost=0)
    for channel in ("email", "sms", "whatsapp"):
        sid = {"whatsapp_content_sid": "HX" + "0" * 32, "tamil_whatsapp_content_sid": "HX" + "1" * 32}
        make_template(name=channel, channel=channel, credits_cost=0, **(sid if channel == "whatsapp" else {}))
    sent = schedule_follow_up(user=owner, template_id=free.pk, scheduled_at=now())
    run_queue()
    sent.refresh_from_db()
    later = make_template(name="Later", channel="email")
    session = SessionFactory(user=owner, completed=True)
    follow_up = schedule_follow_up(user=owner, template_id=later.pk, scheduled_at=now() + 9 * ONE_DAY)
    register_device(user=owner, token=World.device_token, platform="ios")
    people = {"owner": owner, "other": UserFactory(), "staff": UserFactory(staff=True)}
    people["superuser"] = UserFactory(admin=True)
    for name in GROUPS:
        people[name] = UserFactory(staff=True)
        people[name].groups.add(Group.objects.get(name=name))
    return World(
        owner=owner,
        session=session,
        follow_up=follow_up,
        sent=sent,
        free=free,
        token=unsubscribe_url(user_id=owner.pk, channel="email").rpartition("/")[2],
        refresh_token=issue_pair(owner).refresh_token,
        secret=create_machine_key(name="matrix", scope=MachineKey.Scope.SESSIONS_COMPLETE)[1],
        people=people,
    )


# --- Asking ----------------------------------------------------------------------------------------------


def ask(client: Any, method: str, path: str, body: Any, **how: Any) -> tuple[Any, list[str]]:
    """One call, undone afterwards; the answer, and what it wrote."""
    connection.queries_log.clear()
    with transaction.atomic(), CaptureQueriesContext(connection) as captured:
        answer = getattr(client, method.lower())(path, body, **how)
        transaction.set_rollback(True)
    statements = [query["sql"] for query in captured]
    return answer, [sql for sql in statements if sql.startswith(WRITES) and not sql.startswith(NOTED)]


def outcome_of(answer: Any) -> Outcome:
    place = answer.headers.get("Location", "")
    is_sign_in = place.startswith(("/admin/login/?next=", "/accounts/login?next="))
    return LOGIN if answer.status_code == 302 and is_sign_in else int(answer.status_code)


def method_of(calls: Any, method: str) -> Call | None:
    call: Call | None = calls.get("GET" if method == "HEAD" else method)
    return call


def test_outside_the_admin_site_everybody_gets_what_the_matrix_says(world: World) -> None:
    wrong, asked = [], 0
    for actor in ACTORS:
        api, browser = world.api(actor), world.browser(actor)
        cache.clear()  # nobody is limited by another's tries
        for part in PARTS:
            record_pulse(part)
        for route, calls in ROUTES.items():
            is_api = route.startswith("api/")
            for method in METHODS:
                call = method_of(calls, method)
                is_reading = method in ("GET", "HEAD")
                body = call.body(world) if call and not is_reading else {}
                how = {"format": "json"} if is_api and not is_reading else {}
                answer, written = ask(api if is_api else browser, method, world.path(route), body, **how)
                outcome = outcome_of(answer)
                # What nobody listed is open to nobody, by whatever word.
                is_right = outcome == call.outcomes[actor] if call else outcome in (LOGIN, 401, 403, 405)
                is_refused = outcome in REFUSED or call is None or actor in call.harmless
                if not is_right or (is_refused and written):
                    expected = call.outcomes[actor] if call else "a refusal"
                    wrong.append(f"{actor}: {method} {route} is {outcome}, not {expected}; {written[:1]}")
                asked += 1
            if route == "accounts/logout":
                browser = world.browser(actor)
    assert not wrong, "\n".join(wrong)
    assert asked == len(ACTORS) * len(ROUTES) * len(METHODS)


def test_in_the_admin_site_everybody_gets_what_the_matrix_says(world: World) -> None:
    wrong, asked = [], 0
    for actor in ACTORS:
        client = world.browser(actor)
        for route in admin_routes():
            table = label_and_page(route)
            call = None if table else ADMIN_ROUTES[admin_entry(route)]
            for method in ("GET", "POST"):
                outcomes = call.outcomes if call else table_outcomes(*(table or ("", "")), method)
                path = world.admin_path(route) + (f"?{call.query}" if call else "")
                sent = {"post": "yes", "note": "said so"} if method == "POST" else {}
                answer, written = ask(client, method, path, sent)
                outcome = outcome_of(answer)
                outcome = IN if outcome in (200, 302) else outcome
                if outcome != outcomes[actor] and not (call and outcome in call.or_else):
                    wrong.append(f"{actor}: {method} {route} is {outcome}, not {outcomes[actor]}")
                if outcome in REFUSED and written:
                    wrong.append(f"{actor}: {method} {route} is {outcome} and writes {written[:1]}")
                asked += 1
            if route == "admin/logout/":
                client = world.browser(actor)
    assert not wrong, "\n".join(wrong)
    assert asked == len(ACTORS) * len(admin_routes()) * 2


def test_every_table_offers_the_actions_of_the_matrix(world: World) -> None:
    for actor in STAFF:
        request = RequestFactory().get("/")
        request.user = User.objects.get(pk=world.people[actor].pk)
        offered = {
            model._meta.label_lower: sorted(options.get_actions(request))
            for model, options in site._registry.items()
            if options.has_view_permission(request)
        }
        expected = {
            label: sorted(
                name
                for name, groups in (doors.actions or {}).items()
                if actor in groups or actor == "superuser"
            )
            for label, doors in TABLES.items()
            if actor == "superuser" or actor in (doors.view or ())
        }
        assert offered == expected, actor


def test_no_other_method_does_anything_in_the_admin_site(world: World) -> None:
    client = world.browser("superuser")
    for route in admin_routes():
        for method in ("PUT", "PATCH", "DELETE"):
            _, written = ask(client, method, world.admin_path(route), {})
            assert written == [], (method, route)


def test_nothing_changes_by_a_cookie_without_its_csrf_token(world: World) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(world.people["superuser"])
    let_through = []
    for route in [*ROUTES, *admin_routes()]:
        is_admin = route.startswith("admin/")
        path = world.admin_path(route) if is_admin else world.path(route)
        for method in ("POST", "PUT", "DELETE"):
            if not is_admin and method not in ROUTES[route]:
                continue
            answer, written = ask(browser, method, path, {}, content_type="application/json")
            if route in WITHOUT_CSRF_TOKEN:
                continue
            if answer.status_code != 403 or written:
                let_through.append((method, route, answer.status_code))
    assert let_through == []


def test_the_size_of_the_matrix() -> None:
    assert len(all_routes()) == len(ROUTES) + len(admin_routes())
    cells = (len(ROUTES) * len(METHODS) + len(admin_routes()) * 2) * len(ACTORS)
    assert cells > 7_500
