"""The whole product for a browser: its own processes on the test's database, and where its mail arrives."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import global_settings
from django.db import connection
from django.test import override_settings
from playwright.sync_api import Browser, Locator, Page, expect
from smtpdfix import AuthController

from credits.services import grant
from followups.models import Device, FollowUpTemplate
from followups.services.consent import register_device
from followups.services.templates import save_template
from jyotiflow.accounts.models import User
from jyotiflow.local.app import Place, finish, manage, require_running, running_app, wait_until_ready
from jyotiflow.local.processes import Child
from sessions_app.models import Session
from tests.browser.conftest import DESKTOP, Visitor
from tests.factories import PASSWORD, SessionFactory, UserFactory
from tests.faults.fleet import free_port

CREDITS = 100
ARRIVES_WITHIN_SECONDS = 60.0  # on a busy machine; else two or three
_BROKER = "/62"  # a database of its own: nothing of this process's tests is queued there


@dataclass
class People:
    """Who is there before anything runs. The reader had two sessions, which nobody has completed yet."""

    admin: User
    reader: User
    first: Session
    second: Session


@dataclass
class Running:
    """Web, beat and workers at ``base``."""

    base: str
    people: People
    mailbox: AuthController
    browser: Browser
    children: list[Child] = field(default_factory=list)

    def window(self, *, size: Any = DESKTOP) -> Visitor:
        """A window nobody is signed in at."""
        context = self.browser.new_context(viewport=size, locale="en-GB")
        context.set_default_timeout(ARRIVES_WITHIN_SECONDS * 1000)
        return Visitor(context.new_page(), self.base)

    def mail_to(self, address: str, *, subject: str) -> Message | None:
        """The mail to an address whose subject has these words, once it arrived."""
        for mail in list(self.mailbox.messages):
            if address in str(mail["To"]) and subject in str(make_header(decode_header(mail["Subject"]))):
                return mail
        return None

    def wait_for(self, found: Callable[[], Any]) -> Any:
        """What `found` finds, as soon as that is something."""
        deadline = time.monotonic() + ARRIVES_WITHIN_SECONDS
        while not (result := found()):
            require_running(self.children)
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.2)
        return result


def people() -> People:
    """Their passwords are as the product's processes hash them, not as quick as the tests'."""
    with override_settings(PASSWORD_HASHERS=global_settings.PASSWORD_HASHERS):
        reader = UserFactory(
            email="lakshmi@example.test",
            name="Lakshmi",
            phone="+447400123456",
            timezone="Europe/London",
            preferred_language="en",
        )
        admin = UserFactory(admin=True, email="arjun@example.test", name="Arjun")
    grant(user=reader, amount=CREDITS, reason="Welcome", key="whole:grant")
    register_device(user=reader, token="whole-device", platform=Device.Platform.ANDROID)
    first, second = (
        SessionFactory(user=reader, service_type="career", question=question)
        for question in ("Should I accept the new role?", "And if it means moving to Chennai?")
    )
    return People(admin, reader, first, second)


def send_at_once(*keys: str) -> None:
    """Have these starter templates go out as soon as they are booked."""
    for template in FollowUpTemplate.objects.filter(key__in=keys):
        save_template(fields={"delay_hours": 0, "local_time": None}, template=template)


@contextlib.contextmanager
def running_product(
    *, who: People, mailbox: AuthController, browser: Browser, logs: Path
) -> Iterator[Running]:
    """Everything `make run` starts, until the block ends: sandbox channels, and mail to the local mailbox."""
    port = free_port()
    base = f"http://localhost:{port}"
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    environment = {
        **os.environ,
        "DATABASE_URL": database.geturl(),
        "REDIS_URL": urlsplit(os.environ["REDIS_URL"])._replace(path=_BROKER).geturl(),
        "PUBLIC_BASE_URL": base,
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(mailbox.port),
    }
    place = Place(environment=environment, logs=logs, port=port, servers=[])
    # The web process reads the list of static files when it starts.
    with manage(place, "collectstatic", "--noinput", "--verbosity=0") as static:
        finish(place, static)
    with running_app(place) as children:
        wait_until_ready(place, children)
        running = Running(base, who, mailbox, browser, children)
        before = len(browser.contexts)
        try:
            yield running
        finally:
            for context in browser.contexts[before:]:
                context.close()


def sign_in(visitor: Visitor, who: User, path: str) -> None:
    """By the page's own form."""
    visitor.open(path)
    visitor.page.locator("[name=username]").fill(who.email)
    visitor.page.locator("[name=password]").fill(PASSWORD)
    visitor.page.locator("form:has([name=password]) [type=submit]").click()
    expect(visitor.page).to_have_url(f"{visitor.base}{path}")


def reload_until(page: Page, shown: Locator, text: str) -> None:
    """Load the page again until it says so."""
    deadline = time.monotonic() + ARRIVES_WITHIN_SECONDS
    while text not in " ".join(shown.all_inner_texts()):
        assert time.monotonic() < deadline, f"{page.url} does not say {text!r} but {shown.all_inner_texts()}"
        page.wait_for_timeout(300)
        page.reload()
