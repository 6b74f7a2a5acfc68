"""A real browser, and a person whose pages have something to show."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils.timezone import now
from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright

from credits.services import grant
from followups.models import FollowUpSchedule, FollowUpTemplate
from followups.services.delivery import deliver
from followups.services.dispatch import claim_due
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.templates import save_template
from followups.services.withdrawing import cancel_follow_up
from jyotiflow.accounts.models import User
from sessions_app.models import Session
from tests.factories import UserFactory

AXE = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
GRAVE = ("serious", "critical")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium; nothing is downloaded."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no chromium on this machine (Debian, Ubuntu: apt install chromium)")
    # Playwright's loop runs in this thread, and Django would take that for asynchronous code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@dataclass
class Visitor:
    """One window, and whoever sits in front of it."""

    page: Page
    base: str

    def open(self, path: str, status: int = 200) -> None:
        answer = self.page.goto(self.base + path)
        assert answer is not None
        assert answer.status == status, path
        self.page.wait_for_load_state("networkidle")

    def check_access(self) -> None:
        """Axe finds nothing serious or critical."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found: list[dict[str, Any]] = self.page.evaluate("axe.run().then(result => result.violations)")
        grave = [
            (each["id"], each["nodes"][0]["html"][:200], each["nodes"][0]["failureSummary"][:300])
            for each in found
            if each["impact"] in GRAVE
        ]
        assert grave == [], f"{self.page.url}: {grave}"

    def check_fits(self) -> None:
        """Nothing is wider than the window."""
        root = "document.documentElement"
        wide = self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
        assert wide <= 0, f"{self.page.url} is {wide} px too wide"


@pytest.fixture
def visit(browser: Browser, live_server: Any) -> Iterator[Any]:
    """Opens windows: of a size, in a colour scheme, with or without scripts, signed in or not."""
    contexts: list[BrowserContext] = []

    def open_window(user: User | None = None, *, size: Any = DESKTOP, **how: Any) -> Visitor:
        context = browser.new_context(viewport=size, locale="en-GB", **how)
        contexts.append(context)
        if user is not None:
            client = Client()
            client.force_login(user)
            name = settings.SESSION_COOKIE_NAME
            context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])
        return Visitor(context.new_page(), live_server.url)

    yield open_window
    for context in contexts:
        with contextlib.suppress(Error):
            context.close()


LONG_TAMIL = (
    "அன்புள்ள {{user_name}}, உங்கள் அமர்வில் நாம் பேசியவற்றை நினைவில் வைத்திருப்பீர்கள் என்று நம்புகிறோம். "
    "தினமும் காலையில் பத்து நிமிடம் அமைதியாக அமர்ந்து, மூச்சைக் கவனியுங்கள்; எண்ணங்கள் வரும், போகும். "
    "குடும்பத்தில் உள்ளவர்களிடம் பேசும் முன் ஒரு கணம் நின்று, அவர்கள் சொல்வதை முழுமையாகக் கேளுங்கள்.\n\n"
)


@dataclass
class World:
    """A Tamil reader with a year of follow-ups of every kind."""

    reader: User
    pending: FollowUpSchedule
    inbox: FollowUpSchedule
    session: Session


@pytest.fixture
def world(transactional_db: None) -> World:
    reader = UserFactory(
        email="lakshmi@example.test",
        name="லட்சுமி சுந்தரராஜன்",
        phone="+919840012345",
        preferred_language="ta",
        timezone="Asia/Kolkata",
    )
    grant(user=reader, amount=120, reason="நன்றி", key="browser:grant")
    thanks = _template(
        name="Thank you",
        tamil_name="நன்றி மடல்",
        channel="email",
        credits_cost=5,
        subject="How is your journey going, {{user_name}}?",
        tamil_subject="உங்கள் பயணம் எப்படிச் செல்கிறது, {{user_name}}?",
        content="Dear {{user_name}},\n\nthank you for your session on {{session_date}}. "
        "Take ten quiet minutes each morning, and write down what comes to you.\n\nWith light, JyotiFlow",
        tamil_content=LONG_TAMIL * 4,
    )
    check_in = _template(
        name="Check-in",
        tamil_name="நலம் விசாரிப்பு",
        channel="in_app",
        credits_cost=0,
        subject="A question for you",
        tamil_subject="உங்களிடம் ஒரு கேள்வி",
        content="Dear {{user_name}}, how have the last days been?",
        tamil_content="அன்புள்ள {{user_name}}, கடந்த சில நாட்கள் எப்படி இருந்தன?",
    )
    reminder = _template(
        name="Practice reminder",
        tamil_name="பயிற்சி நினைவூட்டல்",
        channel="sms",
        credits_cost=3,
        subject="A quiet moment",
        tamil_subject="ஓர் அமைதியான கணம்",
        content="A quiet moment: ten breaths, wherever you are.",
        tamil_content="ஓர் அமைதியான கணம்: எங்கிருந்தாலும் பத்து மூச்சுகள்.",
    )
    family = _session(reader, "spiritual_guidance", "குடும்பத்தில் அமைதி நிலவ நான் என்ன செய்ய வேண்டும்?", 2)
    work = _session(reader, "career", "Should I accept the new role I was offered in Chennai?", 20)
    _session(reader, "love", "", 60)
    moment = now()
    update_settings(changes={"quiet_hours_start": "00:00", "quiet_hours_end": "00:00"})  # at any hour
    read = _sent(reader, thanks, family, 0)
    inbox = _sent(reader, check_in, family, 30)
    _sent(reader, check_in, work, 60)
    update_settings(changes={"quiet_hours_start": "21:00", "quiet_hours_end": "08:00"})
    FollowUpSchedule.objects.filter(pk=read.pk).update(status="read", delivered_at=moment, read_at=moment)
    pending = schedule_follow_up(
        user=reader, template_id=thanks.pk, session_id=work.pk, scheduled_at=moment + timedelta(days=9)
    )
    cancelled = schedule_follow_up(
        user=reader, template_id=reminder.pk, session_id=family.pk, scheduled_at=moment + timedelta(days=5)
    )
    cancel_follow_up(follow_up_id=cancelled.pk, owner=reader)
    failed = schedule_follow_up(
        user=reader, template_id=reminder.pk, session_id=work.pk, scheduled_at=moment + timedelta(days=6)
    )
    FollowUpSchedule.objects.filter(pk=failed.pk).update(
        status="failed",
        failed_at=moment,
        failure_code="30003",
        failure_reason="The phone could not be reached.",
        credits_refunded=3,
        refunded_at=moment,
    )
    return World(reader, pending, inbox, family)


def _template(**fields: Any) -> FollowUpTemplate:
    return save_template(fields={"template_type": "session_followup", "local_time": time(10), **fields})[0]


def _session(reader: User, service_type: str, question: str, days_ago: int) -> Session:
    at = now() - timedelta(days=days_ago)
    session = Session.objects.create(
        user=reader,
        service_type=service_type,
        question=question,
        guidance_summary="…",
        status=Session.Status.COMPLETED,
        completed_at=at,
    )
    Session.objects.filter(pk=session.pk).update(created_at=at)
    return session


def _sent(reader: User, template: FollowUpTemplate, session: Session, days: int) -> FollowUpSchedule:
    """Booked far enough apart, then brought to this moment and sent."""
    follow_up = schedule_follow_up(
        user=reader, template_id=template.pk, session_id=session.pk, scheduled_at=now() + timedelta(days=1)
    )
    past = now() - timedelta(days=90 - days)
    FollowUpSchedule.objects.filter(pk=follow_up.pk).update(
        due_at=now() - timedelta(seconds=1), origin="instant", scheduled_at=past
    )
    for claim in claim_due(limit=10):
        deliver(follow_up_id=claim.follow_up_id, token=claim.token)
    follow_up.refresh_from_db()
    assert follow_up.sent_at, follow_up.failure_code
    return follow_up
