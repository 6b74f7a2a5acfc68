"""Staff at work on follow-ups: find one, read its life, change many after a look, export, import."""

import csv
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils.timezone import now
from playwright.sync_api import Page, expect

from credits.selectors import balance_of
from followups.choices import BulkState
from followups.models import BulkChange, FollowUpSchedule
from followups.services.bulk import AT_ONCE
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.tasks import go_on_with_bulk_changes
from jyotiflow.accounts.models import User
from tests.browser.conftest import DESKTOP, PHONE, World
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/followups/followupschedule/"


@pytest.fixture
def operator(transactional_db: None) -> User:
    return UserFactory(admin=True, preferred_language="en")


def act(page: Page, action: str) -> None:
    page.get_by_label("Action:").select_option(label=action)
    page.get_by_role("button", name="Go").click()


def work_until(state: BulkState) -> None:
    """Work on the one bulk change as beat has it done each second."""
    while BulkChange.objects.get().state != state:
        go_on_with_bulk_changes()


def select(page: Page, follow_up: FollowUpSchedule) -> None:
    page.locator(f'input[name="_selected_action"][value="{follow_up.pk}"]').check()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_one_is_found_and_its_life_is_read(world: World, operator: User, visit: Any, size: Any) -> None:
    visitor = visit(operator, size=size)
    visitor.open(LIST)
    visitor.check_access()
    visitor.page.locator("#searchbar").fill("lakshmi@")
    visitor.page.locator('#changelist-search input[type="submit"]').click()
    expect(visitor.page.locator("#result_list tbody tr")).to_have_count(6)
    visitor.open(f"{LIST}{world.pending.pk}/change/")
    life = visitor.page.get_by_role("region", name="What happened")
    expect(life).to_contain_text("Charged 5 credits")
    expect(life).to_contain_text("Asia/Kolkata")
    expect(life.locator(".timeline-time").first).to_have_attribute("title", re.compile("UTC$"))
    visitor.check_access()
    visitor.check_fits()
    visitor.open(f"/language/ta?next={LIST}{world.pending.pk}/change/")
    visitor.check_access()
    visitor.check_fits()


def test_the_list_is_narrowed_by_what_is_picked_and_typed(world: World, operator: User, visit: Any) -> None:
    visitor = visit(operator)
    visitor.open(LIST)
    page = visitor.page
    page.get_by_label("Template").select_option(label="Practice reminder (sms)")
    page.locator("form.form-filter", has=page.get_by_label("Template")).get_by_role("button").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(2)
    page.get_by_label("Code").fill("30003")
    page.get_by_label("Code").press("Enter")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    expect(page.locator("#result_list")).to_contain_text("The phone could not be reached.")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_many_are_cancelled_after_a_look_and_refunded(
    world: World, operator: User, visit: Any, size: Any
) -> None:
    before = balance_of(world.reader)
    visitor = visit(operator, size=size)
    visitor.open(LIST)
    select(visitor.page, world.pending)
    select(visitor.page, world.inbox)
    act(visitor.page, "Cancel (refund by settings)")
    expect(visitor.page.get_by_role("status")).to_contain_text("1 will be cancelled.")
    expect(visitor.page.get_by_role("status")).to_contain_text("5 credits go back to their readers.")
    expect(visitor.page.locator(".bulk-refusals")).to_contain_text("only one that is still scheduled")
    visitor.check_access()
    visitor.check_fits()
    assert balance_of(world.reader) == before
    visitor.page.get_by_role("button", name="Yes, do it").click()
    expect(visitor.page.get_by_role("status")).to_contain_text("1 cancelled.")
    expect(visitor.page.get_by_role("status")).to_contain_text("5 credits given back.")
    visitor.check_access()
    assert balance_of(world.reader) == before + 5
    visitor.open(f"{LIST}{world.pending.pk}/change/")
    life = visitor.page.get_by_role("region", name="What happened")
    expect(life).to_contain_text(f"Cancelled by {operator.email}")
    expect(life).to_contain_text("Refunded 5 credits: it was cancelled")


def test_all_that_match_are_moved_in_the_background_with_a_bar(
    world: World, operator: User, visit: Any
) -> None:
    update_settings(changes={"min_interval_hours": 0})
    start = now() + timedelta(days=1)
    count = AT_ONCE + 60
    for number in range(count):
        schedule_follow_up(
            user=world.reader,
            template_id=world.inbox.template_id,
            scheduled_at=start + timedelta(minutes=number),
        )
    visitor = visit(operator)
    visitor.open(f"{LIST}?channel__exact=in_app&status__exact=pending")
    page = visitor.page
    page.locator("#action-toggle").check()
    page.locator(".actions .question a").click()  # all that match, on every page
    act(page, "Reschedule")
    page.get_by_label("Or each by so many hours").fill("2")
    visitor.check_access()
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_role("status")).to_contain_text(f"Looked at {AT_ONCE} of {count}.")
    visitor.check_access()
    work_until(BulkState.READY)  # the page looks again by itself
    expect(page.get_by_role("status")).to_contain_text(f"{count} will be moved.")
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text(f"{AT_ONCE} of {count} dealt with.")
    work_until(BulkState.FINISHED)
    expect(page.get_by_role("status")).to_contain_text(f"{count} moved.")
    expect(page.get_by_role("progressbar")).to_have_count(0)
    moved = FollowUpSchedule.objects.filter(scheduled_at=start + timedelta(hours=2))
    assert moved.count() == 1


def test_the_filtered_list_is_exported(world: World, operator: User, visit: Any, tmp_path: Path) -> None:
    visitor = visit(operator)
    visitor.open(f"{LIST}?channel__exact=sms")
    visitor.page.locator("#action-toggle").check()
    with visitor.page.expect_download() as waited:
        act(visitor.page, "Export selected as CSV")
    waited.value.save_as(tmp_path / "export.csv")
    with (tmp_path / "export.csv").open(encoding="utf-8-sig", newline="") as file:
        titles, *rows = csv.reader(file)
    assert titles[:2] == ["id", "user__email"]
    assert {row[1] for row in rows} == {"lakshmi@example.test"}
    assert len(rows) == 2


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_file_is_looked_at_and_booked(
    world: World, operator: User, visit: Any, tmp_path: Path, size: Any
) -> None:
    before = balance_of(world.reader)
    at = f"{now() + timedelta(days=20):%Y-%m-%d} 10:00"
    file = tmp_path / "rows.csv"
    rows = [f"{email},Thank you,{at}" for email in (world.reader.email, "nobody@example.test")]
    file.write_text("\n".join(["email,template,scheduled_at", *rows]))
    visitor = visit(operator, size=size)
    visitor.open(LIST)
    visitor.page.get_by_role("link", name="Schedule from a file").click()
    visitor.check_access()
    visitor.check_fits()
    visitor.page.get_by_label("File").set_input_files(file)
    visitor.page.get_by_role("button", name="Look at it").click()
    expect(visitor.page.get_by_role("status")).to_contain_text("1 will be booked.")
    expect(visitor.page.get_by_role("status")).to_contain_text("5 credits will be charged to their readers.")
    expect(visitor.page.locator(".bulk-refused")).to_contain_text("Column email: there is no such user")
    visitor.check_access()
    visitor.check_fits()
    visitor.page.get_by_role("button", name="Yes, do it").click()
    expect(visitor.page.get_by_role("status")).to_contain_text("1 booked.")
    assert balance_of(world.reader) == before - 5
