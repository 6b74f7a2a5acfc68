"""What is wrong, or merely unwise, about a template's text. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import regex

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
PREVIEW_CHANNELS: Final = frozenset({"sms", "push"})  # others may read these on a locked screen
MAX_CONTENT_LENGTH: Final = 20_000
_NAME = regex.compile(r"[a-z][a-z0-9_]{0,49}")


@dataclass(frozen=True)
class Findings:
    """``errors`` by field forbid saving, ``warnings`` are told; ``variables`` are the names in use."""

    errors: Mapping[str, list[str]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    variables: Sequence[str] = ()


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
        errors["variables"] = ["Variable names are small letters, digits and underscores, at most 50."]
    for name in ("subject", "content"):
        if not texts.get(name, "").strip():
            errors.setdefault(name, []).append("Write something here.")
    if errors:
        return Findings(errors=errors)
    variables = list(dict.fromkeys([*used, *(declared or ())]))
    return Findings(warnings=_warnings(channel, texts, declared, used), variables=variables)


def _problems(text: str, *, allowed: set[str]) -> list[str]:
    if not is_storable(text):
        return ["The text holds a character that can't be stored (NUL or half a surrogate pair)."]
    if len(text) > MAX_CONTENT_LENGTH:
        return [f"At most {MAX_CONTENT_LENGTH} characters."]
    try:
        parse(text)
    except TemplateSyntaxError as error:
        return [str(error)]
    known = ", ".join(sorted(allowed))
    return [
        f"Unknown variable {{{{{name}}}}}: use one of {known}, or declare it in `variables`."
        for name in variables_in(text)
        if name not in allowed
    ]


def _warnings(
    channel: str, texts: Mapping[str, str], declared: Sequence[str] | None, used: Sequence[str]
) -> list[str]:
    warnings = []
    for english, tamil in BILINGUAL_FIELDS:
        if not texts.get(tamil, "").strip():
            warnings.append(f"No {tamil}: Tamil readers get the English text.")
        elif set(variables_in(texts[english])) != set(variables_in(texts[tamil])):
            warnings.append(f"{english} and {tamil} use different variables.")
    warnings += [f"Variable {name} is declared and not used." for name in declared or () if name not in used]
    if channel in PREVIEW_CHANNELS and PRIVATE_VARIABLES & set(used):
        warnings.append("guidance_summary is private: on this channel a neutral sentence takes its place.")
    if channel == "sms":
        for name, language in (("content", "en"), ("tamil_content", "ta")):
            cost = count_segments(render_text(texts.get(name, ""), {}, language))
            if cost.count > 1:
                because = f" because of {cost.culprit!r}" if cost.culprit and language == "en" else ""
                warnings.append(f"{name} takes {cost.count} SMS segments ({cost.encoding}){because}.")
    return warnings
