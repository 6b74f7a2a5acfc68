"""Writing a template, in a real browser: seen while it's typed, tried out, compared, taken back, applied."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from followups.models import DirectMessage, FollowUpSchedule, FollowUpTemplate, SandboxMessage
from followups.services.direct import deliver_direct
from followups.services.templates import save_template
from jyotiflow.accounts.models import User
from tests.browser.conftest import DESKTOP, PHONE, Visitor, World
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "/admin/followups/followuptemplate/"


@pytest.fixture
def editor(transactional_db: None) -> User:
    return UserFactory(admin=True, email="editor@example.test", preferred_language="en")


def template_of(world: World, name: str) -> FollowUpTemplate:
    return FollowUpTemplate.objects.get(name=name)


def open_template(visitor: Visitor, template: FollowUpTemplate) -> Any:
    visitor.open(f"{BASE}{template.pk}/change/")
    expect(visitor.page.locator("#preview .look")).to_have_count(2)
    return visitor.page


def test_an_sms_is_seen_and_counted_while_it_is_written(world: World, editor: User, visit: Any) -> None:
    visitor: Visitor = visit(editor)
    template = template_of(world, "Practice reminder")
    page = open_template(visitor, template)
    failures: list[str] = []
    page.on("console", lambda message: failures.append(message.text) if message.type == "error" else None)
    english = page.locator("#preview .look").first
    expect(english.locator(".bubble")).to_have_text("A quiet moment: ten breaths, wherever you are.")
    expect(english).to_contain_text("1 segment, GSM-7, 46 units.")
    content = page.get_by_label("Content:", exact=True)
    content.press("End")
    content.press_sequentially(" It’s ")
    page.get_by_role("button", name="{{user_name}}").click()
    expect(content).to_be_focused()
    expect(content).to_have_value("A quiet moment: ten breaths, wherever you are. It’s {{user_name}}")
    expect(english.locator(".bubble")).to_contain_text("It’s Lakshmi")
    expect(english).to_contain_text("“’” (right single quotation mark) in line 1, place 50")
    expect(page.locator("#marks-tamil_content")).to_contain_text("only in English {{user_name}}")
    content.fill("A {{wish}}")
    expect(page.locator("#marks-content")).to_contain_text("Unknown variable {{wish}}")
    page.get_by_label("Custom variables:").fill("wish")
    expect(page.locator("#marks-content")).to_be_empty()
    expect(page.get_by_role("button", name="{{wish}}")).to_be_visible()
    expect(page.get_by_label("DLT template id:", exact=True)).to_be_visible()
    expect(page.get_by_label("WhatsApp content SID:", exact=True)).to_be_hidden()
    assert failures == []  # the policy, too, had nothing to refuse
    visitor.check_access()
    visitor.check_fits()
    template.refresh_from_db()
    assert template.content == "A quiet moment: ten breaths, wherever you are."  # nothing was saved
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("This is version 2.")).to_be_visible()


def test_a_mail_is_shown_for_a_reader_of_one_s_choice(world: World, editor: User, visit: Any) -> None:
    visitor: Visitor = visit(editor)
    page = open_template(visitor, template_of(world, "Thank you"))
    mail = page.frame_locator("iframe[name=mail-en]")
    expect(mail.get_by_text("Dear Lakshmi,", exact=True)).to_be_visible()
    person = page.get_by_label("For the reader")
    person.fill("lakshmi@")
    page.get_by_role("button", name=world.reader.email).click()
    expect(mail.get_by_text(f"Dear {world.reader.name},", exact=True)).to_be_visible()
    expect(person).to_have_value(world.reader.email)
    page.get_by_label("About the session").select_option(index=1)
    day = world.session.completed_at
    assert day is not None
    expect(mail.locator("p", has_text=re.compile(rf"your session on \d+ {day:%B %Y}"))).to_be_visible()
    page.get_by_text("Plain text").first.click()
    expect(page.locator("#preview pre").first).to_contain_text("thank you for your session")
    visitor.check_access()


def test_a_test_arrives_in_the_outbox(world: World, editor: User, visit: Any) -> None:
    visitor: Visitor = visit(editor)
    page = open_template(visitor, template_of(world, "Thank you"))
    page.get_by_label("In:").select_option("ta")
    expect(page.get_by_label("To:")).to_have_value("editor@example.test")
    page.get_by_role("button", name="Send the test").click()
    expect(page.locator("#tested")).to_contain_text("The test message is on its way.")
    row = DirectMessage.objects.get()
    deliver_direct(message_id=row.pk)
    sent = SandboxMessage.objects.get(follow_up_id=row.pk)
    assert (sent.to, sent.language) == ("editor@example.test", "ta")
    assert sent.subject.startswith("[Test] ")
    page.get_by_role("button", name="Send the test").click()
    expect(page.locator("#tested")).to_contain_text("on its way")
    page.wait_for_load_state("networkidle")
    assert DirectMessage.objects.count() == 2  # each press is one


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("has_scripts", [True, False], ids=["scripts", "plain"])
def test_versions_are_compared_restored_and_applied(
    world: World, editor: User, visit: Any, size: Any, has_scripts: bool
) -> None:
    visitor: Visitor = visit(editor, size=size, java_script_enabled=has_scripts)
    template = template_of(world, "Thank you")
    save_template(template=template, fields={"content": "Dear {{user_name}}, other words."}, actor=editor)
    visitor.open(f"{BASE}{template.pk}/change/")
    page = visitor.page
    page.get_by_role("link", name="Versions").click()
    expect(page.get_by_role("heading", name="From version 1 to version 2")).to_be_visible()
    expect(page.locator("ins").first).to_be_visible()
    page.get_by_role("link", name="Restore version 1").click()
    page.get_by_role("button", name="Restore version 1").click()
    expect(page.get_by_text("The text of version 1 is back, as version 3.")).to_be_visible()
    save_template(template=template, fields={"content": "Dear {{user_name}}, better words."}, actor=editor)
    page.reload()
    expect(page.get_by_role("link", name="In use by 1 follow-up that waits.")).to_be_visible()
    page.get_by_role("link", name="Apply the newest version to them").click()
    expect(page.get_by_text("Their price stays")).to_be_visible()
    if has_scripts:
        visitor.check_access()
        visitor.check_fits()
    page.get_by_role("button", name="Apply version 4 to 1 follow-up").click()
    expect(page.get_by_text("1 follow-up has the new text now.")).to_be_visible()
    pending = FollowUpSchedule.objects.get(pk=world.pending.pk)
    assert (pending.template_version.number, pending.credits_charged) == (4, 5)


def test_the_preview_works_without_scripts(world: World, editor: User, visit: Any) -> None:
    visitor: Visitor = visit(editor, java_script_enabled=False)
    template = template_of(world, "Thank you")
    visitor.open(f"{BASE}{template.pk}/change/")
    visitor.page.get_by_label("Content:", exact=True).fill("Dear {{user_name}}, unsaved.")
    with visitor.page.context.expect_page() as opened:
        visitor.page.get_by_role("button", name="Preview").click()
    page = opened.value
    expect(page.get_by_text("Nothing is saved")).to_be_visible()
    page.get_by_role("button", name="Show the mail").first.click()
    expect(
        page.frame_locator("iframe[name=mail-en]").locator("p", has_text="Dear Lakshmi, unsaved.")
    ).to_be_visible()


@pytest.mark.parametrize(
    ("size", "language"), [(DESKTOP, "ta"), (PHONE, "en")], ids=["desktop-ta", "phone-en"]
)
def test_every_page_fits_and_everybody_can_use_it(
    world: World, editor: User, visit: Any, size: Any, language: str
) -> None:
    visitor: Visitor = visit(editor, size=size, color_scheme="dark")
    visitor.open(f"/language/{language}?next=/admin/")
    template = template_of(world, "Thank you")
    save_template(template=template, fields={"content": "Dear {{user_name}}."}, actor=editor)
    own = f"{BASE}{template.pk}/"
    for path in (
        f"{BASE}add/",
        f"{own}change/",
        f"{own}versions/",
        f"{own}restore/?version=1",
        f"{own}apply/",
    ):
        visitor.open(path)
        visitor.check_fits()
        visitor.check_access()
