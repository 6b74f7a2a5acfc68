"""The mail around a text, laid out once a text: afterwards a message is put together from its pieces.

Laying out takes Django's template engine and a CSS inliner 300 µs; putting the pieces together takes 20.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Final

import css_inline
import regex
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from followups.links import preferences_url
from followups.rendering import render_html, variables_in

BRAND: Final = "JyotiFlow"
PREHEADER_WORDS: Final = 16

_inliner = css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True)
# A hole in what is laid out: a name between two characters that no text is likely to have.
_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK: Final = regex.compile(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}")
_OWN: Final = ("!subject", "!preheader", "!unsubscribe_url", "!body")  # no variable's name starts like this


@dataclass(frozen=True)
class Mail:
    """An email's two parts."""

    text: str
    html: str


@dataclass(frozen=True)
class Words:
    """What a mail says: a template's ``content``, and with ``filled`` in it: ``subject`` and ``body``."""

    content: str
    filled: Mapping[str, str]  # a value for every name in the content, as `with_fallbacks` gives it
    language: str
    subject: str
    body: str
    unsubscribe_url: str


def lay_out(words: Words) -> Mail:
    """The mail of some words, from pieces if it can be."""
    # Line ends inside a value make paragraphs, and a mark inside a text is no hole of ours.
    if any("\n" in value for value in words.filled.values()) or _OPEN in words.content:
        return lay_out_whole(words)
    text, html = _pieces(words.content, words.language, preferences_url())
    holes = {
        **words.filled,
        "!subject": words.subject,
        "!preheader": _preheader(words.body),
        "!unsubscribe_url": words.unsubscribe_url,
    }
    return Mail(
        text=_fill(text, {"!body": words.body, "!unsubscribe_url": words.unsubscribe_url}),
        html=_fill(html, {name: _escaped(value) for name, value in holes.items()}),
    )


def lay_out_whole(words: Words) -> Mail:
    """The same, by template engine and inliner."""
    context = {
        "language": words.language,
        "subject": words.subject,
        "preheader": _preheader(words.body),
        "body_html": mark_safe(render_html(words.content, words.filled, words.language)),  # noqa: S308  escaped
        "body_text": words.body,
        "unsubscribe_url": words.unsubscribe_url,
        "preferences_url": preferences_url(),
        "brand": BRAND,
    }
    return _render(context)


@lru_cache(maxsize=512)
def _pieces(content: str, language: str, wishes: str) -> tuple[list[str], list[str]]:
    """Text and HTML with holes: pieces of text, with a hole's name at every second place."""
    marks = {name: f"{_OPEN}{name}{_CLOSE}" for name in (*variables_in(content), *_OWN)}
    context = {
        "language": language,
        "subject": marks["!subject"],
        "preheader": marks["!preheader"],
        "body_html": mark_safe(render_html(content, marks, language)),  # noqa: S308  escaped
        "body_text": marks["!body"],
        "unsubscribe_url": marks["!unsubscribe_url"],
        "preferences_url": wishes,
        "brand": BRAND,
    }
    mail = _render(context)
    return _MARK.split(mail.text), _MARK.split(mail.html)


def _fill(pieces: list[str], holes: Mapping[str, str]) -> str:
    filled = pieces.copy()
    filled[1::2] = [holes[name] for name in pieces[1::2]]
    return "".join(filled)


def _escaped(value: str) -> str:
    """As the inliner writes a text: HTML's own serialisation."""
    return escape(value, quote=False).replace("\u00a0", "&nbsp;")


def _preheader(body: str) -> str:
    words = body.split(None, PREHEADER_WORDS)  # as Django's `truncatewords`, at a tenth of its time
    return " ".join([*words[:PREHEADER_WORDS], "…"] if len(words) > PREHEADER_WORDS else words)


def _render(context: dict[str, str]) -> Mail:
    # Plain text: Django escapes by file name, and .txt is not escaped.
    text = render_to_string("followups/email/layout.txt", context).strip() + "\n"
    return Mail(text, _inliner.inline(render_to_string("followups/email/layout.html", context)))
