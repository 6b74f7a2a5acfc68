"""Logic-less rendering: `{{name}}` becomes a value, once. No template engine sees stored text."""

import html
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import regex

STANDARD_VARIABLES: Final = ("user_name", "user_email", "session_date", "service_type", "guidance_summary")
PRIVATE_VARIABLES: Final = frozenset({"guidance_summary"})  # never in a preview others can see
MAX_VALUE_LENGTH: Final = 500  # characters of a custom value
MAX_SUMMARY_LENGTH: Final = 2_000

# What stands in for a value that is missing, so no one reads "Dear ,".
FALLBACKS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "user_name": "friend",
        "user_email": "your email",
        "session_date": "a recent day",
        "service_type": "guidance session",
        "guidance_summary": "Your guidance is waiting for you in JyotiFlow.",
        "": "—",
    },
    "ta": {
        "user_name": "நண்பரே",
        "user_email": "உங்கள் மின்னஞ்சல்",
        "session_date": "சமீபத்திய ஒரு நாள்",
        "service_type": "வழிகாட்டுதல் அமர்வு",
        "guidance_summary": "உங்கள் வழிகாட்டுதல் ஜோதிஃப்ளோவில் காத்திருக்கிறது.",
        "": "—",
    },
}

_NAME = regex.compile(r"[a-z][a-z0-9_]{0,49}")
_HOLE = regex.compile(r"\{\{(.*?)\}\}", flags=regex.DOTALL)
_BOLD = regex.compile(r"\*\*(\S(?:[^*\n]*\S)?)\*\*")
_CONTROL = regex.compile(r"[\p{Cc}\u2028\u2029--[\n\t]]", flags=regex.V1)
_CLUSTER = regex.compile(r"\X")
_VISIBLE = regex.compile(r"[^\p{Cc}\p{Cf}\p{Cs}\p{M}\p{Z}\p{Default_Ignorable_Code_Point}]")


class TemplateSyntaxError(ValueError):
    """A text's braces don't form ``{{name}}``; the message says where and how to write it."""


@dataclass(frozen=True)
class Hole:
    """A place in a text where a value goes."""

    name: str


@lru_cache(maxsize=2_048)
def parse(text: str) -> tuple[str | Hole, ...]:
    """Split a text into plain parts and holes. Raises ``TemplateSyntaxError``."""
    parts: list[str | Hole] = []
    end = 0
    for match in _HOLE.finditer(text):
        name = match[1].strip()
        if not _NAME.fullmatch(name):
            raise TemplateSyntaxError(
                f"{match[0][:60]!r} is not a variable: write {{{{name}}}} in small letters."
            )
        parts += [text[end : match.start()], Hole(name)]
        end = match.end()
    parts.append(text[end:])
    for part in parts:
        if isinstance(part, str) and ("{{" in part or "}}" in part):
            raise TemplateSyntaxError("A {{ has no }} that closes it, or the other way round.")
    return tuple(part for part in parts if part != "")


def variables_in(*texts: str) -> list[str]:
    """The names used in these texts, in order of first use. Raises ``TemplateSyntaxError``."""
    return list(dict.fromkeys(part.name for text in texts for part in parse(text) if isinstance(part, Hole)))


def clean(value: str) -> str:
    """A text as it may travel: NFC, no control characters but line ends and tabs."""
    # Normalised last: a control character may have kept a letter and its mark apart.
    return unicodedata.normalize("NFC", _CONTROL.sub("", value.replace("\r\n", "\n").replace("\r", "\n")))


def is_storable(text: str) -> bool:
    """Whether PostgreSQL and providers can take the text: no NUL, no lone surrogate."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def one_line(text: str) -> str:
    """The text on a single line, for subjects and headers."""
    return " ".join(text.split())


def truncate(text: str, limit: int) -> str:
    """At most ``limit`` (1 or more) UTF-16 units, never cutting inside a grapheme; a cut ends in an ellipsis.

    Units are what providers count, and a grapheme may hold any number of them.
    """
    if _units(text) <= limit:
        return text
    room, end = limit - 1, 0  # one for the ellipsis
    for cluster in _CLUSTER.finditer(text):
        room -= _units(cluster[0])
        if room < 0:
            break
        end = cluster.end()
    return text[:end].rstrip() + "…"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def with_fallbacks(names: Sequence[str], values: Mapping[str, str], language: str) -> dict[str, str]:
    """A value for every name: the given one, or the language's fallback when nothing in it can be seen."""
    fallbacks = FALLBACKS[language]
    given = {name: clean(values.get(name, "")).strip() for name in names}
    return {
        name: value if _VISIBLE.search(value) else fallbacks.get(name, fallbacks[""])
        for name, value in given.items()
    }


def render_text(text: str, values: Mapping[str, str], language: str) -> str:
    """The plain text: values in place as they are, braces and all; the template's emphasis marks removed."""
    return fill_text(text, with_fallbacks(variables_in(text), values, language))


def fill_text(text: str, filled: Mapping[str, str]) -> str:
    """The same, of values that went through `with_fallbacks`: there must be one for every name."""
    plain = "".join(
        filled[part.name] if isinstance(part, Hole) else part.replace("**", "") for part in parse(text)
    )
    return clean(plain).strip()


def fill_subject(text: str, filled: Mapping[str, str]) -> str:
    """The subject: plain text on one line, so no value can add a header."""
    return one_line(fill_text(text, filled))


def render_html(text: str, values: Mapping[str, str], language: str) -> str:
    """HTML: everything escaped, the template's `**bold**` made strong, blank lines between paragraphs."""
    filled = with_fallbacks(variables_in(text), values, language)
    escaped = "".join(
        # A star inside a value must not become emphasis.
        html.escape(filled[part.name]).replace("*", "&#42;") if isinstance(part, Hole) else html.escape(part)
        for part in parse(clean(text))
    )
    # Marks left over (around several lines, say) vanish, as they do in the plain text.
    strong = _BOLD.sub(r"<strong>\1</strong>", escaped).replace("**", "")
    paragraphs = (block.strip() for block in strong.split("\n\n"))
    return "\n".join(f"<p>{block.replace(chr(10), '<br>')}</p>" for block in paragraphs if block)


def whatsapp_variables(text: str, values: Mapping[str, str], language: str) -> dict[str, str]:
    """The numbered values of an approved WhatsApp template: ``{"1": value, …}`` by first use in the text."""
    names = variables_in(text)
    filled = with_fallbacks(names, values, language)
    return {str(number): filled[name] for number, name in enumerate(names, start=1)}
