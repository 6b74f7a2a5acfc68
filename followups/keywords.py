"""Words a reader may reply with, in English and Tamil, and what we answer. Pure functions."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from followups.choices import ReplyKind
from jyotiflow.accounts.models import Language

# Twilio handles these on SMS by itself, and answers them:
# https://help.twilio.com/articles/223134027
TWILIO_WORDS: Final[Mapping[str, ReplyKind]] = {
    **dict.fromkeys(
        ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"), ReplyKind.STOP
    ),
    **dict.fromkeys(("START", "YES", "UNSTOP"), ReplyKind.START),
    **dict.fromkeys(("HELP", "INFO"), ReplyKind.HELP),
}
TAMIL_WORDS: Final[Mapping[str, ReplyKind]] = {
    unicodedata.normalize("NFC", word): kind
    for kind, words in (
        (ReplyKind.STOP, ("நிறுத்து", "நிறுத்துங்கள்", "நிறுத்தவும்", "வேண்டாம்", "ரத்து")),
        (ReplyKind.START, ("தொடங்கு", "தொடங்குங்கள்", "தொடங்கவும்", "ஆம்")),
        (ReplyKind.HELP, ("உதவி",)),
    )
    for word in words
}
ANSWERS: Final[Mapping[ReplyKind, Mapping[str, str]]] = {
    ReplyKind.STOP: {
        "en": "JyotiFlow: you will get no more messages here. Reply START to get them again.",
        "ta": "JyotiFlow: இனி இங்கே உங்களுக்குச் செய்திகள் வராது. மீண்டும் பெற START என்று பதில் அனுப்புங்கள்.",
    },
    ReplyKind.START: {
        "en": "JyotiFlow: you will get our messages here again. Reply STOP to end them.",
        "ta": "JyotiFlow: இனி மீண்டும் இங்கே செய்திகள் வரும். நிறுத்த STOP என்று பதில் அனுப்புங்கள்.",
    },
    ReplyKind.HELP: {
        "en": "JyotiFlow sends the follow-ups of your guidance sessions. Reply STOP to end them, START to "
        "get them again. Your settings: {preferences_url}",
        "ta": "உங்கள் ஆலோசனை அமர்வுகளின் தொடர் செய்திகளை JyotiFlow அனுப்புகிறது. நிறுத்த STOP, மீண்டும் பெற START "
        "என்று பதில் அனுப்புங்கள். உங்கள் விருப்பங்கள்: {preferences_url}",
    },
}
# May stand around a word: punctuation, symbols, spaces, invisible marks; as an emoji's own selectors do.
_AROUND: Final = frozenset("PSZC")
_SELECTORS: Final = frozenset(map(chr, range(0xFE00, 0xFE10)))


@dataclass(frozen=True)
class Reply:
    """What a message asks for, and by which of our words; an unknown one has none."""

    kind: ReplyKind
    word: str = ""
    language: str = Language.ENGLISH


def understand(text: str) -> Reply:
    """What a whole message says. As at Twilio only the word alone counts: "please stop" is a sentence."""
    word = _bare(unicodedata.normalize("NFC", text))
    if word in TAMIL_WORDS:
        return Reply(TAMIL_WORDS[word], word, Language.TAMIL)
    if word.upper() in TWILIO_WORDS:
        return Reply(TWILIO_WORDS[word.upper()], word.upper())
    return Reply(ReplyKind.OTHER)


def answer(kind: ReplyKind, language: str, *, preferences_url: str) -> str:
    """What the reader is told in return; nothing for what we don't understand."""
    return ANSWERS[kind][language].format(preferences_url=preferences_url) if kind in ANSWERS else ""


def _bare(text: str) -> str:
    start, end = 0, len(text)
    while start < end and _is_around(text[start]):
        start += 1
    while start < end and _is_around(text[end - 1]):
        end -= 1
    return text[start:end]


def _is_around(character: str) -> bool:
    return unicodedata.category(character)[0] in _AROUND or character in _SELECTORS
