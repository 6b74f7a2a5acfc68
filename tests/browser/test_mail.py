"""A mail as a mail program shows it: both languages, a desktop's and a phone's width, light and dark."""

import json
from base64 import b64encode
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser

from followups.layouts import Words, lay_out
from followups.management.commands.load_starters import STARTERS
from followups.rendering import fill_text
from jyotiflow.accounts.models import Language
from tests.browser.conftest import Visitor
from tests.browser.test_looks import keep

TAMIL_FONT = settings.BASE_DIR / "followups" / "static" / "followups" / "fonts" / "noto-sans-tamil.woff2"
WINDOWS: dict[str, Any] = {
    "desktop": {"width": 760, "height": 900},
    "phone": {"width": 390, "height": 844},
}
KEPT = [("desktop", "light"), ("phone", "dark")]
VALUES = {
    "en": {
        "user_name": "Lakshmi",
        "session_date": "24 November 2026",
        "service_type": "life guidance",
        "guidance_summary": "Begin each day with ten quiet minutes, and let the answer come to you.",
    },
    "ta": {
        "user_name": "லட்சுமி",
        "session_date": "24 நவம்பர் 2026",
        "service_type": "வாழ்க்கை வழிகாட்டுதல்",
        "guidance_summary": "தினமும் காலையில் பத்து நிமிடம் அமைதியாக அமருங்கள்; விடை தானே வரும்.",
    },
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", WINDOWS)
@pytest.mark.parametrize("language", Language.values)
def test_a_mail(browser: Browser, language: str, size: str, scheme: Any) -> None:
    context = browser.new_context(viewport=WINDOWS[size], color_scheme=scheme)
    page = context.new_page()
    page.set_content(starter_mail(language))
    page.add_style_tag(content=tamil_font())
    page.evaluate("document.fonts.ready")
    mail = Visitor(page, "")
    mail.check_fits()
    mail.check_access()
    if (size, scheme) in KEPT:
        keep(f"mail-{language}-{size}", page, WINDOWS[size], windows=2)
    context.close()


def tamil_font() -> str:
    """Mail programs bring a Tamil font; this machine may have none."""
    font = b64encode(TAMIL_FONT.read_bytes()).decode()
    source = f"url(data:font/woff2;base64,{font}) format('woff2')"
    return f"@font-face {{ font-family: 'Noto Sans Tamil'; src: {source}; font-weight: 100 900; }}"


def starter_mail(language: str) -> str:
    """The mail of a starter template."""
    starters = {each["key"]: each for each in json.loads(STARTERS.read_text("utf-8"))}
    template = starters["next-session-offer-email"]
    prefix = "tamil_" if language == Language.TAMIL else ""
    content, filled = template[f"{prefix}content"], VALUES[language]
    words = Words(
        content=content,
        filled=filled,
        language=language,
        subject=template[f"{prefix}subject"],
        body=fill_text(content, filled),
        unsubscribe_url="https://jyotiflow.example/u/token",
    )
    return lay_out(words).html
