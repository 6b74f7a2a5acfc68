"""What codes and stored English sentences are called on the pages, in both languages."""

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy, pgettext_lazy

from credits.models import CreditEntry
from followups.choices import State
from followups.conf import CHANNEL_LABELS
from followups.models import FollowUpSchedule
from followups.selectors.settings import effective_settings
from jyotiflow.exceptions import DomainError

Words = Mapping[str, str | Promise]

CHANNELS: Final[Words] = {
    "email": pgettext_lazy("channel", "Email"),
    "sms": pgettext_lazy("channel", "SMS"),
    "whatsapp": pgettext_lazy("channel", "WhatsApp"),
    "push": pgettext_lazy("channel", "Phone notification"),
    "in_app": pgettext_lazy("channel", "Inbox here"),
}
CHANNELS_IN_A_SENTENCE: Final[Words] = {
    "email": pgettext_lazy("by channel", "email"),
    "sms": pgettext_lazy("by channel", "SMS"),
    "whatsapp": pgettext_lazy("by channel", "WhatsApp"),
    "push": pgettext_lazy("by channel", "push"),
    "in_app": pgettext_lazy("by channel", "in-app message"),
}
STATES: Final[Words] = {
    State.PENDING: pgettext_lazy("state", "Scheduled"),
    State.SENDING: pgettext_lazy("state", "On its way"),
    State.IN_DOUBT: pgettext_lazy("state", "Being confirmed"),
    State.SENT: pgettext_lazy("state", "Sent"),
    State.DELIVERED: pgettext_lazy("state", "Delivered"),
    State.READ: pgettext_lazy("state", "Read"),
    State.FAILED: pgettext_lazy("state", "Not delivered"),
    State.CANCELLED: pgettext_lazy("state", "Cancelled"),
}
SERVICES: Final[Words] = {
    "spiritual_guidance": gettext_lazy("Spiritual guidance"),
    "life_guidance": gettext_lazy("Life guidance"),
    "love": gettext_lazy("Love and relationships"),
    "career": gettext_lazy("Career"),
    "tarot": gettext_lazy("Tarot"),
    "astrology": gettext_lazy("Astrology"),
}
ENTRIES: Final[Words] = {
    CreditEntry.Kind.GRANT: pgettext_lazy("credits", "Added"),
    CreditEntry.Kind.CHARGE: pgettext_lazy("credits", "Spent on a follow-up"),
    CreditEntry.Kind.REFUND: pgettext_lazy("credits", "Returned to you"),
    CreditEntry.Kind.ADJUSTMENT: pgettext_lazy("credits", "Corrected"),
}

# Why it wasn't sent or didn't arrive: by our code, else by the sentence kept for a provider's. What tells a
# reader nothing ("the account isn't paid") isn't listed and is told as NOT_DELIVERED.
NOT_DELIVERED: Final = gettext_lazy("It could not be delivered.")
_NO_MAILBOX: Final = gettext_lazy("Your email address doesn't take mail any more.")
_BAD_NUMBER: Final = gettext_lazy("Your phone number can't receive this kind of message.")
_NOT_ON_WHATSAPP: Final = gettext_lazy("Your phone number is not on WhatsApp.")
_STOPPED: Final = gettext_lazy("Messages to your address on this channel are stopped.")
REASONS: Final[Words] = {
    "cancelled": gettext_lazy("It was cancelled before it was sent."),
    "expired": gettext_lazy("It could not be sent in time."),
    "no_proof": gettext_lazy("Nobody could confirm that it was sent."),
    "opted_out": gettext_lazy("You had switched this channel off."),
    "suppressed": _STOPPED,
    "unreachable": gettext_lazy("We had no address of yours on this channel."),
    "The mailbox does not exist.": _NO_MAILBOX,
    "The mailbox does not exist or refuses mail.": _NO_MAILBOX,
    "The mail service calls the address invalid.": _NO_MAILBOX,
    "The mail service does not send to this address.": _STOPPED,
    "The phone number can't receive this message.": _BAD_NUMBER,
    "The phone number is a landline.": _BAD_NUMBER,
    "The phone number is unknown.": _BAD_NUMBER,
    "The phone number is not on WhatsApp.": _NOT_ON_WHATSAPP,
    "The phone could not be reached.": gettext_lazy("Your phone could not be reached."),
    "The recipient blocks our messages.": gettext_lazy("Our messages are blocked on your phone."),
    "The recipient replied STOP.": gettext_lazy("You had asked us by reply to stop."),
    "No device of yours takes pushes any more.": gettext_lazy("None of your devices takes notifications."),
}

# Why something is refused, by its code; numbers come from the settings in force.
REFUSALS: Final[Words] = {
    "channel_gone": gettext_lazy("This channel isn't in use any more."),
    "country_not_allowed": gettext_lazy("We send no SMS to the country of your phone number."),
    "follow_up_not_found": gettext_lazy("There is no such follow-up."),
    "insufficient_credits": gettext_lazy("You don't have enough credits for this."),
    "invalid_phone": gettext_lazy("Your phone number is not valid. Please correct it in your preferences."),
    "max_followups_per_session": gettext_lazy(
        "A session can have %(max_followups_per_session)s follow-ups at most."
    ),
    "max_interval_days": gettext_lazy("Please choose a time within %(max_interval_days)s days."),
    "min_interval": gettext_lazy("Leave at least %(min_interval_hours)s hours between two follow-ups."),
    "handed_over": gettext_lazy("This follow-up is on its way already and can't be moved."),
    "not_mobile": gettext_lazy("Your phone number can't receive SMS. Please give a mobile number."),
    "not_pending": gettext_lazy("Only a follow-up that is still scheduled can be changed."),
    "opted_out": gettext_lazy("You have switched this channel off in your preferences."),
    "outside_window": gettext_lazy(
        "WhatsApp takes this message only within 24 hours of your last message to us."
    ),
    "past_time": gettext_lazy("Please choose a time in the future."),
    "price_changed": gettext_lazy("The price has changed meanwhile. Please look at it again."),
    "session_not_completed": gettext_lazy("This session isn't completed yet."),
    "session_not_found": gettext_lazy("There is no such session."),
    "suppressed": gettext_lazy("Messages to your address on this channel are stopped."),
    "template_not_found": gettext_lazy("This message isn't offered any more."),
    "unreachable": gettext_lazy("We have no address of yours on this channel."),
    "is_staff": gettext_lazy("You are staff; somebody has to take your rights away first."),
    "wrong_password": gettext_lazy("The password is wrong."),
}
PHONE_FORM: Final = gettext_lazy("Please write it with + and the country code, such as +919840012345.")
NO_ADDRESS: Final[Words] = {
    "sms": gettext_lazy("Please give your phone number above."),
    "whatsapp": gettext_lazy("Please give your phone number above."),
    "push": gettext_lazy("No phone or browser of yours is set up for notifications."),
}
NOT_POSSIBLE: Final = gettext_lazy("This isn't possible just now.")

# Why a message would go out later than asked, in the gate's words.
WAITS: Final[Words] = {
    "quiet_hours": gettext_lazy("It waits for the end of quiet hours."),
    "closed_hours": gettext_lazy("By law it may not go out earlier."),
    "paused": gettext_lazy("It waits for the end of your pause."),
}


def reason_of(follow_up: FollowUpSchedule) -> str:
    """Why a follow-up failed or was cancelled; empty for any other."""
    if follow_up.status not in (State.FAILED, State.CANCELLED):
        return ""
    known = REASONS.get(follow_up.failure_code) or REASONS.get(follow_up.failure_reason)
    return str(known or NOT_DELIVERED)


def refusal(error: DomainError) -> str:
    """A refusal as a sentence in the page's language."""
    known = REFUSALS.get(error.code)
    return str(known) % vars(effective_settings()) if known else str(NOT_POSSIBLE)


def no_address(channel: str) -> str:
    """What to do about a channel on which we know no address."""
    return str(NO_ADDRESS.get(channel) or REFUSALS["unreachable"])


def service(service_type: str) -> str:
    """A session's service in plain words; one nobody named as it's written, without its underscores."""
    known = SERVICES.get(service_type)
    return str(known) if known else service_type.replace("_", " ").strip().capitalize()


def channel(name: str) -> str:
    """A channel as a label."""
    return str(CHANNELS.get(name) or CHANNEL_LABELS.get(name, name))


def channel_in_a_sentence(name: str) -> str:
    """A channel after "by"."""
    return str(CHANNELS_IN_A_SENTENCE.get(name) or CHANNEL_LABELS.get(name, name))
