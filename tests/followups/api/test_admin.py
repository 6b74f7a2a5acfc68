"""The staff's side of the API: templates, schedules, analytics, settings; and who may call it."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils.timezone import now
from rest_framework.test import APIClient

from credits.selectors import balance_of
from followups.choices import State
from followups.exceptions import Rejected
from followups.models import FollowUpSchedule, FollowUpTemplate
from followups.services.analytics import roll_up_changed_days
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from jyotiflow.accounts.models import User
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db

TEMPLATES = "/api/followup/admin/templates"
SCHEDULES = "/api/followup/admin/schedules"
NOBODYS = uuid.UUID(int=1)
SETTINGS = "/api/followup/admin/settings"
ANALYTICS = "/api/followup/admin/analytics"
NEW = {
    "name": "Pongal greeting",
    "tamil_name": "பொங்கல் வாழ்த்து",
    "template_type": "custom",
    "channel": "email",
    "subject": "Happy {{festival}}!",
    "content": "Dear {{user_name}}, happy {{ festival }}!",
    "tamil_content": "அன்புள்ள {{user_name}}, இனிய {{festival}} வாழ்த்துகள்!",
    "variables": ["festival"],
    "credits_cost": 2,
}


class TestTemplates:
    """Templates by API."""

    def test_one_is_created_listed_changed_and_removed(self, admin_api: APIClient) -> None:
        made = admin_api.post(TEMPLATES, NEW, format="json")
        assert made.status_code == 201, made.json()
        assert made.json()["warnings"] == ["No tamil_subject: Tamil readers get the English text."]
        path = f"{TEMPLATES}/{made.json()['template_id']}"
        (listed,) = admin_api.get(TEMPLATES).json()["data"]
        assert (listed["name"], listed["version"], listed["credits_cost"]) == ("Pongal greeting", 1, 2)
        assert listed["variables"] == ["festival", "user_name"]
        changed = admin_api.put(path, {"tamil_subject": "இனிய {{festival}}!"}, format="json")
        assert (changed.status_code, changed.json()["version"]) == (200, 2)
        assert admin_api.put(path, {"credits_cost": 3}, format="json").json()["version"] == 2
        whole = {**listed, "name": "Renamed"}
        assert admin_api.put(path, whole, format="json").status_code == 200
        assert admin_api.delete(path).status_code == 200
        assert admin_api.get(TEMPLATES).json()["count"] == 0

    def test_one_in_use_is_archived(self, admin_api: APIClient, rich_user: User, make_template: Any) -> None:
        template = make_template()
        booked = schedule_follow_up(user=rich_user, template_id=template.pk)
        assert "archived" in admin_api.delete(f"{TEMPLATES}/{template.pk}").json()["message"]
        assert admin_api.get(TEMPLATES).json()["count"] == 0
        assert FollowUpSchedule.objects.get(pk=booked.pk).status == State.PENDING

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"name": ""}, "name"),
            ({"channel": "pigeon"}, "channel"),
            ({"template_type": "poem"}, "template_type"),
            ({"credits_cost": -5}, "credits_cost"),
            ({"credits_cost": "cheap"}, "credits_cost"),
            ({"subject": ""}, "subject"),
            ({"content": "Hello {{user_nmae}}"}, "content"),
            ({"content": "Hello {{user_name"}, "content"),
            ({"content": "Hello {{ user.password }}"}, "content"),
            ({"content": "Hello {% include 'x' %} {{#if}}"}, "content"),
            ({"tamil_content": "{{unknown_name}}"}, "tamil_content"),
            ({"content": "a\x00b"}, ""),
            ({"variables": ["Bad Name"]}, "variables"),
            ({"variables": "festival"}, "variables"),
            ({"price": 3}, "price"),
        ],
    )
    def test_bad_input_is_refused_and_saves_nothing(
        self, change: dict[str, Any], field: str, admin_api: APIClient, refused: Any
    ) -> None:
        refused(admin_api.post(TEMPLATES, {**NEW, **change}, format="json"), 400, field=field)
        assert not FollowUpTemplate.objects.exists()

    def test_a_bad_change_changes_nothing(
        self, admin_api: APIClient, make_template: Any, refused: Any
    ) -> None:
        template = make_template()
        change = {"name": "Other", "content": "{{nobody}}"}
        refused(admin_api.put(f"{TEMPLATES}/{template.pk}", change, format="json"), 400, field="content")
        template.refresh_from_db()
        assert (template.name, template.version) == ("Check-in", 1)

    def test_unknown_ones_are_not_found(self, admin_api: APIClient, refused: Any) -> None:
        refused(admin_api.put(f"{TEMPLATES}/{NOBODYS}", {"name": "x"}, format="json"), 404)
        refused(admin_api.delete(f"{TEMPLATES}/1"), 404)

    def test_what_was_bought_is_what_goes_out(
        self, admin_api: APIClient, rich_user: User, make_template: Any, run_queue: Any
    ) -> None:
        template = make_template()
        schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now())
        admin_api.put(f"{TEMPLATES}/{template.pk}", {"content": "Something else."}, format="json")
        run_queue()
        assert FollowUpSchedule.objects.get().message_sent == f"Dear {rich_user.name}, how are you?"


class TestSchedules:
    """Everybody's follow-ups."""

    @pytest.fixture
    def booked(self, rich_user: User, make_template: Any) -> FollowUpSchedule:
        return schedule_follow_up(
            user=rich_user, template_id=make_template().pk, scheduled_at=now() + timedelta(days=2)
        )

    def test_filters(self, admin_api: APIClient, booked: FollowUpSchedule, refused: Any) -> None:
        day = (now() + timedelta(days=2)).date()
        for query, count in {
            "": 1,
            "status=pending": 1,
            "status=sent": 0,
            "channel=in_app": 1,
            "channel=email": 0,
            f"template={booked.template_id}": 1,
            "template=check-in": 1,
            "template=other": 0,
            f"user_email={booked.user_email.upper()}": 1,
            "user_email=x@y.test": 0,
            f"from={day}T00:00:00Z&to={day}T23:59:59Z": 1,
            "to=2020-01-01T00:00:00Z": 0,
            "limit=1&offset=1": 1,
        }.items():
            assert admin_api.get(f"{SCHEDULES}?{query}").json()["count"] == count, query
        item = admin_api.get(SCHEDULES).json()["data"][0]
        assert (item["user_email"], item["user_name"]) == (booked.user_email, booked.user.name)
        refused(admin_api.get(f"{SCHEDULES}?from=2026-01-01T00:00:00"), 400, field="from")
        refused(admin_api.get(f"{SCHEDULES}?template=a%00b"), 400)

    def test_cancel_refunds(self, admin_api: APIClient, booked: FollowUpSchedule, refused: Any) -> None:
        path = f"{SCHEDULES}/{booked.pk}/cancel"
        assert admin_api.post(path).json()["credits_refunded"] == 5
        refused(admin_api.post(path), 409)
        assert balance_of(booked.user) == 100

    def test_retry_books_anew_what_was_refunded(
        self,
        admin_api: APIClient,
        rich_user: User,
        make_template: Any,
        provider: ScriptedChannel,
        run_queue: Any,
        refused: Any,
    ) -> None:
        update_settings(changes={"quiet_hours_end": "21:00"})  # none, whatever the hour of this test
        provider.script = [Rejected("550", "No such mailbox.")]
        failed = schedule_follow_up(
            user=rich_user, template_id=make_template(channel="email").pk, scheduled_at=now()
        )
        run_queue()
        assert balance_of(rich_user) == 100
        answer = admin_api.post(f"{SCHEDULES}/{failed.pk}/retry").json()
        assert answer["followup_id"] != str(failed.pk)
        assert balance_of(rich_user) == 95
        assert admin_api.post(f"{SCHEDULES}/{failed.pk}/retry").json()["followup_id"] == answer["followup_id"]
        assert balance_of(rich_user) == 95
        run_queue()
        assert FollowUpSchedule.objects.get(pk=answer["followup_id"]).status == State.SENT
        refused(admin_api.post(f"{SCHEDULES}/{answer['followup_id']}/retry"), 409, "not_retriable")


class TestSettings:
    """Settings by API."""

    def test_every_setting_is_read_typed_and_can_be_put_back(self, admin_api: APIClient) -> None:
        data = admin_api.get(SETTINGS).json()["data"]
        assert (data["auto_followup_enabled"], data["default_credits_cost"], data["revenue_per_credit"]) == (
            True,
            5,
            1.0,
        )
        assert (
            admin_api.put(SETTINGS, {**data, "max_followups_per_session": 4}, format="json").status_code
            == 200
        )
        assert admin_api.get(SETTINGS).json()["data"] == {**data, "max_followups_per_session": 4}

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"enable_wishes": True}, "enable_wishes"),
            ({"default_credits_cost": -1}, "default_credits_cost"),
            ({"default_credits_cost": 1.5}, "default_credits_cost"),
            ({"default_credits_cost": None}, "default_credits_cost"),
            ({"default_credits_cost": True}, "default_credits_cost"),
            ({"max_interval_days": 0}, "max_interval_days"),
            ({"enable_credit_charging": "perhaps"}, "enable_credit_charging"),
            ({"quiet_hours_start": "25:00"}, "quiet_hours_start"),
            ({"min_interval_hours": [1]}, "min_interval_hours"),
        ],
    )
    def test_a_bad_one_saves_nothing(
        self, change: dict[str, Any], field: str, admin_api: APIClient, refused: Any
    ) -> None:
        before = admin_api.get(SETTINGS).json()["data"]
        refused(
            admin_api.put(SETTINGS, {"default_credits_cost": 9, **change}, format="json"), 400, field=field
        )
        assert admin_api.get(SETTINGS).json()["data"] == before

    def test_a_missing_key_is_left_as_it_is(self, admin_api: APIClient) -> None:
        admin_api.put(SETTINGS, {"default_credits_cost": 9}, format="json")
        admin_api.put(SETTINGS, {"min_interval_hours": 1}, format="json")
        data = admin_api.get(SETTINGS).json()["data"]
        assert (data["default_credits_cost"], data["min_interval_hours"]) == (9, 1)


def test_analytics_count_what_happened(
    admin_api: APIClient,
    rich_user: User,
    make_template: Any,
    provider: ScriptedChannel,
    run_queue: Any,
    refused: Any,
) -> None:
    admin_api.put(SETTINGS, {"revenue_per_credit": 2.5, "min_interval_hours": 0}, format="json")
    template = make_template(channel="email")
    provider.script = [Rejected("550", "No such mailbox.")]
    for _ in range(3):
        schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now())
    run_queue()
    today = now().date()
    assert roll_up_changed_days() == [today]
    data = admin_api.get(ANALYTICS).json()["data"]
    assert (data["total_sent"], data["total_failed"], data["total_delivered"]) == (2, 1, 0)
    assert (data["total_credits_charged"], data["total_credits_refunded"]) == (15, 5)
    assert data["total_revenue"] == 25.0
    assert data["channel_performance"]["email"]["sent"] == 2
    assert data["top_templates"][0]["id"] == str(template.pk)
    assert [day["date"] for day in data["daily"]] == [str(today)]
    assert data["engagement"]["recipients"] == 1
    for query, sent in {
        f"start_date={today}": 2,
        f"end_date={today - timedelta(days=1)}": 0,
        "channel=sms": 0,
        "language=en": 2,
        "language=ta": 0,
        f"template={template.pk}": 2,
        "template=check-in": 2,
    }.items():
        assert admin_api.get(f"{ANALYTICS}?{query}").json()["data"]["total_sent"] == sent, query
    refused(admin_api.get(f"{ANALYTICS}?language=fr"), 400, field="language")
    refused(admin_api.get(f"{ANALYTICS}?start_date=yesterday"), 400, field="start_date")
    refused(admin_api.get(f"{ANALYTICS}?end_date=9999-12-31"), 400, field="end_date")
    refused(admin_api.get(f"{ANALYTICS}?start_date={today}&end_date=2020-01-01"), 400, field="end_date")


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("get", TEMPLATES, "view_followuptemplate"),
        ("post", TEMPLATES, "add_followuptemplate"),
        ("put", f"{TEMPLATES}/{NOBODYS}", "change_followuptemplate"),
        ("delete", f"{TEMPLATES}/{NOBODYS}", "delete_followuptemplate"),
        ("get", SCHEDULES, "view_followupschedule"),
        ("post", f"{SCHEDULES}/{NOBODYS}/cancel", "change_followupschedule"),
        ("post", f"{SCHEDULES}/{NOBODYS}/retry", "change_followupschedule"),
        ("get", ANALYTICS, "view_followupanalytics"),
        ("get", SETTINGS, "view_followupsetting"),
        ("put", SETTINGS, "change_followupsetting"),
    ],
)
def test_each_call_needs_its_own_permission(
    method: str, path: str, permission: str, anonymous: APIClient, user: User, staff: User, refused: Any
) -> None:
    refused(getattr(anonymous, method)(path, {}, format="json"), 401)
    for person in (user, staff):
        client = APIClient()
        client.force_authenticate(person)
        refused(getattr(client, method)(path, {}, format="json"), 403)
    staff.user_permissions.add(Permission.objects.get(codename=permission))
    client = APIClient()
    client.force_authenticate(User.objects.get(pk=staff.pk))
    assert getattr(client, method)(path, {}, format="json").status_code in (200, 400, 404)
