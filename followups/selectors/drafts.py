"""A template as it's being written: what its readers would see, and what to look at, field by field."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.conf import settings as django_settings
from django.utils.translation import gettext as _

from followups.channels import get_channel
from followups.composing import Rendered, render_version, values_for
from followups.linting import MAX_CONTENT_LENGTH, TEXTS, cost_notes, lint
from followups.models import FollowUpTemplate
from followups.rendering import (
    PRIVATE_VARIABLES,
    STANDARD_VARIABLES,
    TemplateSyntaxError,
    parse,
    variables_in,
)
from followups.segments import Culprit, Segments, count_segments, find_culprit
from followups.selectors.margins import Margin, margin_of
from followups.selectors.settings import effective_settings
from followups.selectors.versions import ENGLISH, TAMIL, age_of_texts
from jyotiflow.accounts.models import Language, User
from sessions_app.models import Session

NOBODY: Final = 0  # whose unsubscribe link leads nowhere
FIELDS_IN: Final[Mapping[str, Sequence[str]]] = {"en": ENGLISH, "ta": TAMIL}
# Who is shown where nobody is chosen.
SAMPLES: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "user_name": "Lakshmi",
        "user_email": "lakshmi@example.com",
        "session_date": "14 January 2026",
        "service_type": "birth chart",
        "guidance_summary": "Begin each morning with ten quiet breaths, and write down what comes to you.",
    },
    "ta": {
        "user_name": "லட்சுமி",
        "user_email": "lakshmi@example.com",
        "session_date": "14 ஜனவரி 2026",
        "service_type": "ஜாதகம்",
        "guidance_summary": "தினமும் காலையில் பத்து மூச்சுகளைக் கவனியுங்கள்; மனதில் தோன்றுவதை எழுதுங்கள்.",
    },
}


@dataclass(frozen=True)
class Mark:
    """Something to look at in a field; ``forbids`` saving, or is merely unwise."""

    text: str
    forbids: bool = False


@dataclass(frozen=True)
class Look:
    """A draft in one language. Not ``rendered`` where the text can't be; ``problem`` then says why.

    ``segments`` of an SMS as shown, with the ``culprit`` that makes an English one expensive.
    """

    language: str
    problem: str
    rendered: Rendered | None
    segments: Segments | None
    culprit: Culprit | None
    margin: Margin


@dataclass(frozen=True)
class Draft:
    """What a draft looks like in each language, and its ``marks`` by field."""

    looks: Sequence[Look]
    marks: Mapping[str, Sequence[Mark]]


def examine_draft(
    template: FollowUpTemplate,
    *,
    declared: Sequence[str],
    user: User | None = None,
    session: Session | None = None,
) -> Draft:
    """Look at a template, saved or not, valid or not; for a user and a session of theirs, else for a sample.

    ``declared`` are its author's own variables. Nothing is stored. The channel must be a configured one, or
    empty: then there is nothing to look at yet.
    """
    looks = [look_at(template, language, user=user, session=session) for language in Language.values]
    if not template.channel:
        looks = []
    marks: dict[str, list[Mark]] = {}
    for field, mark in (
        *_text_marks(template, declared),
        *_age_marks(template),
        *_registration_marks(template),
        *_price_marks(looks),
    ):
        marks.setdefault(field, []).append(mark)
    return Draft(looks, marks)


def look_at(
    template: FollowUpTemplate, language: str, *, user: User | None = None, session: Session | None = None
) -> Look:
    """A draft as it would be told in this language."""
    settings = effective_settings()
    names = FIELDS_IN[language]
    texts = [getattr(template, name) for name in (*names, "subject")]
    problem = next(filter(None, map(_fault, texts)), "")
    if not getattr(template, names[1]).strip():
        problem = (
            _("Nothing is written yet.")
            if language == Language.ENGLISH
            else _("There is no Tamil text: Tamil readers get the English one.")
        )
    if problem:
        return Look(language, problem, None, None, None, margin_of(template, None, settings))
    rendered = render_version(
        version=template,
        channel=template.channel,
        language=language,
        values=_values(template, language, user, session),
        user_id=NOBODY,
        address=user.email if user else "",
    )
    is_sms = template.channel == "sms"
    segments = count_segments(rendered.text) if is_sms else None
    culprit = find_culprit(rendered.text) if is_sms and language == Language.ENGLISH else None
    return Look(language, "", rendered, segments, culprit, margin_of(template, segments, settings))


def _values(
    template: FollowUpTemplate, language: str, user: User | None, session: Session | None
) -> Mapping[str, str]:
    is_private = not template.channel or get_channel(template.channel).is_private
    names = variables_in(*(getattr(template, name) for name in FIELDS_IN[language]))
    custom = {name: f"‹{name}›" for name in names if name not in STANDARD_VARIABLES}
    if user is not None:
        return values_for(user=user, session=session, language=language, custom=custom, is_private=is_private)
    hidden = frozenset[str]() if is_private else PRIVATE_VARIABLES
    samples = SAMPLES[language].items()
    return custom | {name: value for name, value in samples if name not in hidden}


def _fault(text: str) -> str:
    if len(text) > MAX_CONTENT_LENGTH:
        return _("At most %d characters.") % MAX_CONTENT_LENGTH
    try:
        parse(text)
    except TemplateSyntaxError as error:
        return str(error)
    return ""


Marks = Iterable[tuple[str, Mark]]


def _text_marks(template: FollowUpTemplate, declared: Sequence[str]) -> Marks:
    texts = {name: getattr(template, name) for name in TEXTS}
    findings = lint(channel=template.channel, texts=texts, declared=declared)
    for name, problems in findings.errors.items():
        # Who has only begun need not be told that it isn't finished.
        if texts.get(name, "x").strip():
            yield from ((name, Mark(problem, forbids=True)) for problem in problems)
    costs = [] if findings.errors else cost_notes(texts)  # told with the values that are shown
    yield from ((note.field, Mark(note.text)) for note in findings.notes if note not in costs)


def _age_marks(template: FollowUpTemplate) -> Marks:
    """Where the Tamil text may tell of something else by now."""
    stored = FollowUpTemplate.objects.filter(pk=template.pk).first()
    age = age_of_texts(stored) if stored else None
    if stored is None or age is None or not template.tamil_content.strip():
        return
    is_new = {
        language: any(getattr(stored, name) != getattr(template, name) for name in names)
        for language, names in FIELDS_IN.items()
    }
    if is_new[Language.TAMIL]:
        return
    if is_new[Language.ENGLISH]:
        yield "tamil_content", Mark(_("You have changed the English text and not the Tamil one."))
    elif age.is_tamil_older:
        told = _(
            "Older than the English text, which is of version %(english)d; this is of version %(tamil)d."
        )
        yield "tamil_content", Mark(told % {"english": age.english, "tamil": age.tamil})


def _registration_marks(template: FollowUpTemplate) -> Marks:
    """Ids the channel asks for, and what happens without."""
    has_tamil = bool(template.tamil_content.strip())
    if template.channel == "whatsapp":
        told = _("Without it WhatsApp takes this text only within 24 hours of its reader's last message.")
        names = ("whatsapp_content_sid", "tamil_whatsapp_content_sid")
    elif template.channel == "sms" and django_settings.DLT_ENTITY_ID:
        told = _("Without it this text isn't sold to numbers in India.")
        names = ("dlt_template_id", "tamil_dlt_template_id")
    else:
        return
    for name, is_needed in zip(names, (True, has_tamil), strict=True):
        if is_needed and not getattr(template, name):
            yield name, Mark(told)


def _price_marks(looks: Sequence[Look]) -> Marks:
    for look in looks:
        if look.rendered and look.margin.is_loss:
            told = _("%(language)s: earns %(earned).2f, and its provider takes %(spent).2f.")
            values = {
                "language": Language(look.language).label,
                "earned": look.margin.earned,
                "spent": look.margin.spent,
            }
            yield "credits_cost", Mark(told % values)
