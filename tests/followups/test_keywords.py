"""Words in replies: the whole message counts, in English and Tamil, however it was typed."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followups.choices import ReplyKind
from followups.keywords import ANSWERS, TAMIL_WORDS, TWILIO_WORDS, Reply, answer, understand

WORDS = {**TWILIO_WORDS, **TAMIL_WORDS}


@pytest.mark.parametrize(("word", "kind"), list(WORDS.items()))
@pytest.mark.parametrize(
    "typed", ["{}", "  {} \n", "{}.", "“{}!!”", "{} 🙏", "*{}*", "\u200b{}\ufe0f", "({})"]
)
def test_a_word_is_known_whatever_stands_around_it(word: str, kind: ReplyKind, typed: str) -> None:
    for written in (word, word.lower(), word.title(), unicodedata.normalize("NFD", word)):
        heard = understand(typed.format(written))
        assert (heard.kind, heard.word) == (kind, word)
    assert heard.language == ("ta" if word in TAMIL_WORDS else "en")


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("STOP", "stop"), ("STOPALL", "stop"), ("UNSUBSCRIBE", "stop"), ("CANCEL", "stop"), ("END", "stop"),
        ("QUIT", "stop"), ("REVOKE", "stop"), ("OPTOUT", "stop"),
        ("நிறுத்து", "stop"), ("நிறுத்துங்கள்", "stop"), ("நிறுத்தவும்", "stop"),
        ("வேண்டாம்", "stop"), ("ரத்து", "stop"),
        ("START", "start"), ("YES", "start"), ("UNSTOP", "start"),
        ("தொடங்கு", "start"), ("தொடங்கவும்", "start"), ("ஆம்", "start"),
        ("HELP", "help"), ("INFO", "help"), ("உதவி", "help"),
    ],
)  # fmt: skip
def test_the_words_are_these(word: str, kind: str) -> None:
    assert understand(word).kind == kind


@pytest.mark.parametrize(
    "sentence",
    ["please stop", "STOP1", "don't stop", "st.op", "வேண்டாம் என்று சொல்லவில்லை", "நிறுத்", "", " ", "🙏", "stopp"],
)
def test_a_sentence_is_no_word(sentence: str) -> None:
    assert understand(sentence) == Reply(ReplyKind.OTHER)


@given(st.text(max_size=200))
def test_any_text_is_understood_as_something(text: str) -> None:
    assert understand(text).kind in ReplyKind


@pytest.mark.parametrize("kind", list(ANSWERS))
@pytest.mark.parametrize("language", ["en", "ta"])
def test_every_answer_exists_in_both_languages_and_tells_the_words(kind: ReplyKind, language: str) -> None:
    text = answer(kind, language, preferences_url="https://x.example/followups/")
    assert "JyotiFlow" in text
    assert any(word in text for word in ("STOP", "START"))
    assert "{" not in text
    assert any("\u0b80" <= letter <= "\u0bff" for letter in text) == (language == "ta")


def test_what_is_not_understood_is_not_answered() -> None:
    assert answer(ReplyKind.OTHER, "en", preferences_url="x") == ""
