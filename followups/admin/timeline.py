"""The steps of a follow-up's life in plain words, for its page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from followups.choices import AttemptState, Origin, ReceiptKind, State
from followups.models import FollowUpSchedule
from followups.selectors.timeline import Kind, Step, timeline_of
from jyotiflow.accounts.models import Language

Words = Mapping[str, str | Promise]

PROVIDERS: Final[Words] = {
    "twilio": "Twilio",
    "fcm": "Firebase",
    "smtp": _("the mail server"),
    "in_app": _("the inbox"),
    "sandbox": _("the sandbox"),
}
BOOKED: Final[Words] = {
    Origin.AUTOMATIC: _("Planned by the session's completion, for %(time)s"),
    Origin.MANUAL: _("Scheduled by its reader, for %(time)s"),
    Origin.INSTANT: _("Asked for at once by its reader"),
    Origin.RETRY: _("Booked anew by staff"),
}
WAITS: Final[Words] = {
    "quiet_hours": _("quiet hours"),
    "closed_hours": _("hours in which the law lets it wait"),
    "paused": _("the reader's pause"),
    "channel_paused": _("the channel is paused by staff"),
    "one_at_a_time": _("another message to this address was under way"),
    "rate_limit": _("the channel's limit of messages a second"),
    "breaker_open": _("the provider does not answer"),
    "admission_unknown": _("Redis could not be asked"),
}
# Why it was cancelled, failed, or would: what is not here is said in the words that were kept.
REASONS: Final[Words] = {
    "cancelled": _("it was cancelled"),
    "expired": _("it could not be sent in time"),
    "erased": _("the reader's data were erased"),
    "user_inactive": _("the account is closed"),
    "opted_out": _("the reader opted out of this channel"),
    "suppressed": _("this address can't be written to any more"),
    "unreachable": _("the reader has no address on this channel"),
    "no_proof": _("the provider never confirmed it"),
    "poison": _("it brought down each worker that began it"),
    "channel_gone": _("this channel isn't in use any more"),
    "invalid_phone": _("the phone number is not valid"),
    "not_mobile": _("the phone number can't receive SMS"),
    "country_not_allowed": _("no SMS goes to the country of this phone number"),
    "outside_window": _("WhatsApp takes this text only within 24 hours of the reader's last message"),
}
ENDED: Final[Words] = {
    AttemptState.ACCEPTED: _("%(provider)s took it"),
    AttemptState.REJECTED: _("%(provider)s refused it"),
    AttemptState.NOT_PROCESSED: _("%(provider)s did not take it"),
    AttemptState.ABSENT: _("%(provider)s has never seen it: it is tried again"),
    AttemptState.ABANDONED: _("Given up: nobody could say whether %(provider)s has it"),
}
FOUND: Final = _("Found on the list of %(provider)s: it had gone out")
REPORTED: Final[Words] = {
    ReceiptKind.ACCEPTED: _("%(provider)s reports it accepted"),
    ReceiptKind.DELIVERED: _("Delivered, reports %(provider)s"),
    ReceiptKind.READ: _("Read, reports %(provider)s"),
    ReceiptKind.MACHINE_OPEN: _("Opened by a machine, reports %(provider)s: not counted as read"),
    ReceiptKind.FAILED: _("Not delivered, reports %(provider)s"),
    ReceiptKind.BOUNCED: _("Came back, reports %(provider)s"),
    ReceiptKind.COMPLAINED: _("The reader called it spam, reports %(provider)s"),
    ReceiptKind.UNSUBSCRIBED: _("The reader unsubscribed, reports %(provider)s"),
    ReceiptKind.OTHER: _("A word of %(provider)s"),
}
SENTENCES: Final[Words] = {
    Kind.SESSION_COMPLETED: _("The session was completed"),
    Kind.OTHER_LANGUAGE: _(
        "To be sent in %(language)s, not in %(wanted)s: there is no such text that may go out"
    ),
    Kind.WAITED: _("It was due, and waited: %(why)s"),
    Kind.HANDED_OVER: _("Handed to %(provider)s, attempt %(number)s"),
    Kind.IN_DOUBT: _("Nobody knows whether %(provider)s took it; asked %(looks)s times so far"),
    Kind.SENT: _("Sent"),
    Kind.DELIVERED: _("Delivered"),
    Kind.READ: _("Read"),
    Kind.FAILED: _("Failed: %(why)s"),
    Kind.CANCELLED: _("Cancelled: %(why)s"),
    Kind.BOOKED_ANEW: _("Booked anew, as another follow-up"),
    Kind.ARCHIVED: _("Moved to the archive"),
    Kind.DUE: _("Goes out"),
    Kind.WAITS: _("Waits until then: %(why)s"),
    Kind.UNDER_WAY: _("A worker has it in hand"),
    Kind.WOULD_FAIL: _("As things stand it would fail: %(why)s"),
    Kind.CHANNEL_PAUSED: _("Staff have paused its channel: it waits until the channel goes on"),
    Kind.EXPIRES: _("Not sent any more after this; cancelled and refunded instead"),
}
# What a step is, for the mark beside it.
GOOD: Final = (ReceiptKind.DELIVERED, ReceiptKind.READ, AttemptState.ACCEPTED)
BAD: Final = (
    *(ReceiptKind.FAILED, ReceiptKind.BOUNCED, ReceiptKind.COMPLAINED),
    *(AttemptState.REJECTED, AttemptState.ABANDONED),
)
TONES: Final[Mapping[Kind, str]] = {
    Kind.SENT: "good",
    Kind.DELIVERED: "good",
    Kind.READ: "good",
    Kind.FAILED: "bad",
    Kind.CANCELLED: "bad",
    Kind.WOULD_FAIL: "bad",
    Kind.CHANNEL_PAUSED: "wait",
    Kind.IN_DOUBT: "wait",
    Kind.WAITED: "wait",
    Kind.WAITS: "wait",
    Kind.CHARGED: "credits",
    Kind.REFUNDED: "credits",
    Kind.KEPT: "credits",
}


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


def because(code: str, reason: str = "") -> str:
    """Why, as the end of a sentence: by our code, else in the words that were kept, else the bare code."""
    known = WAITS.get(code) or REASONS.get(code)
    return str(known or reason.rstrip(".") or code.replace("_", " "))


def _lines(steps: Iterable[Step], follow_up: FollowUpSchedule) -> Iterable[Line]:
    for step in steps:
        local = step.at.astimezone(follow_up.user.zone)
        again = step.values.get("follow_up")
        yield Line(
            day=date_format(local, "j M Y"),
            clock=f"{local:%H:%M:%S}",
            utc=f"{step.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
            text=_text(step, follow_up),
            tone=_tone(step),
            is_ahead=step.is_ahead,
            link=reverse("admin:followups_followupschedule_change", args=[again]) if again else "",
        )


def _text(step: Step, follow_up: FollowUpSchedule) -> str:
    values = _in_words(step.values, follow_up)
    match step.kind:
        case Kind.BOOKED:
            sentence: Any = BOOKED[step.values["origin"]]
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
    if isinstance(moment := values.get("time"), datetime):
        words["time"] = date_format(moment.astimezone(follow_up.user.zone), "j M Y, H:i")
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
