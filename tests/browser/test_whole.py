"""One day with the product as it runs: real web, workers and beat, a reader and an admin at their browsers.

Everything is done and seen on pages, in the mailbox and by the API; nothing here writes to the database once
the processes run.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.management import call_command
from django.db.models import Sum
from django.utils.timezone import localtime, now
from playwright.sync_api import Browser, Locator, Page, expect
from smtpdfix import AuthController

from credits.models import CreditEntry
from credits.selectors import imbalances
from jyotiflow.accounts.models import User
from tests.browser.conftest import PHONE, Visitor
from tests.browser.running import (
    ARRIVES_WITHIN_SECONDS,
    CREDITS,
    Running,
    people,
    reload_until,
    running_product,
    send_at_once,
    sign_in,
)
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)
DASHBOARD, SETTINGS = "/admin/followups/dashboard/", "/admin/followups/settings/"
SUBJECT = "A word after your session"


@pytest.fixture
def running(
    browser: Browser, smtpd: AuthController, tmp_path: Path, transactional_db: None
) -> Iterator[Running]:
    call_command("load_starters", verbosity=0)
    send_at_once("session-followup-sms", "session-followup-whatsapp", "session-followup-push")
    expect.set_options(timeout=ARRIVES_WITHIN_SECONDS * 1000)
    try:
        with running_product(who=people(), mailbox=smtpd, browser=browser, logs=tmp_path) as started:
            yield started
    finally:
        expect.set_options(timeout=5_000)


class Api:
    """The API, as a person's program calls it."""

    def __init__(self, base: str, who: User) -> None:
        self.base = base
        answer = requests.post(
            f"{base}/api/auth/login", json={"email": who.email, "password": PASSWORD}, timeout=30
        )
        self.headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def read(self, path: str) -> Any:
        answer = requests.get(self.base + path, headers=self.headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def ask(self, path: str, body: Any) -> Any:
        answer = requests.post(self.base + path, json=body, headers=self.headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def balance(self) -> int:
        return int(self.read("/api/user/credits")["credits"])


def test_a_day(running: Running) -> None:
    admin, reader = running.window(), running.window(size=PHONE)
    sign_in(admin, running.people.admin, SETTINGS)
    settings_are_changed(admin)
    a_template_is_written(running, admin)
    a_session_is_completed(running, admin, running.people.first.pk)
    sign_in(reader, running.people.reader, "/followups/")
    as_reader = Api(running.base, running.people.reader)
    the_follow_up_arrives(running, reader)
    assert as_reader.balance() == CREDITS - 5 - 2  # the email, and in three days the inbox
    one_is_cancelled(reader, as_reader)
    one_is_quoted_booked_and_moved(running, reader, as_reader)
    two_channels_are_paused_and_a_preference_is_obeyed(running, admin, reader, as_reader)
    the_next_message_is_in_tamil(running, admin, reader)
    the_numbers_agree(running, admin, as_reader)
    a_setting_is_obeyed(running, admin, as_reader)


def settings_are_changed(admin: Visitor) -> None:
    """No distance between two messages and no quiet hours, else nothing would arrive while we look."""
    page = admin.page
    page.get_by_label("Distance between two").fill("0")
    page.get_by_label("Follow-ups a session").fill("10")
    page.locator("[name=quiet_hours_start]").fill("00:00")
    page.locator("[name=quiet_hours_end]").fill("00:00")
    page.locator("[name=quiet_hours_end]").press("Tab")
    expect(page.get_by_text("Both are the same: there are no quiet hours.")).to_be_visible()
    page.get_by_role("button", name="Save").first.click()
    expect(page.get_by_text("The settings are saved.")).to_be_visible()


def a_template_is_written(running: Running, admin: Visitor) -> None:
    page = admin.page
    admin.open("/admin/followups/followuptemplate/")
    page.get_by_role("link", name="Session Follow-up 1", exact=True).click()
    page.locator("[name=subject]").fill(SUBJECT + ", {{user_name}}")
    preview = page.locator("#preview")
    expect(preview).to_contain_text(SUBJECT)
    page.get_by_label("For the reader").fill(running.people.reader.email)
    expect(preview).to_contain_text(f"{SUBJECT}, Lakshmi")
    page.locator("[name=delay_hours]").fill("0")
    page.locator("[name=local_time]").fill("")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("This is version 2.")).to_be_visible()
    page.locator("[name=test_to]").fill("proof@example.test")
    page.get_by_role("button", name="Send the test").click()
    expect(page.get_by_text("The test message is on its way.")).to_be_visible()
    running.wait_for(lambda: running.mail_to("proof@example.test", subject=SUBJECT))


def a_session_is_completed(running: Running, admin: Visitor, session_id: str) -> None:
    page = admin.page
    admin.open("/admin/sessions_app/session/")
    page.locator(f"[name=_selected_action][value='{session_id}']").check()
    page.locator("select[name=action]").select_option("complete_sessions")
    page.locator("button[name=index]").click()
    expect(page.get_by_text("1 session is completed.")).to_be_visible()


def the_follow_up_arrives(running: Running, reader: Visitor) -> None:
    reader.open("/followups/")
    sent = card(reader.page, SUBJECT)
    reload_until(reader.page, sent, "Sent")
    expect(sent).to_contain_text("5 credits")
    expect(card(reader.page, "A quiet moment with your guidance")).to_contain_text("Scheduled")
    mail = running.mail_to(running.people.reader.email, subject=f"{SUBJECT}, Lakshmi")
    assert mail is not None
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert {part.get_content_type() for part in mail.walk()} >= {"text/plain", "text/html"}


def one_is_cancelled(reader: Visitor, api: Api) -> None:
    before = api.balance()
    page = reader.page
    quiet = card(page, "A quiet moment with your guidance")
    quiet.get_by_role("link", name="Cancel").click()
    expect(quiet).to_contain_text("You get 2 credits back.")
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(quiet).to_contain_text("2 credits returned to you")
    expect(page.locator("#counts")).to_contain_text(f"{before + 2} credits")
    reader.open("/followups/credits")
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("Returned to you")
    expect(row.locator(".amount").first).to_have_text("+2")
    assert api.balance() == before + 2
    newest = api.read("/api/user/credits/history")[0]
    assert (newest["amount"], newest["balance_after"]) == (2, before + 2)


def one_is_quoted_booked_and_moved(running: Running, reader: Visitor, api: Api) -> None:
    before = api.balance()
    page = reader.page
    wall = localtime(now(), running.people.reader.zone) + timedelta(days=5)
    book(running, reader, "Practice Reminder SMS", "Order it for 3 credits", at=f"{wall:%Y-%m-%d}T10:30")
    assert api.balance() == before - 3
    reader.open(f"/followups/session/{running.people.first.pk}")
    booked = card(page, "A gentle reminder")
    booked.get_by_role("link", name="Change the time").click()
    later = wall + timedelta(days=2)
    page.get_by_label("New time").fill(f"{later:%Y-%m-%d}T11:15")
    booked.get_by_role("button", name="Change the time").click()
    expect(booked).to_contain_text(f"{later.day} {later:%B %Y}")
    expect(booked).to_contain_text("11:15")
    (item,) = api.read("/api/followup/my-followups?status=pending")
    assert item["scheduled_at"].startswith(f"{later:%Y-%m-%d}T")


def two_channels_are_paused_and_a_preference_is_obeyed(
    running: Running, admin: Visitor, reader: Visitor, api: Api
) -> None:
    """While they are paused another channel's message, booked after theirs, arrives."""
    page = reader.page
    for channel in ("sms", "whatsapp"):
        pause(admin, channel)
    before = api.balance()
    book(running, reader, "Session Follow-up SMS", "Order it for 3 credits")
    book(running, reader, "Session Follow-up WhatsApp", "Order it for 2 credits")
    book(running, reader, "Session Follow-up Push", "Order it for 1 credit")
    reader.open(f"/followups/session/{running.people.first.pk}")
    by_sms, by_whatsapp, by_push = (by_channel(page, name) for name in ("SMS", "WhatsApp", "Phone"))
    reload_until(page, by_push, "Read")
    expect(by_whatsapp).to_contain_text("Scheduled")
    expect(by_sms.filter(has_text="Thank you")).to_contain_text("Scheduled")
    admin.open(DASHBOARD)
    for channel in ("sms", "whatsapp"):
        expect(admin.page.locator(f"#channel-{channel} [data-title=Waiting]")).to_have_text("1")
    admin.open("/admin/followups/sandboxmessage/")
    expect(admin.page.locator("#result_list tbody tr")).to_have_count(1)

    page.get_by_role("link", name="தமிழ்").click()
    reader.open("/followups/preferences")
    page.get_by_label("குறுஞ்செய்தி").uncheck()
    page.locator("[name=preferred_language][value=ta]").check()
    page.get_by_role("button", name="சேமிக்க").click()
    expect(page.get_by_text("உங்கள் விருப்பங்களைச் சேமித்துவிட்டோம்.")).to_be_visible()
    for channel in ("sms", "whatsapp"):
        resume(admin, channel)
    reader.open(f"/followups/session/{running.people.first.pk}")
    by_whatsapp = by_channel(page, "வாட்ஸ்அப்")
    reload_until(page, by_whatsapp, "படிக்கப்பட்டது")
    reload_until(page, page.locator(".item-failed"), "இந்த வழியை நீங்கள் நிறுத்திவைத்திருந்தீர்கள்")
    assert api.balance() == before - 2 - 1
    failed = api.read("/api/followup/my-followups?status=failed")
    assert [(item["channel"], item["credits_refunded"]) for item in failed] == [("sms", 3)]


def the_next_message_is_in_tamil(running: Running, admin: Visitor, reader: Visitor) -> None:
    a_session_is_completed(running, admin, running.people.second.pk)
    reader.open(f"/followups/session/{running.people.second.pk}")
    first = reader.page.locator(".item").filter(has_text="மின்னஞ்சல்")
    reload_until(reader.page, first, "அனுப்பப்பட்டது")
    mail = running.mail_to(running.people.reader.email, subject="உங்கள் ஆன்மீகப் பயணம்")
    assert mail is not None
    assert text_of(mail).startswith("அன்புள்ள Lakshmi")


def the_numbers_agree(running: Running, admin: Visitor, as_reader: Api) -> None:
    """The dashboard's, the API's and the ledger's; four went out, and one was refused before."""
    page = admin.page
    admin.open(DASHBOARD)
    reload_until(page, tile(page, "Sent"), "4")
    as_admin = Api(running.base, running.people.admin)
    told = as_admin.read("/api/followup/admin/analytics")
    for title, key in (
        ("Sent", "total_sent"),
        ("Delivered", "total_delivered"),
        ("Read", "total_read"),
        ("Failed", "total_failed"),
        ("Credits charged", "total_credits_charged"),
        ("Credits refunded", "total_credits_refunded"),
    ):
        shown = tile(page, title).inner_text().split()[0]
        assert shown == str(told[key]), title
    entries = as_reader.read("/api/user/credits/history?limit=200")
    spent = [entry["amount"] for entry in entries if entry["amount"] < 0]
    returned = [entry["amount"] for entry in entries if entry["amount"] > 0 and entry["amount"] != CREDITS]
    assert (told["total_credits_charged"], told["total_credits_refunded"]) == (-sum(spent), sum(returned))
    ledger = CreditEntry.objects.aggregate(total=Sum("amount"))["total"]
    assert ledger == as_reader.balance() == CREDITS + sum(spent) + sum(returned)
    waiting = as_reader.read("/api/followup/my-followups?status=pending")
    earned = -sum(spent) - sum(returned) - sum(item["credits_charged"] for item in waiting)
    assert told["total_revenue"] == earned
    assert imbalances() == []


def a_setting_is_obeyed(running: Running, admin: Visitor, as_reader: Api) -> None:
    offered = next(
        item["template_id"]
        for item in as_reader.read("/api/followup/my-followups")
        if item["channel"] == "whatsapp"
    )
    wish = {"template_id": offered, "session_id": running.people.second.pk}

    def price() -> Any:
        return as_reader.ask("/api/followup/quote", wish)["data"]["credits_cost"]

    assert price() == 2
    admin.open(SETTINGS)
    admin.page.get_by_label("Charge credits").uncheck()
    admin.page.get_by_role("button", name="Save").first.click()
    expect(admin.page.get_by_text("The settings are saved.")).to_be_visible()
    running.wait_for(lambda: price() == 0)


def card(page: Page, subject: str) -> Locator:
    return page.locator(".item").filter(has_text=subject)


def by_channel(page: Page, name: str) -> Locator:
    return page.locator(".item").filter(has=page.locator(".channel", has_text=name))


def book(running: Running, reader: Visitor, name: str, order: str, *, at: str = "") -> None:
    page = reader.page
    reader.open(f"/followups/session/{running.people.first.pk}/new")
    if at:
        page.get_by_label("At what time?").fill(at)
    page.get_by_label(re.compile(name)).check()
    expect(page.locator("#quote")).to_contain_text(order)
    page.get_by_role("button", name=order).click()
    expect(page.get_by_text("It is booked and goes out on")).to_be_visible()


def pause(admin: Visitor, channel: str) -> None:
    admin.open(DASHBOARD)
    row = admin.page.locator(f"#channel-{channel}")
    row.locator("summary").click()
    row.get_by_label("Reason, shown to staff").fill("Numbers are being moved")
    row.locator("form button").click()
    expect(row).to_contain_text("Numbers are being moved")


def resume(admin: Visitor, channel: str) -> None:
    admin.open(DASHBOARD)
    row = admin.page.locator(f"#channel-{channel}")
    row.locator("form button").click()
    expect(row).to_contain_text("Running")


def tile(page: Page, title: str) -> Locator:
    return page.locator(".tiles > div", has=page.get_by_text(title, exact=True)).locator("dd").first


def text_of(mail: Message) -> str:
    part = next(part for part in mail.walk() if part.get_content_type() == "text/plain")
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()
