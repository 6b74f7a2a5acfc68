"""What the steps of a follow-up's life are called, and the reasons why something was not done."""

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from followups.choices import AttemptState, Origin, ReceiptKind
from followups.selectors.timeline import Kind
from jyotiflow.auditing.models import Action

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
BY_STAFF: Final[Words] = {
    Action.CANCELLED: _("Cancelled by %(actor)s"),
    Action.RESCHEDULED: _("Moved from %(before)s to %(after)s by %(actor)s"),
    Action.RETRIED: _("Told to be tried again by %(actor)s"),
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
    # Why a change is refused.
    "not_pending": _("only one that is still scheduled can be cancelled or moved"),
    "not_retriable": _("only one that never went out can be tried again"),
    "handed_over": _("it was handed over before and is being tried again"),
    "archived": _("it is too old to be tried again"),
    "retried_before": _("it was booked anew before"),
    "moved_meanwhile": _("it was moved meanwhile"),
    "past_time": _("that time is past"),
    "max_interval_days": _("that time is too far ahead, or no time is free"),
    "min_interval": _("it would be too near another follow-up of this reader"),
    "max_followups_per_session": _("the session has its most follow-ups"),
    "insufficient_credits": _("the reader has not enough credits"),
    "price_changed": _("it would cost more than was shown"),
    "template_not_found": _("its template is not sold any more"),
    "session_not_found": _("the reader has no such session"),
    "row_booked_before": _("this row of this file was booked before"),
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
    Kind.FROM_FILE: _("Scheduled from a file by %(actor)s"),
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


def because(code: str, reason: str = "") -> str:
    """Why, as the end of a sentence: by our code, else in the words that were kept, else the bare code."""
    known = WAITS.get(code) or REASONS.get(code)
    return str(known or reason.rstrip(".") or code.replace("_", " "))
