"""`python -m benchmarks.pages TIMES`: what every list and dashboard takes, and how many queries; as JSON.

Asked in this process, without a network: what is measured is the server's own time, the database's included.
The one who asks is another each time where a page is a reader's own, so that no cache knows the rows.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

import django

django.setup()  # before anything that has models

from django.conf import settings  # noqa: E402
from django.contrib import admin  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.urls import reverse  # noqa: E402
from django.utils.timezone import now  # noqa: E402
from rest_framework.test import APIClient  # noqa: E402

from credits.models import CreditAccount, CreditEntry  # noqa: E402
from followups.models import (  # noqa: E402
    Attempt,
    FollowUpSchedule,
    FollowUpTemplate,
    InAppMessage,
    ProviderEvent,
    SessionPlan,
)
from jyotiflow.accounts.models import User  # noqa: E402
from jyotiflow.admin_site import PAGES  # noqa: E402
from sessions_app.models import Session  # noqa: E402

Ask = Callable[[], Callable[[], Any]]  # made ready, then asked: only the asking is timed
SEED: Final = 20_26
GROWING: Final = (
    Attempt,
    CreditAccount,
    CreditEntry,
    FollowUpSchedule,
    InAppMessage,
    ProviderEvent,
    Session,
    SessionPlan,
    User,
)


def main(times: int) -> dict[str, dict[str, Any]]:
    """Each page ``times`` times, in turn; the milliseconds of each and the most queries one took."""
    # Files are named as they lie in the tree; nothing has collected them.
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    pages = dict(_pages())
    found: dict[str, dict[str, Any]] = {name: {"ms": [], "queries": 0} for name in pages}
    for turn in range(-1, times):  # the first warms up: plans, content types, templates
        for name, ask in pages.items():
            go = ask()
            with CaptureQueriesContext(connection) as captured:
                started = time.perf_counter()
                answer = go()
                spent = (time.perf_counter() - started) * 1000
            if answer.status_code != 200:
                raise RuntimeError(f"{name} answered {answer.status_code}")
            if turn >= 0:
                found[name]["ms"].append(spent)
                found[name]["queries"] = max(found[name]["queries"], len(captured))
    return found


def _pages() -> Iterator[tuple[str, Ask]]:
    yield from _readers_pages()
    yield from _staff_pages()
    yield from _admin_pages()


def _readers_pages() -> Iterator[tuple[str, Ask]]:
    people = User.objects.order_by("-pk").values_list("pk", flat=True)[0]
    chance = random.Random(SEED)

    def somebody() -> User:
        return User.objects.get(pk=chance.randrange(2, people))

    def faithful() -> User:
        return User.objects.get(pk=1)

    def api(path: str, who: Callable[[], User] = somebody) -> Ask:
        def prepare() -> Callable[[], Any]:
            client, user = APIClient(), who()
            client.force_authenticate(user)
            session = Session.objects.filter(user=user).order_by("-created_at").first()
            address = path.format(session=session.pk if session else "none")
            return lambda: client.get(address)

        return prepare

    def page(who: Callable[[], User]) -> Ask:
        def prepare() -> Callable[[], Any]:
            client = Client()
            client.force_login(who())
            return lambda: client.get("/followups/")

        return prepare

    yield "my_followups", api("/api/followup/my-followups")
    yield "my_followups_of_10000", api("/api/followup/my-followups", faithful)
    yield "my_followups_of_10000_deep", api("/api/followup/my-followups?offset=8000", faithful)
    yield "my_followups_of_10000_failed", api("/api/followup/my-followups?status=failed", faithful)
    yield "session_followups", api("/api/followup/session/{session}", faithful)
    yield "credits_history", api("/api/user/credits/history")
    yield "credits_history_of_10000", api("/api/user/credits/history", faithful)
    yield "sessions", api("/api/user/sessions", faithful)
    yield "center", page(somebody)
    yield "center_of_10000", page(faithful)


def _staff_pages() -> Iterator[tuple[str, Ask]]:
    client = APIClient()
    client.force_authenticate(_boss())
    path = "/api/followup/admin/schedules"
    deep = FollowUpSchedule.objects.order_by("-scheduled_at", "-id").values_list("pk", flat=True)
    middle = deep[int(FollowUpSchedule.objects.count() * 0.9)]
    template = FollowUpTemplate.objects.filter(name="History 3").latest("created_at")
    month = (now() - timedelta(days=200)).isoformat().replace("+", "%2B")
    day = (now() - timedelta(days=199)).isoformat().replace("+", "%2B")
    queries = {
        "all": "",
        "pending": "status=pending",
        "delivered": "status=delivered",
        "failed": "status=failed",
        "by_channel": "channel=push",
        "by_channel_failed": "channel=push&status=failed",
        "by_template": f"template={template.pk}",
        "by_template_name": "template=History 3",
        "by_reader": "user_email=READER4321@example.test",
        "by_day": f"from={month}&to={day}",
        "offset": "offset=10000",
        "after": f"after={middle}",
    }
    for name, query in queries.items():
        yield f"schedules_{name}", _ready(client, f"{path}?{query}")
    path, day = "/api/followup/admin/analytics", f"{now() - timedelta(days=30):%Y-%m-%d}"
    yield "analytics", _ready(client, path)
    yield "analytics_30_days", _ready(client, f"{path}?start_date={day}")
    yield "analytics_by_channel", _ready(client, f"{path}?start_date={day}&channel=push")
    yield "analytics_by_language", _ready(client, f"{path}?start_date={day}&language=ta")
    year = f"{now() - timedelta(days=400):%Y-%m-%d}"
    yield "analytics_of_a_year", _ready(client, f"{path}?start_date={year}&end_date={day}")
    yield "templates", _ready(client, "/api/followup/admin/templates")


def _admin_pages() -> Iterator[tuple[str, Ask]]:
    client = Client()
    client.force_login(_boss())
    for model in sorted(admin.site._registry, key=lambda model: model._meta.label_lower):
        meta = model._meta
        path = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
        name = f"admin_{meta.model_name}"
        yield name, _ready(client, path)
        if model in GROWING:
            last = min(50, max(1, model._default_manager.count() // 100))
            yield f"{name}_deep", _ready(client, f"{path}?p={last}")
            yield f"{name}_search", _ready(client, f"{path}?q=reader4321@")
            newest = model._default_manager.order_by("-pk").values_list("pk", flat=True)[0]
            row = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[newest])
            yield f"{name}_page", _ready(client, row)
    for page in PAGES:
        if page.title:
            yield f"admin_{page.name}", _ready(client, page.url)
    dashboard = reverse("admin:followups_dashboard")
    for name, query in {"live": "part=live", "90_days": "days=90", "by_channel": "channel=push"}.items():
        yield f"admin_dashboard_{name}", _ready(client, f"{dashboard}?{query}")
    simulation = reverse("admin:followups_simulate")
    begin, end = (f"{now() - timedelta(days=back):%Y-%m-%d}" for back in (31, 1))
    yield "admin_simulation_of_a_month", _ready(client, f"{simulation}?first={begin}&last={end}")
    yield "admin_simulation_of_a_reader", _ready(client, f"{simulation}?q=reader1@example.test")
    for choice in (
        "status__exact=failed",
        "status__exact=in_doubt",
        "channel__exact=push",
        "origin__exact=retry",
    ):
        path = reverse("admin:followups_followupschedule_changelist")
        yield f"admin_followupschedule_{choice.partition('=')[2]}", _ready(client, f"{path}?{choice}")
    yield "admin_index", _ready(client, reverse("admin:index"))
    yield "metrics", _ready(client, "/metrics")


def _boss() -> User:
    return User.objects.get_or_create(
        email="boss@example.test", defaults={"is_staff": True, "is_superuser": True, "password": "!"}
    )[0]


def _ready(client: Any, address: str) -> Ask:
    return lambda: lambda: client.get(address)


if __name__ == "__main__":
    json.dump(main(int(sys.argv[1])), sys.stdout)
