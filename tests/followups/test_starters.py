"""The starter templates as data: seed texts, languages, variables, prices and message sizes."""

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest

STARTERS = Path(__file__).parents[2] / "followups" / "starters" / "templates.json"
TEMPLATES: list[dict[str, Any]] = json.loads(STARTERS.read_text(encoding="utf-8"))
BY_KEY = {template["key"]: template for template in TEMPLATES}

FIELDS = {
    "key",
    "name",
    "tamil_name",
    "description",
    "template_type",
    "channel",
    "subject",
    "tamil_subject",
    "content",
    "tamil_content",
    "credits_cost",
    "variables",
    "service_types",
    "sequence_order",
    "delay_hours",
    "local_time",
}
TEXTS = ("subject", "tamil_subject", "content", "tamil_content")
CHANNELS = {"email", "sms", "whatsapp", "push", "in_app"}
VARIABLES = {"user_name", "user_email", "session_date", "service_type", "guidance_summary"}
VARIABLE = re.compile(r"\{\{(\w+)\}\}")
TAMIL_LETTER = re.compile(r"[\u0b80-\u0bff]")

# The longest month names, so that no date of the year breaks the budget.
TYPICAL = {
    "en": {"user_name": "Lakshmi", "session_date": "22 September 2026"},
    "ta": {"user_name": "லட்சுமி", "session_date": "22 செப்டம்பர் 2026"},
}
# GSM 03.38 basic set without the characters that cost two; the extension table is left out on purpose.
GSM_7 = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)

every_template = pytest.mark.parametrize("template", TEMPLATES, ids=list(BY_KEY))


def on_channel(channel: str) -> Any:
    chosen = [template for template in TEMPLATES if template["channel"] == channel]
    return pytest.mark.parametrize("template", chosen, ids=[template["key"] for template in chosen])


def variables_of(*texts: str) -> set[str]:
    return {name for text in texts for name in VARIABLE.findall(text)}


def filled(text: str, language: str) -> str:
    return VARIABLE.sub(lambda match: TYPICAL[language][match[1]], text)


def ucs2_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def test_keys_and_names_are_unique() -> None:
    for field in ("key", "name", "tamil_name"):
        assert len({template[field] for template in TEMPLATES}) == len(TEMPLATES), field


def test_every_channel_and_every_purpose_has_a_starter() -> None:
    assert {template["channel"] for template in TEMPLATES} == CHANNELS
    assert {template["template_type"] for template in TEMPLATES} == {
        "session_followup",
        "reminder",
        "check_in",
        "offer",
        "support",
    }


def test_each_channel_has_exactly_one_session_follow_up() -> None:
    channels = [t["channel"] for t in TEMPLATES if t["template_type"] == "session_followup"]
    assert sorted(channels) == sorted(CHANNELS)


def test_session_follow_ups_have_the_agreed_prices() -> None:
    prices = {t["channel"]: t["credits_cost"] for t in TEMPLATES if t["template_type"] == "session_followup"}
    assert prices == {"email": 5, "in_app": 2, "sms": 3, "whatsapp": 2, "push": 1}


def test_exactly_two_go_out_by_themselves() -> None:
    automatic = [t for t in TEMPLATES if t["sequence_order"] is not None]
    assert sorted(
        (t["sequence_order"], t["key"], t["channel"], t["delay_hours"], t["local_time"]) for t in automatic
    ) == [
        (1, "session-followup-1", "email", 24, "10:00"),
        (2, "session-followup-2", "in_app", 72, "10:00"),
    ]


def test_the_first_follow_up_is_the_seed_one() -> None:
    first = BY_KEY["session-followup-1"]
    assert first["name"] == "Session Follow-up 1"
    assert first["tamil_name"] == "அமர்வு பின்தொடர்தல் 1"
    assert first["template_type"] == "session_followup"
    assert first["subject"] == "How is your spiritual journey progressing? 🕉️"
    assert first["content"].startswith("Dear {{user_name}}, Thank you for your recent spiritual consultation")
    assert first["tamil_content"].startswith("அன்புள்ள {{user_name}}, உங்கள் சமீபத்திய ஆன்மீக ஆலோசனைக்கு நன்றி")
    assert first["credits_cost"] == 5


def test_the_second_follow_up_keeps_its_name() -> None:
    assert BY_KEY["session-followup-2"]["name"] == "Session Follow-up 2"


def test_nobody_pays_for_offers_and_support() -> None:
    costs = {t["credits_cost"] for t in TEMPLATES if t["template_type"] in ("offer", "support")}
    assert costs == {0}


@every_template
def test_a_starter_has_every_field_with_its_type(template: dict[str, Any]) -> None:
    assert set(template) == FIELDS
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", template["key"])
    for field in ("name", "tamil_name", "description", *TEXTS):
        assert isinstance(template[field], str)
        assert template[field] == template[field].strip() != ""
    for field in ("credits_cost", "delay_hours"):
        assert type(template[field]) is int
        assert template[field] >= 0
    assert template["service_types"] == []
    assert template["local_time"] is None or re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", template["local_time"])


@every_template
def test_names_and_subjects_fit_their_columns_on_one_line(template: dict[str, Any]) -> None:
    for field, longest in (("name", 100), ("tamil_name", 100), ("subject", 200), ("tamil_subject", 200)):
        assert len(template[field]) <= longest
        assert "\n" not in template[field]


@every_template
def test_each_text_is_in_its_language(template: dict[str, Any]) -> None:
    for field in ("name", "subject", "content"):
        assert not TAMIL_LETTER.search(template[field])
    for field in ("tamil_name", "tamil_subject", "tamil_content"):
        prose = VARIABLE.sub("", template[field]).replace("JyotiFlow", "")
        assert TAMIL_LETTER.search(prose)
        assert not re.search(r"[A-Za-z]", prose)


@every_template
def test_texts_are_normalised_and_free_of_control_characters(template: dict[str, Any]) -> None:
    for field in ("name", "tamil_name", "description", *TEXTS):
        text = template[field]
        assert unicodedata.is_normalized("NFC", text)
        assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") and c != "\n"]


@every_template
def test_declared_variables_are_the_ones_used(template: dict[str, Any]) -> None:
    used = variables_of(*(template[field] for field in TEXTS))
    assert set(template["variables"]) == used <= VARIABLES
    assert len(template["variables"]) == len(used)


@every_template
def test_both_languages_use_the_same_variables(template: dict[str, Any]) -> None:
    assert variables_of(template["subject"]) == variables_of(template["tamil_subject"])
    assert variables_of(template["content"]) == variables_of(template["tamil_content"])


@every_template
def test_braces_appear_only_around_variables(template: dict[str, Any]) -> None:
    for field in TEXTS:
        assert not set("{}") & set(VARIABLE.sub("", template[field]))


@on_channel("sms")
def test_an_english_sms_is_one_segment(template: dict[str, Any]) -> None:
    text = filled(template["content"], "en")
    assert set(text) <= GSM_7
    assert len(text) <= 160


@on_channel("sms")
def test_a_tamil_sms_is_two_segments_at_most(template: dict[str, Any]) -> None:
    assert ucs2_units(filled(template["tamil_content"], "ta")) <= 134


@on_channel("push")
def test_a_push_fits_a_phone_screen(template: dict[str, Any]) -> None:
    for language, title, body in (("en", "subject", "content"), ("ta", "tamil_subject", "tamil_content")):
        assert len(filled(template[title], language)) <= 50
        assert len(filled(template[body], language)) <= 120
        assert "\n" not in template[body]


@every_template
def test_what_a_lock_screen_shows_never_tells_the_guidance(template: dict[str, Any]) -> None:
    private = {"guidance_summary", "service_type", "user_email"}
    if template["channel"] in ("sms", "push"):
        assert not private & set(template["variables"])
    assert not private & variables_of(template["subject"], template["tamil_subject"])


@on_channel("whatsapp")
def test_a_whatsapp_body_can_be_registered(template: dict[str, Any]) -> None:
    # The provider refuses variables at either end or next to each other, and more than 1,024 characters.
    for field in ("content", "tamil_content"):
        body = template[field]
        first, *between, last = VARIABLE.split(body)[::2]
        assert first.strip()
        assert re.search(r"\w{2,}", last)
        assert all(re.search(r"[^\W\d_]{2,}", text) for text in between)
        assert len(body) <= 1024
        assert "\n\n\n" not in body
        assert "**" not in body


@on_channel("email")
def test_an_email_gives_the_guidance_its_own_paragraph(template: dict[str, Any]) -> None:
    for field in ("content", "tamil_content"):
        assert template[field].split("\n\n").count("{{guidance_summary}}") == 1
        assert template[field].count("{{guidance_summary}}") == 1


@every_template
def test_bold_is_sparing_and_paired_and_only_in_email(template: dict[str, Any]) -> None:
    for field in ("content", "tamil_content"):
        stars = template[field].count("**")
        assert stars == (2 if stars else 0)
        assert not stars or template["channel"] == "email"
        assert "*" not in template[field].replace("**", "")
    assert "*" not in template["subject"] + template["tamil_subject"]
