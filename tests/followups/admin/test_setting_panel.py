"""The panel of settings: what it refuses, what it tells, and two admins at once."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from followups.admin.setting_words import GROUPS, TITLES, effect_of
from followups.conf import SETTINGS
from followups.models import FollowUpSetting
from followups.selectors.settings import effective_settings, stored_settings
from followups.services.settings import update_settings
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import AuditEntry
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
PAGE = "/admin/followups/settings/"


def form_of(client: Client, **changes: Any) -> dict[str, Any]:
    """What a browser would send, with some fields changed; ``None`` leaves a field out."""
    data: dict[str, Any] = {}
    for bound in client.get(PAGE).context["form"]:
        value = bound.value()
        if not isinstance(value, bool):
            data[bound.html_name] = bound.field.widget.format_value(value)
            data[bound.html_initial_name] = data[bound.html_name]
        else:
            data[bound.html_initial_name] = str(value)
            if value:
                data[bound.html_name] = "on"
    data |= changes
    return {name: value for name, value in data.items() if value is not None}


def test_every_setting_has_its_place_a_title_and_an_effect() -> None:
    placed = [key for _, keys in GROUPS.values() for key in keys]
    assert sorted(placed) == sorted(SETTINGS) == sorted(TITLES)
    values = {key: setting.default for key, setting in SETTINGS.items()}
    without = {key for key in SETTINGS if not effect_of(key, values)}
    assert without == {"quiet_hours_start"}  # told with its end


@pytest.mark.parametrize(
    ("key", "value", "other"),
    [
        ("auto_followup_enabled", True, False),
        ("max_followups_per_session", 1, 0),
        ("min_interval_hours", 1, 0),
        ("enable_credit_charging", True, False),
        ("default_credits_cost", 1, 0),
        ("refund_on_cancel", True, False),
        ("refund_on_failure", True, False),
        ("enable_analytics", True, False),
    ],
)
def test_a_sentence_follows_its_value(key: str, value: Any, other: Any) -> None:
    values = {name: setting.default for name, setting in SETTINGS.items()}
    assert effect_of(key, {**values, key: value}) != effect_of(key, {**values, key: other})


def test_what_is_changed_is_saved_and_on_record(admin: User, admin_site: Client) -> None:
    data = form_of(
        admin_site, max_followups_per_session="5", refund_on_cancel=None, quiet_hours_start="22:30"
    )
    answer = admin_site.post(PAGE, data)
    assert (answer.status_code, answer.headers["location"]) == (302, PAGE)
    current = effective_settings()
    assert (current.max_followups_per_session, current.refund_on_cancel) == (5, False)
    assert f"{current.quiet_hours_start:%H:%M}" == "22:30"
    assert set(AuditEntry.objects.values_list("label", "actor")) == {
        ("max_followups_per_session", admin.pk),
        ("refund_on_cancel", admin.pk),
        ("quiet_hours_start", admin.pk),
    }
    text = admin_site.get(PAGE).content.decode()
    assert admin.email in text
    assert "Quiet hours 22:30–08:00" in text
    assert "Whoever cancels a follow-up loses its credits." in text


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("max_interval_days", "0", "greater than or equal to 1"),
        ("max_interval_days", "367", "less than or equal to 366"),
        ("default_credits_cost", "-1", "greater than or equal to 0"),
        ("min_interval_hours", "soon", "whole number"),
        ("quiet_hours_end", "25:00", "valid time"),
        ("revenue_per_credit", "0.00001", "4 decimal places"),
        ("max_followups_per_session", "", "required"),
    ],
)
def test_a_bad_value_is_refused_at_its_field_and_nothing_is_saved(
    admin_site: Client, key: str, value: str, told: str
) -> None:
    before = stored_settings()
    data = form_of(admin_site, auto_cancel_after_days="7", **{key: value})
    answer = admin_site.post(PAGE, data)
    assert answer.status_code == 200
    assert told in answer.context["form"].errors[key][0]
    assert stored_settings() == before
    assert not AuditEntry.objects.exists()


def test_the_later_of_two_admins_is_told(admin_site: Client) -> None:
    data = form_of(admin_site, max_followups_per_session="5", refund_on_failure=None)
    update_settings(changes={"min_interval_hours": 12, "refund_on_cancel": False})
    answer = admin_site.post(PAGE, data)
    assert answer.status_code == 200
    form = answer.context["form"]
    assert "12" in form.errors["min_interval_hours"][0]
    assert set(form.errors) == {"__all__", "min_interval_hours", "refund_on_cancel"}
    assert stored_settings()["max_followups_per_session"] == 3
    # The page now shows the others' values and keeps one's own: saving again is a decision.
    html = answer.content.decode()
    assert 'name="min_interval_hours" value="12"' in html
    assert 'name="max_followups_per_session" value="5"' in html
    again = {bound.html_name: bound.value() for bound in form if bound.value() not in (False, "", None)}
    again |= {bound.html_initial_name: form.data[bound.html_initial_name] for bound in form}
    assert admin_site.post(PAGE, again).status_code == 302
    current = stored_settings()
    assert (current["max_followups_per_session"], current["min_interval_hours"]) == (5, 12)
    assert (current["refund_on_cancel"], current["refund_on_failure"]) == (False, False)


def test_saving_nothing_changes_nothing(admin_site: Client) -> None:
    before = list(FollowUpSetting.objects.order_by("pk").values())
    assert admin_site.post(PAGE, form_of(admin_site)).status_code == 302
    assert list(FollowUpSetting.objects.order_by("pk").values()) == before


def test_htmx_is_told_what_the_values_would_do_and_nothing_is_saved(admin_site: Client) -> None:
    before = stored_settings()
    values = form_of(admin_site, quiet_hours_start="20:00", max_interval_days="400")
    text = admin_site.get(PAGE, values, headers={"HX-Request": "true"}).content.decode()
    assert "less than or equal to 366" in text
    text = admin_site.get(
        PAGE, {**values, "max_interval_days": "7"}, headers={"HX-Request": "true"}
    ).content.decode()
    assert "Quiet hours 20:00–08:00" in text
    assert "A time more than 7 days ahead is refused." in text
    assert stored_settings() == before


def test_whoever_only_sees_settings_does_not_change_them(client: Client, staff: User) -> None:
    staff.user_permissions.add(Permission.objects.get(codename="view_followupsetting"))
    client.force_login(staff)
    assert client.get(PAGE).status_code == client.post(PAGE, {}).status_code == 403
    assert PAGE not in client.get("/admin/").content.decode()
    staff.user_permissions.add(Permission.objects.get(codename="change_followupsetting"))
    assert client.get(PAGE).status_code == 200
    assert PAGE in client.get("/admin/").content.decode()


def test_the_history_asks_as_often_for_many_changes_as_for_few(admin_site: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_site.get(PAGE).status_code == 200
        return len(captured)

    def change(times: int) -> None:
        for number in range(times):
            hours = 1 + AuditEntry.objects.count() + number
            update_settings(changes={"min_interval_hours": hours}, actor=UserFactory(staff=True))

    change(2)
    queries()
    few = queries()
    change(10)
    queries()  # the settings themselves are read once after a change
    assert queries() == few
