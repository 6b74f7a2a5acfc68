"""Faults 53-66 and 69 of the first implementation: the API, except what has no counterpart here."""

import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from followups.choices import State
from followups.conf import SETTINGS
from followups.models import FollowUpAnalytics, FollowUpSchedule, FollowUpSetting, FollowUpTemplate
from followups.services.analytics import roll_up_changed_days
from jyotiflow.accounts.models import User
from tests.factories import PASSWORD, SessionFactory, UserFactory
from tests.followups.first_implementation.conftest import SCHEDULE, client_of, in_hours

pytestmark = pytest.mark.django_db
ADMIN = "/api/followup/admin"
TEMPLATE = {
    "name": "Session Follow-up 1",
    "tamil_name": "அமர்வு பின்தொடர்தல் 1",
    "description": "",
    "template_type": "session_followup",
    "channel": "email",
    "subject": "How is your spiritual journey progressing? 🕉️",
    "tamil_subject": "",
    "content": "Dear {{user_name}}, thank you.",
    "tamil_content": "அன்புள்ள {{user_name}}, நன்றி.",
    "credits_cost": 5,
    "is_active": True,
}


def test_orig_53_templates_and_follow_ups_can_be_created(user_api: APIClient, admin_api: APIClient) -> None:
    made = admin_api.post(f"{ADMIN}/templates", TEMPLATE, format="json")
    assert made.status_code == 201
    body = {"template_id": made.json()["template_id"], "scheduled_at": in_hours(3)}
    assert user_api.post(SCHEDULE, body, format="json").status_code == 201
    (listed,) = admin_api.get(f"{ADMIN}/templates").json()["data"]
    assert {name: listed[name] for name in TEMPLATE} == TEMPLATE
    assert listed["variables"] == ["user_name"]


def test_orig_54_templates_can_be_changed_and_deleted(admin_api: APIClient, make_template: Any) -> None:
    path = f"{ADMIN}/templates/{make_template().pk}"
    changed = admin_api.put(path, {"content": "Dear {{user_name}}!"}, format="json")
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    assert admin_api.delete(path).status_code == 200
    assert admin_api.delete(path).status_code == 404
    assert not FollowUpTemplate.objects.exists()


def test_orig_57_every_endpoint_answers_who_signed_in(db: None) -> None:
    user = UserFactory(admin=True)
    signed_in = APIClient().post(
        "/api/auth/login", {"email": user.email, "password": PASSWORD}, format="json"
    )
    client = APIClient(headers={"Authorization": f"Bearer {signed_in.json()['access_token']}"})
    paths = ["/api/followup/my-followups", "/api/user/credits", "/api/user/sessions", "/api/user/profile"]
    paths += [f"{ADMIN}/{name}" for name in ("templates", "schedules", "analytics", "settings")]
    assert [client.get(path).status_code for path in paths] == [200] * 8
    assert [APIClient().get(path).status_code for path in paths] == [401] * 8


def test_orig_58_a_cancel_answers_what_it_did(user_api: APIClient, schedule: Any, make_template: Any) -> None:
    follow_up_id = schedule(make_template(), 1).json()["followup_id"]
    answer = user_api.post(f"/api/followup/cancel/{follow_up_id}")
    assert (answer.status_code, answer.json()["success"]) == (200, True)
    assert FollowUpSchedule.objects.get().status == State.CANCELLED


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 2),
        ("status=pending", 2),
        ("status=sent", 0),
        ("channel=in_app&limit=1", 2),
        ("channel=sms", 0),
        ("user_email=RICH@example.test", 2),
        ("template=check-in", 2),
        ("status=&channel=&template=&user_email=", 2),
    ],
)
def test_orig_59_the_schedules_can_be_listed_with_any_filter_and_none(
    rich_user: User, admin_api: APIClient, make_template: Any, query: str, count: int
) -> None:
    User.objects.filter(pk=rich_user.pk).update(email="rich@example.test")
    client, template = client_of(User.objects.get(pk=rich_user.pk)), make_template(name="Check-in")
    for hours in (1, 48):
        body = {"template_id": str(template.pk), "scheduled_at": in_hours(hours)}
        client.post(SCHEDULE, body, format="json")
    answer = admin_api.get(f"{ADMIN}/schedules?{query}")
    assert (answer.status_code, answer.json()["count"]) == (200, count)


@pytest.mark.parametrize(
    ("first", "last", "sent"),
    [(None, None, 1), (0, None, 1), (None, 0, 1), (0, 0, 1), (1, None, 0), (None, -1, 0)],
)
def test_orig_60_either_date_of_the_figures_may_be_left_out(
    admin_api: APIClient,
    schedule: Any,
    make_template: Any,
    run_queue: Any,
    first: int | None,
    last: int | None,
    sent: int,
) -> None:
    schedule(make_template(), 0)
    run_queue()
    roll_up_changed_days()
    today = FollowUpAnalytics.objects.get().date
    days = {"start_date": first, "end_date": last}
    query = {name: str(today + timedelta(days=by)) for name, by in days.items() if by is not None}
    answer = admin_api.get(f"{ADMIN}/analytics", query)
    assert (answer.status_code, answer.json()["data"]["total_sent"]) == (200, sent)


@pytest.mark.parametrize(
    "query", ["start_date=yesterday", "end_date=2026-13-01", "start_date=2026-02-02&end_date=2026-02-01"]
)
def test_orig_60_a_date_that_is_none_is_bad_input(admin_api: APIClient, query: str) -> None:
    assert admin_api.get(f"{ADMIN}/analytics?{query}").status_code == 400


@pytest.mark.parametrize("session_id", ["0c5cdec8-8dd7-475c-82d9-1181878321bb", "session-123", "42"])
def test_orig_61_the_follow_ups_of_a_session_are_found_by_its_text_id(
    rich_user: User, user_api: APIClient, schedule: Any, make_template: Any, session_id: str
) -> None:
    session = SessionFactory(user=rich_user, completed=True, id=session_id)
    schedule(make_template(), 1, session_id=session.pk)
    (item,) = user_api.get(f"/api/followup/session/{session_id}").json()["data"]
    assert item["session_id"] == session_id


def routes(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, prefix + str(pattern.pattern))
        else:
            yield prefix + str(pattern.pattern), pattern


def test_orig_63_a_sessions_list_has_what_the_page_reads(
    rich_user: User, user_api: APIClient, schedule: Any, make_template: Any
) -> None:
    session = SessionFactory(user=rich_user, completed=True)
    schedule(make_template(), 1, session_id=session.pk)
    answer = user_api.get(f"/api/followup/session/{session.pk}").json()
    assert (answer["success"], answer["count"]) == (True, 1)
    promised = "id session_id template_id template_name template_tamil_name channel status state"
    promised += " delivery_status subject message scheduled_at sent_at delivered_at read_at failure_reason"
    promised += " credits_charged credits_refunded created_at updated_at"
    assert set(promised.split()) <= set(answer["data"][0])


def test_orig_62_no_route_calls_what_does_not_exist(admin_api: APIClient) -> None:
    admin_api.raise_request_exception = False
    called = 0
    for route, _ in routes(get_resolver().url_patterns):
        if not route.startswith("api/followup/"):
            continue
        path = route.replace("<text_id:session_id>", "none").replace("<slug:esp>", "none")
        for name in ("follow_up_id", "template_id"):
            path = path.replace(f"<uuid:{name}>", str(uuid.uuid4()))
        for method in ("get", "post", "put", "patch", "delete"):
            answer = getattr(admin_api, method)(f"/{path}", {}, format="json")
            assert answer.status_code < 500 or path.endswith("health/followup"), (method, path)
            called += 1
    assert called >= 90


def test_orig_64_count_is_the_total(user_api: APIClient, schedule: Any, make_template: Any) -> None:
    template = make_template()
    for day in range(1, 6):
        schedule(template, 25 * day)
    page = user_api.get("/api/followup/my-followups?limit=2&offset=4").json()
    assert (page["count"], len(page["data"])) == (5, 1)


def test_orig_65_a_used_template_is_archived(admin_api: APIClient, schedule: Any, make_template: Any) -> None:
    template = make_template()
    schedule(template, 1)
    answer = admin_api.delete(f"{ADMIN}/templates/{template.pk}")
    assert (answer.status_code, "archived" in answer.json()["message"]) == (200, True)
    assert admin_api.get(f"{ADMIN}/templates").json()["count"] == 0
    assert schedule(template, 48).status_code == 404
    assert FollowUpSchedule.objects.get().status == State.PENDING


def test_orig_66_settings_are_saved_even_where_there_was_no_row(admin_api: APIClient) -> None:
    FollowUpSetting.objects.all().delete()
    assert admin_api.put(f"{ADMIN}/settings", {"min_interval_hours": 7}, format="json").status_code == 200
    assert FollowUpSetting.objects.get().setting_value == "7"
    admin_api.put(f"{ADMIN}/settings", {"max_interval_days": 9}, format="json")
    stored = admin_api.get(f"{ADMIN}/settings").json()["data"]
    assert (stored["min_interval_hours"], stored["max_interval_days"]) == (7, 9)
    assert set(stored) == set(SETTINGS)
    bad = admin_api.put(f"{ADMIN}/settings", {"min_interval_hours": -1, "nonsense": 1}, format="json")
    assert (bad.status_code, set(bad.json()["errors"])) == (400, {"min_interval_hours", "nonsense"})


def test_orig_69_every_route_is_there_once() -> None:
    counted = Counter(route for route, _ in routes(get_resolver().url_patterns) if route.startswith("api/"))
    assert [route for route, times in counted.items() if times > 1] == []
    assert len(counted) > 20
