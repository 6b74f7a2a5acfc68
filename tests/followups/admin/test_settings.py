"""The settings in the admin site: judged by the registry, explained, and never made up."""

from datetime import time
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from followups.models import FollowUpSetting
from followups.selectors.settings import effective_settings
from followups.services.settings import load_default_settings

pytestmark = pytest.mark.django_db

LIST = "/admin/followups/followupsetting/"


@pytest.fixture(autouse=True)
def _default_settings(db: None) -> None:
    load_default_settings()


def path_of(key: str) -> str:
    return f"{LIST}{FollowUpSetting.objects.get(setting_key=key).pk}/change/"


def save(client: Client, key: str, value: str, **others: str) -> Any:
    return client.post(path_of(key), {"setting_value": value, **others})


@pytest.mark.parametrize(
    ("key", "value", "stored", "in_force"),
    [
        ("min_interval_hours", " 48 ", "48", 48),
        ("enable_credit_charging", "false", "false", False),
        ("revenue_per_credit", "2.50", "2.50", Decimal("2.5")),
        ("quiet_hours_start", "22:30", "22:30", time(22, 30)),
    ],
)
def test_a_value_is_saved_and_in_force(
    admin_site: Client, key: str, value: str, stored: str, in_force: object
) -> None:
    assert save(admin_site, key, value).status_code == 302
    assert FollowUpSetting.objects.get(setting_key=key).setting_value == stored
    assert getattr(effective_settings(), key) == in_force


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("min_interval_hours", "-1", "from 0 to 2160"),
        ("min_interval_hours", "often", "Use a number."),
        ("max_interval_days", "0", "from 1 to 366"),
        ("enable_credit_charging", "maybe", "not one of the available choices"),
        ("revenue_per_credit", "NaN", "from 0 to"),
        ("quiet_hours_start", "25:00", "time of day"),
        ("default_credits_cost", "", "required"),
    ],
)
def test_a_bad_value_is_told_at_the_field_and_changes_nothing(
    admin_site: Client, key: str, value: str, says: str
) -> None:
    before = effective_settings()
    answer = save(admin_site, key, value)
    assert answer.status_code == 200
    assert says in answer.context["adminform"].form.errors["setting_value"][0]
    assert effective_settings() == before


def test_only_the_value_is_edited(admin_site: Client) -> None:
    forged = {"setting_key": "made_up", "setting_type": "boolean", "is_active": "", "description": "x"}
    assert save(admin_site, "min_interval_hours", "12", **forged).status_code == 302
    row = FollowUpSetting.objects.get(setting_key="min_interval_hours")
    assert (row.setting_value, row.setting_type, row.is_active) == ("12", "integer", True)
    assert row.description != "x"


def test_the_page_explains_the_setting(admin_site: Client) -> None:
    text = admin_site.get(path_of("max_interval_days")).content.decode()
    for shown in (
        "How many days ahead a follow-up may be scheduled.",
        "1 – 366",
        'min="1"',
        'max="366"',
        ">30<",
    ):
        assert shown in text, shown


def test_the_record_says_from_what_to_what(admin_site: Client) -> None:
    save(admin_site, "min_interval_hours", "48")
    assert "24 → 48" in LogEntry.objects.get().get_change_message()


def test_settings_are_neither_added_nor_deleted(admin_site: Client) -> None:
    row = FollowUpSetting.objects.first()
    assert row is not None
    form = {"setting_key": "made_up", "setting_value": "1"}
    assert admin_site.post(f"{LIST}add/", form).status_code == 403
    assert admin_site.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_row_no_code_reads_is_shown_and_left_alone(admin_site: Client) -> None:
    FollowUpSetting.objects.create(setting_key="left_over", setting_value="1")
    assert "No code reads this key." in admin_site.get(path_of("left_over")).content.decode()
    assert save(admin_site, "left_over", "2").status_code == 403


def test_a_broken_switch_is_not_read_as_yes(admin_site: Client) -> None:
    FollowUpSetting.objects.filter(setting_key="enable_credit_charging").update(setting_value="perhaps")
    text = admin_site.get(path_of("enable_credit_charging")).content.decode()
    assert '<option value="" selected>choose</option>' in text
    assert save(admin_site, "enable_credit_charging", "").status_code == 200
    assert not effective_settings().enable_credit_charging


def test_saving_a_switched_off_row_puts_it_in_force(admin_site: Client) -> None:
    FollowUpSetting.objects.filter(setting_key="min_interval_hours").update(is_active=False)
    save(admin_site, "min_interval_hours", "36")
    assert effective_settings().min_interval_hours == 36


def test_the_list_says_yes_and_no(admin_site: Client) -> None:
    FollowUpSetting.objects.filter(setting_key="refund_on_cancel").update(setting_value="false")
    text = admin_site.get(LIST, {"q": "refund_on_cancel"}).content.decode()
    assert '<td class="field-value">No</td><td class="field-default">Yes</td>' in text
