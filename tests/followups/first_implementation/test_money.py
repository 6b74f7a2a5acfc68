"""Faults 1-11 of the first implementation: money."""

import uuid
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from rest_framework.test import APIClient

from credits.models import CreditAccount, CreditEntry
from credits.selectors import balance_of, imbalances
from credits.services import grant
from followups.choices import State
from followups.exceptions import Rejected
from followups.models import FollowUpAnalytics, FollowUpSchedule, FollowUpSetting, FollowUpTemplate, Stamp
from followups.services.analytics import roll_up_changed_days
from followups.services.settings import update_settings
from jyotiflow.accounts.models import User
from tests.factories import SessionFactory
from tests.followups.conftest import ScriptedChannel
from tests.followups.first_implementation.conftest import SCHEDULE, client_of, in_hours

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("price", [-1_000, -1, 0, 1, 5, "-5", None])
def test_orig_01_a_client_can_not_name_a_price_and_mint_credits(
    rich_user: User, schedule: Any, make_template: Any, price: object
) -> None:
    answer = schedule(make_template(), 1, credits_to_charge=price)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["credits_to_charge"]
    assert balance_of(rich_user) == 100
    assert not FollowUpSchedule.objects.exists()


def test_orig_01_a_template_can_not_have_a_negative_price(admin_api: APIClient, make_template: Any) -> None:
    template = make_template()
    answer = admin_api.put(
        f"/api/followup/admin/templates/{template.pk}", {"credits_cost": -5}, format="json"
    )
    assert answer.status_code == 400
    with pytest.raises(IntegrityError), transaction.atomic():
        FollowUpTemplate.objects.filter(pk=template.pk).update(credits_cost=-5)


@pytest.mark.parametrize(("cost", "charged"), [(0, 0), (1, 1), (7, 7), (None, 5)])
def test_orig_02_the_price_is_the_templates_and_free_means_free(
    rich_user: User, schedule: Any, make_template: Any, cost: int | None, charged: int
) -> None:
    assert schedule(make_template(credits_cost=cost), 1).json()["credits_charged"] == charged
    assert balance_of(rich_user) == 100 - charged
    assert CreditEntry.objects.get(kind="charge").amount == -charged


@pytest.mark.django_db(transaction=True)
def test_orig_03_eight_at_once_with_credits_for_one(user: User, make_template: Any, in_parallel: Any) -> None:
    grant(user=user, amount=6, reason="test", key="six")
    update_settings(changes={"min_interval_hours": 0})
    body = {"template_id": str(make_template(credits_cost=5).pk), "scheduled_at": in_hours(5)}
    statuses = in_parallel(*[lambda: client_of(user).post(SCHEDULE, body, format="json").status_code] * 8)
    assert sorted(statuses) == [201] + [402] * 7
    assert balance_of(user) == 1
    assert FollowUpSchedule.objects.count() == 1
    assert imbalances() == []


def test_orig_03_the_database_itself_refuses_a_debt(rich_user: User) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        CreditAccount.objects.filter(user=rich_user).update(balance=-1)


def test_orig_04_a_cancel_gives_the_credits_back_once(
    rich_user: User, user_api: APIClient, schedule: Any, make_template: Any
) -> None:
    path = f"/api/followup/cancel/{schedule(make_template(), 1).json()['followup_id']}"
    assert balance_of(rich_user) == 95
    assert user_api.post(path).json()["credits_refunded"] == 5
    assert user_api.post(path).status_code == 409
    assert balance_of(rich_user) == 100


@pytest.mark.parametrize("channel", ["email", "sms", "whatsapp", "push"])
def test_orig_05_a_failed_send_gives_the_credits_back(
    rich_user: User,
    schedule: Any,
    make_template: Any,
    all_scripted: dict[str, ScriptedChannel],
    run_queue: Any,
    channel: str,
) -> None:
    all_scripted[channel].script = [Rejected("x", "Refused for good.")]
    schedule(make_template(channel=channel), 0)
    assert balance_of(rich_user) == 95
    run_queue()
    failed = FollowUpSchedule.objects.get()
    assert (failed.status, failed.credits_refunded, balance_of(rich_user)) == (State.FAILED, 5, 100)


def test_orig_06_every_charge_has_an_entry_with_its_reason_and_key(
    rich_user: User, user_api: APIClient, make_template: Any
) -> None:
    body = {"template_id": str(make_template(name="Check-in").pk), "scheduled_at": in_hours(1)}
    key = {"Idempotency-Key": "a double click"}
    first, second = (user_api.post(SCHEDULE, body, format="json", headers=key) for _ in range(2))
    assert first.json() == second.json()
    (entry,) = CreditEntry.objects.filter(kind="charge")
    assert (entry.amount, entry.reason) == (-5, "Follow-up: Check-in")
    assert first.json()["followup_id"] in entry.idempotency_key
    other = {**body, "scheduled_at": in_hours(99)}
    assert user_api.post(SCHEDULE, other, format="json", headers=key).status_code == 409


def test_orig_07_what_cost_nothing_gives_nothing_back(
    rich_user: User, user_api: APIClient, schedule: Any, make_template: Any
) -> None:
    update_settings(changes={"enable_credit_charging": False})
    booked = schedule(make_template(), 1).json()
    assert booked["credits_charged"] == FollowUpSchedule.objects.get().credits_charged == 0
    update_settings(changes={"enable_credit_charging": True})
    assert user_api.post(f"/api/followup/cancel/{booked['followup_id']}").json()["credits_refunded"] == 0
    assert balance_of(rich_user) == 100


def test_orig_08_unreadable_settings_never_turn_charging_on(
    rich_user: User, schedule: Any, make_template: Any
) -> None:
    template = make_template()
    FollowUpSetting.objects.filter(setting_key="enable_credit_charging").update(setting_value="yess")
    assert schedule(template, 1).json()["credits_charged"] == 0
    with connection.cursor() as cursor:  # undone with the test's transaction
        cursor.execute("ALTER TABLE follow_up_settings RENAME TO lost")
    Stamp.objects.update(stamp=uuid.uuid4())  # what this process read before counts no more
    assert schedule(template, 48).status_code == 500
    assert balance_of(rich_user) == 100
    assert FollowUpSchedule.objects.count() == 1


def test_orig_09_charged_credits_and_revenue_are_written(
    schedule: Any, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    update_settings(changes={"revenue_per_credit": 2})
    schedule(make_template(channel="email"), 0)
    run_queue()
    roll_up_changed_days()
    row = FollowUpAnalytics.objects.get()
    assert row.credits_charged == 5
    assert row.revenue_generated == 10


def test_orig_10_there_is_one_price_list(
    rich_user: User, admin_api: APIClient, schedule: Any, at_any_hour: None
) -> None:
    call_command("load_starters", verbosity=0)
    update_settings(changes={"min_interval_hours": 0})
    templates = admin_api.get("/api/followup/admin/templates").json()["data"]
    prices = {template["id"]: template["credits_cost"] for template in templates}
    reachable = [each for each in FollowUpTemplate.objects.all() if each.channel != "push"]
    assert len(reachable) >= 4
    for template in reachable:
        before = balance_of(rich_user)
        answer = schedule(template, 2)
        assert answer.status_code == 201, answer.json()
        assert answer.json()["credits_charged"] == prices[str(template.pk)] == before - balance_of(rich_user)


def test_orig_10_a_new_price_holds_from_then_on(
    rich_user: User, admin_api: APIClient, schedule: Any, make_template: Any
) -> None:
    template = make_template(credits_cost=5)
    schedule(template, 1)
    admin_api.put(f"/api/followup/admin/templates/{template.pk}", {"credits_cost": 3}, format="json")
    schedule(template, 48)
    charged = FollowUpSchedule.objects.order_by("scheduled_at").values_list("credits_charged", flat=True)
    assert list(charged) == [5, 3]
    assert balance_of(rich_user) == 92


@pytest.mark.django_db(transaction=True)
def test_orig_11_sending_now_four_times_at_once_sends_and_charges_once(
    rich_user: User, make_template: Any, provider: ScriptedChannel, in_parallel: Any, run_queue: Any
) -> None:
    make_template(channel="email")
    path = f"/api/followup/email/{SessionFactory(user=rich_user, completed=True).pk}"
    statuses = in_parallel(*[lambda: client_of(rich_user).post(path).status_code] * 4)
    assert sorted(statuses) == [200, 400, 400, 400]
    assert balance_of(rich_user) == 95
    run_queue()
    assert len(provider.taken) == 1


def test_orig_11_nothing_is_sent_before_it_is_paid(
    user: User, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    make_template(channel="email")
    session = SessionFactory(user=user, completed=True)  # a user without credits
    answer = client_of(user).post(f"/api/followup/email/{session.pk}")
    assert answer.status_code == 402
    assert run_queue() == 0
    assert provider.taken == []
    assert not FollowUpSchedule.objects.exists()
