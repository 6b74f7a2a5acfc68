"""What a reader does, in a real browser: with htmx, and once more without any script."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import localtime, now
from playwright.sync_api import ConsoleMessage, expect

from credits.selectors import balance_of
from followups.models import FollowUpSchedule
from followups.selectors.preferences import preferences_of
from jyotiflow.accounts.models import User
from tests.browser.conftest import DESKTOP, PHONE, Visitor, World
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)


def sign_in(visitor: Visitor, world: World) -> None:
    User.objects.filter(pk=world.reader.pk).update(preferred_language="en")
    visitor.open("/followups/")
    visitor.page.get_by_label("Your email").fill(world.reader.email)
    visitor.page.get_by_label("Password").fill(PASSWORD)
    visitor.page.get_by_role("button", name="Sign in").click()
    expect(visitor.page.get_by_role("heading", name="Your follow-ups")).to_be_visible()


def card(visitor: Visitor, world: World) -> Any:
    return visitor.page.locator(f"#item-{world.pending.pk}")


def refreshed(world: World) -> FollowUpSchedule:
    return FollowUpSchedule.objects.get(pk=world.pending.pk)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_move_and_cancel_in_the_list_without_leaving_it(world: World, visit: Any, size: Any) -> None:
    visitor: Visitor = visit(size=size)
    failures: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error":
            failures.append(message.text)

    visitor.page.on("console", listen)
    sign_in(visitor, world)
    page = visitor.page
    before = balance_of(world.reader)
    card(visitor, world).get_by_role("link", name="Change the time").click()
    field = page.get_by_label("New time")
    expect(field).to_be_focused()
    visitor.check_access()
    day = localtime(now(), world.reader.zone) + timedelta(days=12)
    field.fill(f"{day:%Y-%m-%d}T10:30")
    card(visitor, world).get_by_role("button", name="Change the time").click()
    expect(card(visitor, world)).to_contain_text(f"{day.day} {day:%B %Y}")
    assert f"{localtime(refreshed(world).scheduled_at, world.reader.zone):%d %H:%M}" == f"{day:%d} 10:30"
    card(visitor, world).get_by_role("link", name="Cancel").click()
    expect(card(visitor, world)).to_contain_text("You get 5 credits back.")
    card(visitor, world).get_by_role("link", name="Keep it").click()
    card(visitor, world).get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(card(visitor, world)).to_contain_text("It was cancelled before it was sent.")
    expect(page.locator("#counts")).to_contain_text(f"{before + 5} credits")
    expect(page.locator("#live")).to_have_text("It is cancelled. 5 credits came back to you.")
    expect(page).to_have_url(re.compile(r"/followups/$"))
    assert balance_of(world.reader) == before + 5
    visitor.check_access()
    visitor.check_fits()
    assert failures == []  # the policy, too, had nothing to refuse


def test_the_quote_follows_the_choice_and_can_be_ordered(world: World, visit: Any) -> None:
    visitor: Visitor = visit(size=PHONE)
    sign_in(visitor, world)
    page = visitor.page
    page.get_by_role("link", name=re.compile("Schedule a follow-up ?: Love")).click()
    page.get_by_label(re.compile("Practice reminder")).check()
    expect(page.locator("#quote")).to_contain_text("Order it for 3 credits")
    page.get_by_label(re.compile("Check-in")).check()
    expect(page.locator("#quote")).to_contain_text("Order it, free")
    visitor.check_access()
    page.get_by_role("button", name="Order it, free").click()
    expect(page.get_by_text("It is booked and goes out on")).to_be_visible()
    newest = FollowUpSchedule.objects.latest("created_at")
    assert (newest.template.name, newest.status) == ("Check-in", "pending")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_all_of_it_works_without_scripts(world: World, visit: Any, size: Any) -> None:
    visitor: Visitor = visit(size=size, java_script_enabled=False)
    sign_in(visitor, world)
    page = visitor.page
    card(visitor, world).get_by_role("link", name="Change the time").click()
    day = localtime(now(), world.reader.zone) + timedelta(days=12)
    page.get_by_label("New time").fill(f"{day:%Y-%m-%d}T10:30")
    page.get_by_role("button", name="Change the time").click()
    expect(page.get_by_text("It goes out on")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(page.get_by_text("It is cancelled. 5 credits came back to you.")).to_be_visible()
    page.get_by_role("link", name=re.compile("^Inbox")).first.click()
    page.get_by_role("link", name=re.compile("New")).first.click()
    page.get_by_role("link", name="தமிழ்").click()
    expect(page.get_by_role("link", name=re.compile("^விருப்பங்கள்"))).to_be_visible()
    page.get_by_role("link", name=re.compile("^விருப்பங்கள்")).click()
    page.get_by_label("குறுஞ்செய்தி").uncheck()
    page.get_by_role("button", name="சேமிக்க").click()
    expect(page.get_by_text("உங்கள் விருப்பங்களைச் சேமித்துவிட்டோம்.")).to_be_visible()
    assert preferences_of(world.reader).channels["sms"] is False
    page.get_by_role("button", name=re.compile("வெளியேறுக")).click()
    expect(page.get_by_role("heading", name="மீண்டும் வருக")).to_be_visible()  # the choice outlives the sign-in


def test_by_keyboard_alone(world: World, visit: Any) -> None:
    visitor: Visitor = visit(world.reader)
    visitor.open("/language/en")
    visitor.open("/followups/")
    page = visitor.page
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the main content")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_contain_text("Total")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_a_sign_in_that_ended_meanwhile_leads_to_the_sign_in(world: World, visit: Any) -> None:
    visitor: Visitor = visit(world.reader)
    visitor.open("/language/en")
    visitor.open("/followups/")
    visitor.page.context.clear_cookies()
    card(visitor, world).get_by_role("link", name="Cancel").click()
    expect(visitor.page).to_have_url(re.compile(r"/accounts/login\?next=/followups/"))
