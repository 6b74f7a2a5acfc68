"""Every page, in both languages, at two widths, light and dark: it fits, and everybody can use it.

`make screenshots` keeps what it sees; without `SCREENSHOTS` nothing is written.
"""

import os
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from followups.links import link_preferences_path, read_unsubscribe_token, unsubscribe_url
from tests.browser.conftest import DESKTOP, PHONE, World
from tests.factories import UserFactory
from tests.followups.web.conftest import many

pytestmark = pytest.mark.django_db(transaction=True)
SCREENSHOTS = os.environ.get("SCREENSHOTS", "")
EVERY_LOOK: dict[str, dict[str, Any]] = {
    "desktop": {"size": DESKTOP, "color_scheme": "light"},
    "phone": {"size": PHONE, "color_scheme": "light", "has_touch": True},
    "phone-dark": {"size": PHONE, "color_scheme": "dark", "has_touch": True},
    "desktop-dark": {"size": DESKTOP, "color_scheme": "dark"},
}
MISSING = {"not-found": 404, "bad-link": 404}
ALSO_DARK = ("center", "preferences", "quote")  # of the others no picture is kept
ALL = [(look, language) for look in EVERY_LOOK for language in ("en", "ta")]
# Of eight each page is looked at in two, which differ in all three ways.
LOOKS = pytest.mark.parametrize(
    ("look", "language"), ALL if SCREENSHOTS else [("desktop", "en"), ("phone-dark", "ta")]
)


def pages_of(world: World) -> dict[str, str]:
    new = f"/followups/session/{world.session.pk}/new"
    return {
        "center": "/followups/",
        "scheduled": "/followups/?show=scheduled",
        "session": f"/followups/session/{world.session.pk}",
        "follow-up": f"/followups/{world.pending.pk}",
        "cancel": f"/followups/{world.pending.pk}/cancel",
        "reschedule": f"/followups/{world.pending.pk}/reschedule",
        "new": new,
        "quote": f"{new}?template={world.pending.template_id}&at=",
        "inbox": "/followups/inbox",
        "message": f"/followups/inbox/{world.inbox.pk}",
        "credits": "/followups/credits",
        "preferences": "/followups/preferences",
        "data": "/followups/data",
        "erase": "/followups/data/erase",
        "not-found": "/nothing",
    }


@LOOKS
def test_a_reader_s_pages(world: World, visit: Any, look: str, language: str) -> None:
    visitor = visit(world.reader, **EVERY_LOOK[look])
    visitor.open(f"/language/{language}")
    for name, path in pages_of(world).items():
        visitor.open(path, status=MISSING.get(name, 200))
        examine(visitor, name, language, look)
    empty = visit(UserFactory(), **EVERY_LOOK[look])
    empty.open(f"/language/{language}")
    for name, path in {"empty": "/followups/", "empty-inbox": "/followups/inbox"}.items():
        empty.open(path)
        examine(empty, name, language, look)


@LOOKS
def test_ten_thousand_follow_ups(world: World, visit: Any, look: str, language: str) -> None:
    thanks = world.pending.template
    many(world.reader, thanks, world.session, 9_000)
    many(world.reader, thanks, None, 1_000)
    visitor = visit(world.reader, **EVERY_LOOK[look])
    visitor.open(f"/language/{language}")
    for name, path in {
        "many": "/followups/",
        "many-session": f"/followups/session/{world.session.pk}",
    }.items():
        visitor.open(path)
        examine(visitor, name, language, look)


@LOOKS
def test_pages_without_a_sign_in(world: World, visit: Any, look: str, language: str) -> None:
    visitor = visit(**EVERY_LOOK[look])
    visitor.open(f"/language/{language}?next=/accounts/login")
    examine(visitor, "sign-in", language, look)
    visitor.page.fill("#id_username", "somebody@example.test")
    visitor.page.fill("#id_password", "wrong")
    visitor.page.press("#id_password", "Enter")
    visitor.page.wait_for_selector("#login-error")
    examine(visitor, "sign-in-error", language, look)
    for name, path in links_of(world).items():
        visitor.open(path, status=MISSING.get(name, 200))
        examine(visitor, name, language, look)


def links_of(world: World) -> dict[str, str]:
    url = unsubscribe_url(user_id=world.reader.pk, channel="email")
    token = url.rpartition("/")[2]
    wish = read_unsubscribe_token(token)
    assert wish
    return {
        "unsubscribe": f"/u/{token}",
        "link-preferences": link_preferences_path(wish),
        "bad-link": "/u/forged",
        "goodbye": "/followups/goodbye",
    }


def examine(visitor: Any, name: str, language: str, look: str) -> None:
    visitor.check_fits()
    visitor.check_access()
    if "dark" not in look or name in ALSO_DARK:
        size: Any = EVERY_LOOK[look]["size"]
        windows = 2 if "desktop" in look else 1  # a phone as it's held; of a desktop's page the first two
        keep(f"{name}-{language}-{look}", visitor.page, size, windows=windows)


def keep(name: str, page: Page, size: Mapping[str, int], *, windows: int) -> None:
    """Write a picture of a page's first windows, if pictures are wanted."""
    if not SCREENSHOTS:
        return
    height = size["height"]
    if windows > 1:
        height = min(page.evaluate("document.documentElement.scrollHeight"), windows * height)
        page.set_viewport_size({"width": size["width"], "height": height})  # frames out of sight stay empty
        page.wait_for_timeout(1_000)
    how = {"format": "webp", "quality": 80}
    how["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1}
    taken = page.context.new_cdp_session(page).send("Page.captureScreenshot", how)
    Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
    (Path(SCREENSHOTS) / f"{name}.webp").write_bytes(b64decode(taken["data"]))
    page.set_viewport_size({"width": size["width"], "height": size["height"]})
