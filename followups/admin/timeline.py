"""The steps of a follow-up's life in plain words, for its page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from followups.admin.timeline_words import (
    BAD,
    BOOKED,
    BY_STAFF,
    ENDED,
    FOUND,
    GOOD,
    PROVIDERS,
    REPORTED,
    SENTENCES,
    TONES,
    because,
)
from followups.choices import AttemptState, State
from followups.models import FollowUpSchedule
from followups.selectors.timeline import Kind, Step, timeline_of
from jyotiflow.accounts.models import Language


@dataclass(frozen=True)
class Line:
    """A step as the page shows it: its time in the reader's zone, the same in UTC, its words."""

    day: str
    clock: str
    utc: str
    text: str
    tone: str
    is_ahead: bool
    link: str = ""


def lines_of(follow_up: FollowUpSchedule) -> list[Line]:
    """The follow-up's timeline, in the page's language."""
    return list(_lines(timeline_of(follow_up), follow_up))


def standing_of(follow_up: FollowUpSchedule) -> str:
    """In one sentence, what became of it or why it did not arrive."""
    why = {"why": because(follow_up.failure_code, follow_up.failure_reason)}
    match follow_up.status:
        case State.PENDING if follow_up.failure_code and follow_up.due_at > follow_up.scheduled_at:
            return str(_("It waits: %(why)s.") % why)
        case State.PENDING:
            return str(_("It is scheduled and has not gone out."))
        case State.SENDING:
            return str(_("It is on its way to its provider."))
        case State.IN_DOUBT:
            return str(_("Nobody knows yet whether it went out; it is not sent again without proof."))
        case State.SENT:
            return str(_("The provider took it; nothing tells yet that it was delivered."))
        case State.DELIVERED:
            return str(_("It was delivered."))
        case State.READ:
            return str(_("It was delivered and read."))
        case State.FAILED:
            return str(_("It did not arrive: %(why)s.") % why)
    return str(_("It was not sent: %(why)s.") % why)


def _lines(steps: Iterable[Step], follow_up: FollowUpSchedule) -> Iterable[Line]:
    for step in steps:
        local = step.at.astimezone(follow_up.user.zone)
        yield Line(
            day=date_format(local, "j M Y"),
            clock=f"{local:%H:%M:%S}",
            utc=f"{step.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
            text=_text(step, follow_up),
            tone=_tone(step),
            is_ahead=step.is_ahead,
            link=_link(step),
        )


def _link(step: Step) -> str:
    if again := step.values.get("follow_up"):
        return reverse("admin:followups_followupschedule_change", args=[again])
    if change := step.values.get("change"):
        return reverse("admin:followups_bulkchange_change", args=[change])
    return ""


def _text(step: Step, follow_up: FollowUpSchedule) -> str:
    values = _in_words(step.values, follow_up)
    match step.kind:
        case Kind.BOOKED:
            sentence: Any = BOOKED[step.values["origin"]]
        case Kind.BY_STAFF:
            sentence = BY_STAFF[step.values["action"]]
        case Kind.CHARGED | Kind.REFUNDED | Kind.KEPT:
            return _credits(step)
        case Kind.ENDED:
            is_found = step.values["code"] == "found" and step.values["state"] == AttemptState.ACCEPTED
            sentence = FOUND if is_found else ENDED[step.values["state"]]
        case Kind.REPORTED:
            sentence = REPORTED[step.values["kind"]]
        case _:
            sentence = SENTENCES[step.kind]
    text = capfirst(str(sentence) % values)
    has_code = step.kind in (Kind.ENDED, Kind.REPORTED) and step.values["code"] not in ("", "found")
    return f"{text} ({step.values['code']})" if has_code else text


def _credits(step: Step) -> str:
    amount = step.values["credits"]
    match step.kind:
        case Kind.CHARGED if not amount:
            return str(_("Free of charge"))
        case Kind.CHARGED:
            text = ngettext("Charged %(credits)s credit", "Charged %(credits)s credits", amount)
        case Kind.KEPT:
            text = ngettext(
                "The %(credits)s credit was kept, as the settings said",
                "The %(credits)s credits were kept, as the settings said",
                amount,
            )
        case _:
            text = ngettext(
                "Refunded %(credits)s credit: %(why)s", "Refunded %(credits)s credits: %(why)s", amount
            )
    why = because(step.values.get("code", ""), step.values.get("reason", ""))
    return text % {"credits": amount, "why": why}


def _in_words(values: Mapping[str, Any], follow_up: FollowUpSchedule) -> dict[str, Any]:
    words = dict(values)
    for name in ("language", "wanted"):
        if name in values:
            words[name] = Language(values[name]).label
    for name in ("time", "before", "after"):
        if isinstance(moment := values.get(name), datetime):
            words[name] = date_format(moment.astimezone(follow_up.user.zone), "j M Y, H:i")
    if provider := values.get("provider"):
        words["provider"] = PROVIDERS.get(provider, provider.capitalize())
    words["why"] = because(values.get("code", ""), values.get("reason", ""))
    return words


def _tone(step: Step) -> str:
    told = step.values.get("state") or step.values.get("kind")
    if told in GOOD:
        return "good"
    if told in BAD:
        return "bad"
    return TONES.get(step.kind, "plain")
