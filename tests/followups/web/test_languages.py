"""English and Tamil: who decides, and that nothing on a Tamil page is left in English."""

import re
from pathlib import Path
from typing import Any

import polib
import pytest
from django.conf import settings
from django.test import Client
from django.utils import translation
from django.utils.timezone import now

from followups.models import FollowUpTemplate, InAppMessage
from followups.templatetags.reading import credits, number, when
from jyotiflow.accounts.models import User
from sessions_app.models import Session
from tests.factories import SessionFactory
from tests.followups.web.conftest import many, text_of
from tests.followups.web.test_preferences import link_of

CATALOGUES = sorted((Path(settings.LOCALE_PATHS[0]) / "ta" / "LC_MESSAGES").glob("*.po"))
EVERY_CATALOGUE = pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
# %(name)s, %d, {name}, {{name}}, <strong>, **bold**
PLACEHOLDERS = re.compile(r"%\(\w+\)|%(?:\.\d)?[sdfr]|%%|<[^>]+>|\{\{.*?\}\}|\{\w*\}|\*\*")
TAMIL_TITLE, ENGLISH_TITLE = "உங்கள் செய்திகள்", "Your follow-ups"
# Names, and what is written the same: zones, addresses, "+91 …".
SAME_IN_TAMIL = ("JyotiFlow", "English", "Asia/Kolkata", "SMS", "WhatsApp")


@EVERY_CATALOGUE
def test_everything_readers_and_staff_see_is_translated(path: Path) -> None:
    entries = polib.pofile(str(path))
    assert len(entries) > {"django": 1000, "djangojs": 50}[path.stem]
    assert [entry.msgid for entry in entries if not entry.translated() or entry.fuzzy] == []


@EVERY_CATALOGUE
def test_the_compiled_catalogue_is_what_the_text_says(path: Path) -> None:
    said = {(entry.msgctxt, entry.msgid): entry for entry in polib.pofile(str(path)).translated_entries()}
    compiled = {(entry.msgctxt, entry.msgid): entry for entry in polib.mofile(str(path.with_suffix(".mo")))}
    assert compiled.keys() == said.keys(), "run `make messages`"
    for key, entry in said.items():
        both = compiled[key]
        assert (both.msgstr, both.msgstr_plural) == (entry.msgstr, entry.msgstr_plural), "run `make messages`"


@EVERY_CATALOGUE
def test_translations_keep_their_placeholders(path: Path) -> None:
    for entry in polib.pofile(str(path)).translated_entries():
        originals = [entry.msgid, entry.msgid_plural] if entry.msgid_plural else [entry.msgid]
        texts = list(entry.msgstr_plural.values()) or [entry.msgstr]
        for original, text in zip(originals, texts, strict=True):
            assert sorted(PLACEHOLDERS.findall(text)) == sorted(PLACEHOLDERS.findall(original)), entry.msgid


def test_numbers_and_times_are_written_as_in_the_language() -> None:
    moment = now().replace(2026, 3, 9, 19, 5)
    with translation.override("ta"):
        assert (number(1234567), credits(1), credits(1200)) == ("12,34,567", "1 புள்ளி", "1,200 புள்ளிகள்")
        assert when(moment) == "9 மார்ச் 2026, இரவு\N{NO-BREAK SPACE}7:05"
        morning = [when(moment.replace(hour=hour)).split()[3] for hour in (0, 4, 9, 13, 17)]
        assert morning == ["நள்ளிரவு", "அதிகாலை", "காலை", "பிற்பகல்", "மாலை"]
    with translation.override("en"):
        assert (number(1234567), credits(1), credits(2)) == ("1,234,567", "1 credit", "2 credits")
        assert when(moment) == "9 March 2026, 7:05\N{NO-BREAK SPACE}pm"


@pytest.mark.django_db
class TestWhoDecides:
    def test_a_choice_comes_before_one_s_own_and_that_before_the_browser_s(
        self, reader: Client, rich_user: User
    ) -> None:
        page = reader.get("/followups/", headers={"Accept-Language": "ta"})
        assert (ENGLISH_TITLE in text_of(page), page["Content-Language"]) == (True, "en")
        User.objects.filter(pk=rich_user.pk).update(preferred_language="ta")
        assert TAMIL_TITLE in text_of(reader.get("/followups/"))
        chosen = reader.get("/language/en?next=/followups/inbox")
        assert (chosen.status_code, chosen["Location"]) == (302, "/followups/inbox")
        assert ENGLISH_TITLE in text_of(reader.get("/followups/"))
        assert User.objects.get(pk=rich_user.pk).preferred_language == "ta"  # messages stay as they were

    def test_the_signed_out_see_their_browser_s_or_what_they_chose(self) -> None:
        visitor = Client()
        assert "உள்நுழைக" in text_of(visitor.get("/accounts/login", headers={"Accept-Language": "ta-IN,en"}))
        assert "Sign in" in text_of(visitor.get("/accounts/login", headers={"Accept-Language": "fr"}))
        cookie = visitor.get("/language/ta").cookies[settings.LANGUAGE_COOKIE_NAME]
        assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", 31_536_000)
        page = visitor.get("/accounts/login").content.decode()
        assert '<html lang="ta">' in page
        assert 'href="/language/en?next=%2Faccounts%2Flogin" lang="en"' in page

    @pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:x", ""])
    def test_the_switch_leads_to_no_other_site(self, elsewhere: str) -> None:
        assert Client().get("/language/ta", {"next": elsewhere})["Location"] == "/"

    def test_there_are_two_languages_and_no_other_cookie_counts(self) -> None:
        assert Client().get("/language/fr").status_code == 404
        assert Client().post("/language/ta").status_code == 405
        liar = Client()
        liar.cookies[settings.LANGUAGE_COOKIE_NAME] = "fr"
        assert "Sign in" in text_of(liar.get("/accounts/login"))

    def test_programs_are_answered_in_english(self) -> None:
        program = Client(headers={"Accept-Language": "ta"})
        program.cookies[settings.LANGUAGE_COOKIE_NAME] = "ta"
        answer = program.post("/api/auth/login", {}, content_type="application/json")
        assert answer.status_code == 400
        assert answer.json()["errors"]["email"] == ["This field is required."]  # Django has it in Tamil, too

    def test_one_request_s_language_ends_with_it(self, reader: Client) -> None:
        reader.get("/language/ta")
        reader.get("/followups/")
        assert translation.get_language() == "en"

    def test_error_pages_speak_both_the_visitor_s_first(self, reader: Client) -> None:
        english, tamil = "We can’t find this page", "இந்தப் பக்கம் கிடைக்கவில்லை"
        said = text_of(reader.get("/nothing"))
        assert said.index(english) < said.index(tamil)
        reader.get("/language/ta")
        said = text_of(reader.get("/nothing"))
        assert said.index(tamil) < said.index(english)


def english_in(page: Any) -> list[str]:
    """Words in Latin letters that a Tamil page shows or tells, but what is marked as English."""
    body = re.sub(r"<(script|style|svg|select)\b.*?</\1>", "", page.content.decode(), flags=re.DOTALL)
    body = re.sub(r'<(\w+)[^>]*lang="en"[^>]*>.*?</\1>', "", body, flags=re.DOTALL)
    shown = " ".join(
        [re.sub(r"<[^>]+>", " ", body), *re.findall(r'(?:aria-label|alt|title)="([^"]*)"', body)]
    )
    for same in SAME_IN_TAMIL:
        shown = shown.replace(same, "")
    return re.findall(r"[A-Za-z]{2,}", re.sub(r"&#?\w+;", " ", shown))


@pytest.mark.django_db
def test_no_tamil_page_shows_an_english_word(
    reader: Client, rich_user: User, session: Session, make_template: Any
) -> None:
    User.objects.filter(pk=rich_user.pk).update(preferred_language="ta", name="லட்சுமி")
    Session.objects.filter(pk=session.pk).update(question="எப்போது தொடங்கலாம்?")
    SessionFactory(user=rich_user, completed=True, question="", service_type="career")
    template: FollowUpTemplate = make_template(name="நலமா", tamil_name="நலமா")
    moment = now()
    times = {"sent_at": moment, "delivered_at": moment, "read_at": moment}
    states: dict[str, dict[str, Any]] = {
        "pending": {},
        "sending": {"claim_token": template.pk, "lease_until": moment},
        "in_doubt": {},
        "sent": {"sent_at": moment},
        "delivered": {"sent_at": moment, "delivered_at": moment},
        "read": times,
        "failed": {"failed_at": moment, "failure_reason": "The mailbox does not exist."},
        "cancelled": {"cancelled_at": moment, "failure_code": "cancelled"},
    }
    for state, fields in states.items():
        many(rich_user, template, session, 1, status=state, language="ta", **fields)
    rows = {row.status: row for row in rich_user.follow_ups.all()}
    InAppMessage.objects.create(
        follow_up=rows["delivered"], user=rich_user, subject="வணக்கம்", body="நலமா?", language="ta"
    )
    new = f"/followups/session/{session.pk}/new"
    pending = f"/followups/{rows['pending'].pk}"
    pages = [
        *(f"/followups/{path}" for path in ("", "?show=scheduled", "others", "inbox", "credits")),
        *(f"/followups/{path}" for path in ("preferences", "data", "data/erase", "goodbye")),
        f"/followups/session/{session.pk}",
        *(f"/followups/{row.pk}" for row in rows.values()),
        f"{pending}/cancel",
        f"{pending}/reschedule",
        f"/followups/inbox/{rows['delivered'].pk}",
        new,
        f"{new}?template={template.pk}",
        f"{new}?template={template.pk}&at=2020-01-01T10:00",
        "/nothing",
        link_of(rich_user),
        "/u/forged",
    ]
    reader.get("/language/ta")
    for path in pages:
        page = reader.get(path)
        assert english_in(page) == [], path
    for path, body in {
        "/followups/preferences": {},
        "/followups/data/erase": {},
        f"{pending}/reschedule": {"scheduled_at": "x"},
    }.items():
        assert english_in(reader.post(path, body)) == [], path


@pytest.mark.django_db
def test_the_sign_in_page_in_tamil_shows_no_english_word() -> None:
    visitor = Client()
    visitor.get("/language/ta")
    assert english_in(visitor.get("/accounts/login")) == []
    wrong = {"username": "", "password": ""}
    assert english_in(visitor.post("/accounts/login", wrong)) == []
