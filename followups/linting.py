"""What is wrong, or merely unwise, about a template's text. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import regex
from django.utils.translation import gettext as _

from followups.rendering import (
    PRIVATE_VARIABLES,
    STANDARD_VARIABLES,
    TemplateSyntaxError,
    is_storable,
    parse,
    render_text,
    variables_in,
)
from followups.segments import count_segments

BILINGUAL_FIELDS: Final = (("subject", "tamil_subject"), ("content", "tamil_content"))
TEXTS: Final = ("subject", "tamil_subject", "content", "tamil_content")
FIELD_LANGUAGES: Final = {"content": "en", "tamil_content": "ta"}
PREVIEW_CHANNELS: Final = frozenset({"sms", "push"})  # others may read these on a locked screen
MAX_CONTENT_LENGTH: Final = 20_000
_NAME = regex.compile(r"[a-z][a-z0-9_]{0,49}")


@dataclass(frozen=True)
class Note:
    """What is unwise, and the field it's about."""

    field: str
    text: str


@dataclass(frozen=True)
class Findings:
    """``errors`` by field forbid saving, ``notes`` are told; ``variables`` are the names in use.

    All in the language of whoever asks.
    """

    errors: Mapping[str, list[str]] = field(default_factory=dict)
    notes: Sequence[Note] = ()
    variables: Sequence[str] = ()

    @property
    def warnings(self) -> list[str]:
        """The notes' words alone."""
        return [note.text for note in self.notes]


def lint(*, channel: str, texts: Mapping[str, str], declared: Sequence[str] | None) -> Findings:
    """Check the four texts of a template.

    ``declared`` are the variables the author named, or ``None`` when they are to be read from the texts; a
    name beyond the five standard ones must be declared.
    """
    errors: dict[str, list[str]] = {}
    used: list[str] = []
    for name in TEXTS:
        text = texts.get(name, "")
        problems = _problems(text, allowed={*STANDARD_VARIABLES, *(declared or ())})
        if problems:
            errors[name] = problems
        else:
            used += variables_in(text)
    bad_names = [name for name in declared or () if not _NAME.fullmatch(name)]
    if bad_names:
        errors["variables"] = [_("Variable names are small letters, digits and underscores, at most 50.")]
    for name in ("subject", "content"):
        if not texts.get(name, "").strip():
            errors.setdefault(name, []).append(_("Write something here."))
    if errors:
        return Findings(errors=errors)
    variables = list(dict.fromkeys([*used, *(declared or ())]))
    return Findings(notes=_notes(channel, texts, declared, used), variables=variables)


def _problems(text: str, *, allowed: set[str]) -> list[str]:
    if not is_storable(text):
        return [_("The text holds a character that can't be stored (NUL or half a surrogate pair).")]
    if len(text) > MAX_CONTENT_LENGTH:
        return [_("At most %d characters.") % MAX_CONTENT_LENGTH]
    try:
        parse(text)
    except TemplateSyntaxError as error:
        return [str(error)]
    known = ", ".join(sorted(allowed))
    return [
        _("Unknown variable {{%(name)s}}: use one of %(known)s, or declare it in `variables`.")
        % {"name": name, "known": known}
        for name in variables_in(text)
        if name not in allowed
    ]


def _notes(
    channel: str, texts: Mapping[str, str], declared: Sequence[str] | None, used: Sequence[str]
) -> list[Note]:
    notes = []
    for english, tamil in BILINGUAL_FIELDS:
        if not texts.get(tamil, "").strip():
            notes.append(Note(tamil, _("No %s: Tamil readers get the English text.") % tamil))
        elif difference := _difference(texts[english], texts[tamil]):
            told = _("%(english)s and %(tamil)s use different variables: %(difference)s.")
            notes.append(Note(tamil, told % {"english": english, "tamil": tamil, "difference": difference}))
    notes += [
        Note("variables", _("Variable %s is declared and not used.") % name)
        for name in declared or ()
        if name not in used
    ]
    if channel in PREVIEW_CHANNELS and PRIVATE_VARIABLES & set(used):
        told = _("guidance_summary is private: on this channel a neutral sentence takes its place.")
        notes.append(Note("content", told))
    return notes + cost_notes(texts) if channel == "sms" else notes


def cost_notes(texts: Mapping[str, str]) -> list[Note]:
    """What valid texts cost as SMS, with fallbacks for values, where that is more than one segment."""
    costs = ((name, _cost(name, texts.get(name, ""), FIELD_LANGUAGES[name])) for name in FIELD_LANGUAGES)
    return [Note(name, told) for name, told in costs if told]


def _difference(english: str, tamil: str) -> str:
    names = set(variables_in(english)), set(variables_in(tamil))
    sides = (
        (_("only in English %s"), names[0] - names[1]),
        (_("only in Tamil %s"), names[1] - names[0]),
    )
    return "; ".join(
        side % ", ".join(f"{{{{{name}}}}}" for name in sorted(alone)) for side, alone in sides if alone
    )


def _cost(name: str, text: str, language: str) -> str:
    cost = count_segments(render_text(text, {}, language))
    if cost.count <= 1:
        return ""
    values = {
        "name": name,
        "count": cost.count,
        "encoding": cost.encoding,
        "culprit": repr(cost.culprit),
    }
    if cost.culprit and language == "en":
        told = _("%(name)s takes %(count)d SMS segments (%(encoding)s) because of %(culprit)s.")
        return told % values
    return _("%(name)s takes %(count)d SMS segments (%(encoding)s).") % values
