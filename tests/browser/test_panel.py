"""The admin's panel in a real browser: settings with their history, refunds, the simulation, the audit."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils.timezone import now
from playwright.sync_api import expect

from credits.selectors import balance_of
from followups.models import FollowUpSchedule, FollowUpTemplate
from followups.selectors.settings import effective_settings
from followups.services.settings import update_settings
from followups.services.templates import save_template
from followups.services.withdrawing import cancel_follow_up
from jyotiflow.accounts.models import User
from tests.browser.conftest import DESKTOP, PHONE, Visitor, World
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)
SHOTS = os.environ.get("PANEL_SCREENSHOTS", "")
SIZES = pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])


@pytest.fixture
def boss(transactional_db: None) -> User:
    return UserFactory(admin=True, email="priya@example.test")


def look(visitor: Visitor, name: str) -> None:
    """The page fits and is accessible; a picture of it where somebody wants one."""
    visitor.page.wait_for_load_state("networkidle")
    visitor.check_fits()
    visitor.check_access()
    if SHOTS:
        width = (visitor.page.viewport_size or {"width": 0})["width"]
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        visitor.page.screenshot(path=f"{SHOTS}/{name}-{width}.png", full_page=True)


@SIZES
def test_a_setting_is_refused_changed_and_remembered(world: World, boss: User, visit: Any, size: Any) -> None:
    visitor: Visitor = visit(boss, size=size)
    visitor.open("/admin/followups/")
    page = visitor.page
    page.get_by_role("link", name="Settings Planning").click()
    look(visitor, "settings")
    page.get_by_label("Follow-ups a session").fill("900")
    page.get_by_label("Quiet from").fill("22:30")
    page.get_by_label("Quiet from").blur()
    expect(page.locator("#effect-max_followups_per_session")).to_contain_text("less than or equal to 100")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved")
    look(visitor, "settings-refused")
    page.get_by_label("Follow-ups a session").fill("5")
    page.get_by_label("Follow-ups a session").blur()
    expect(page.locator("#effect-max_followups_per_session")).to_contain_text("5 follow-ups")
    expect(page.locator("#effect-quiet_hours_end")).to_contain_text("22:30–08:00")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The settings are saved.")).to_be_visible()
    history = page.locator("section", has=page.get_by_role("heading", name="Who changed what"))
    expect(history).to_contain_text("priya@example.test")
    expect(history).to_contain_text("22:30")
    assert effective_settings().max_followups_per_session == 5
    look(visitor, "settings-saved")
    page.get_by_role("link", name="All changes of settings").click()
    look(visitor, "audit")
    page.locator("#result_list tbody th a").first.click()
    look(visitor, "audit-entry")


def test_the_later_of_two_admins_sees_what_the_other_did(world: World, boss: User, visit: Any) -> None:
    visitor: Visitor = visit(boss)
    visitor.open("/admin/followups/settings/")
    update_settings(changes={"min_interval_hours": 12})
    page = visitor.page
    page.get_by_label("Give up after").fill("7")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Somebody has changed settings meanwhile")
    expect(page.get_by_label("Distance between two")).to_have_value("12")
    expect(page.get_by_label("Give up after")).to_have_value("7")
    look(visitor, "settings-conflict")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The settings are saved.")).to_be_visible()
    assert effective_settings().auto_cancel_after_days == 7


@SIZES
def test_credits_are_given_back_from_the_statement(world: World, boss: User, visit: Any, size: Any) -> None:
    update_settings(changes={"refund_on_cancel": False})
    cancel_follow_up(follow_up_id=world.pending.pk)
    before = balance_of(world.reader)
    visitor: Visitor = visit(boss, size=size)
    visitor.open("/admin/credits/creditaccount/")
    page = visitor.page
    page.get_by_role("link", name=world.reader.email).click()
    look(visitor, "statement")
    page.locator(f'a[href$="follow_up={world.pending.pk}"]').click()
    page.get_by_label("Reason").fill("It was our mistake")
    look(visitor, "refund")
    page.get_by_role("button", name="Give back").click()
    expect(page.get_by_text("5 credits are given back.")).to_be_visible()
    expect(page.locator(f'a[href$="follow_up={world.pending.pk}"]')).to_have_count(0)
    assert balance_of(world.reader) == before + 5


@SIZES
def test_a_simulation_of_a_session_and_of_a_month(world: World, boss: User, visit: Any, size: Any) -> None:
    for order, template in enumerate(FollowUpTemplate.objects.order_by("created_at"), 1):
        save_template(template=template, fields={"sequence_order": order, "delay_hours": 24 * order})
    visitor: Visitor = visit(boss, size=size)
    visitor.open("/admin/followups/")
    page = visitor.page
    page.get_by_role("link", name="Simulate Who").click()
    look(visitor, "simulate")
    page.get_by_label("Session or reader").fill(world.reader.email)
    page.get_by_role("button", name="Simulate").first.click()
    look(visitor, "simulate-reader")
    page.get_by_role("link", name="spiritual_guidance").click()
    expect(page.locator("#totals")).to_contain_text("Messages")
    look(visitor, "simulate-one")
    rows = FollowUpSchedule.objects.count()
    page.get_by_label("From").fill(f"{now() - timedelta(days=30):%Y-%m-%d}")
    page.get_by_role("button", name="Simulate").last.click()
    expect(page.locator(".outcome")).to_have_count(2)
    look(visitor, "simulate-month")
    assert FollowUpSchedule.objects.count() == rows


def test_the_panel_in_tamil(world: World, boss: User, visit: Any) -> None:
    visitor: Visitor = visit(boss, size=PHONE)
    visitor.open("/language/ta?next=/admin/followups/settings/")
    for name, path in {
        "settings-ta": "/admin/followups/settings/",
        "simulate-ta": f"/admin/followups/simulate/?q={world.session.pk}",
        "audit-ta": "/admin/auditing/auditentry/",
    }.items():
        visitor.open(path)
        look(visitor, name)
