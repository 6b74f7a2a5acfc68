"""The dashboard in a real browser: it draws, follows what happens, switches channels; scripts or not."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now
from playwright.sync_api import ConsoleMessage, Page, expect

from followups.models import ChannelSwitch, FollowUpSchedule
from followups.services.analytics import roll_up_changed_days
from followups.services.delivery import deliver
from followups.services.dispatch import claim_due
from tests.browser.conftest import DESKTOP, PHONE, Visitor, World
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/admin/followups/dashboard/"


def tile(page: Page, title: str) -> Any:
    return page.locator(".tiles > div", has=page.get_by_text(title, exact=True)).locator("dd").first


def hide(page: Page, is_hidden: bool) -> None:
    """As a tab behind another one is."""
    value = str(is_hidden).lower()
    page.evaluate(f"Object.defineProperty(document, 'hidden', {{value: {value}, configurable: true}})")


def work() -> None:
    """As worker and beat would: send what is due, count the day anew."""
    for claim in claim_due(limit=10):
        deliver(follow_up_id=claim.follow_up_id, token=claim.token)
    roll_up_changed_days()


@pytest.mark.parametrize(
    ("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone-dark"]
)
def test_it_draws_follows_and_switches(world: World, visit: Any, size: Any, scheme: str) -> None:
    roll_up_changed_days()
    visitor: Visitor = visit(UserFactory(admin=True), size=size, color_scheme=scheme)
    page, failures = visitor.page, []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error":
            failures.append(message.text)

    page.on("console", listen)
    page.clock.install()
    visitor.open("/language/en?next=/admin/")
    page.get_by_role("link", name=re.compile("^Dashboard")).click()
    expect(page.locator("canvas")).to_have_count(5)
    expect(page.locator("figure table").first).to_be_hidden()
    drawn = page.evaluate(
        "[...document.querySelectorAll('canvas')].every(c => Chart.getChart(c).data.labels.length)"
    )
    assert drawn
    expect(tile(page, "Sent")).to_have_text("3")
    visitor.check_fits()
    FollowUpSchedule.objects.filter(pk=world.pending.pk).update(due_at=now() - timedelta(seconds=1))
    work()
    hide(page, True)
    page.clock.fast_forward(10_000)
    page.wait_for_timeout(500)
    expect(tile(page, "Sent")).to_have_text("3")  # nobody looks, nothing is asked
    hide(page, False)
    page.clock.fast_forward(10_000)
    expect(tile(page, "Sent")).to_have_text("4")

    row = page.locator("#channel-sms")
    row.get_by_text("Pause…").click()
    row.get_by_label("Reason, shown to staff").fill("Numbers are being moved")
    visitor.check_access()
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("Paused")
    expect(row).to_contain_text("Numbers are being moved")
    assert ChannelSwitch.objects.get(channel="sms").is_paused
    row.get_by_role("button", name="Resume SMS").click()
    expect(row).to_contain_text("Running")
    page.locator("#chart-messages summary").click()
    expect(page.locator("#chart-messages table")).to_be_visible()
    visitor.check_access()
    visitor.check_fits()
    assert failures == []


def test_it_leaves_a_reason_that_is_being_typed_alone(world: World, visit: Any) -> None:
    visitor: Visitor = visit(UserFactory(admin=True))
    visitor.open("/language/en?next=" + PAGE)
    page = visitor.page
    before = page.locator("#shown-at").text_content() or ""
    page.locator("#channel-sms").get_by_text("Pause…").click()
    page.locator("#channel-sms").get_by_label("Reason, shown to staff").fill("Numb")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # one of its moments to refresh
    page.wait_for_timeout(500)
    expect(page.locator("#shown-at")).to_have_text(before)
    expect(page.get_by_label("Reason, shown to staff").nth(1)).to_have_value("Numb")


def test_it_works_without_scripts(world: World, visit: Any) -> None:
    roll_up_changed_days()
    visitor: Visitor = visit(UserFactory(admin=True), java_script_enabled=False)
    visitor.open("/language/en?next=" + PAGE)
    page = visitor.page
    expect(page.locator("#chart-messages table")).to_be_visible()
    expect(page.locator("#chart-messages canvas")).to_be_hidden()
    page.get_by_label("Channel:").select_option("email")
    page.get_by_role("button", name="Show").click()
    expect(tile(page, "Sent")).to_have_text("1")
    row = page.locator("#channel-push")
    row.get_by_text("Pause…").click()
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("Paused")
    expect(page).to_have_url(re.compile("channel=email"))


def test_an_ended_sign_in_leads_to_the_sign_in(world: World, visit: Any) -> None:
    visitor: Visitor = visit(UserFactory(admin=True))
    visitor.open("/language/en?next=" + PAGE)
    visitor.page.context.clear_cookies()
    visitor.page.evaluate("htmx.trigger('#live', 'refresh')")
    expect(visitor.page).to_have_url(re.compile(r"/admin/login/"))
