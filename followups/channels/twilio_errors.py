"""What Twilio's errors mean, as data: of a request to create a message, and of one that did not arrive."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import requests
import structlog

from followups.channels.http import retry_after
from followups.channels.verdicts import Verdict, Word, later, misconfigured, rejected, unknown
from followups.choices import SuppressionReason
from followups.exceptions import NotProcessed, OutcomeUnknown

log = structlog.get_logger(__name__)

_UNREACHABLE = "The phone number can't receive this message."
_SENDER = "The sender is not set up for this channel."

# Answers to "create a message". Codes change (Twilio says so), so they are data, and one that is not here
# counts as refused. https://www.twilio.com/docs/api/errors
ERRORS: Final[Mapping[int, Verdict]] = {
    10001: misconfigured("The Twilio account is not active."),
    20003: misconfigured("TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN don't belong together."),
    21211: rejected(_UNREACHABLE, SuppressionReason.INVALID),  # not a phone number
    21212: misconfigured(_SENDER),
    21214: rejected(_UNREACHABLE, SuppressionReason.INVALID),
    21265: rejected(_UNREACHABLE, SuppressionReason.INVALID),  # a short code
    21408: rejected("Messages to this country are not switched on."),
    21603: misconfigured(_SENDER),
    21606: misconfigured(_SENDER),
    21608: misconfigured("A trial account only writes to verified numbers."),
    21609: misconfigured("Twilio can't call back: PUBLIC_BASE_URL must be an address it can reach."),
    21610: rejected("The recipient replied STOP.", SuppressionReason.OPT_OUT),
    21611: later(retry_after=1_800),  # our sender's queue at Twilio is full
    21612: rejected("There is no route to this phone number."),
    21614: rejected(_UNREACHABLE, SuppressionReason.INVALID),  # not a mobile number
    21617: rejected("The message is longer than 1,600 characters."),
    21635: rejected(_UNREACHABLE, SuppressionReason.INVALID),  # a landline
    21659: misconfigured(_SENDER),
    21703: misconfigured("The messaging service has no sender."),
    21901: misconfigured("The DLT template id is missing or wrong."),
    63007: misconfigured(_SENDER),
    63008: misconfigured(_SENDER),
    63016: rejected("WhatsApp takes only an approved template here."),
    63021: rejected("The message does not fit the channel."),
    90007: misconfigured("The validity period is not allowed."),
}

# The same by HTTP status, where the code says nothing we know.
STATUSES: Final[Mapping[int, Verdict]] = {
    401: misconfigured("TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN don't belong together."),
    403: misconfigured("The Twilio account may not do this."),
    404: misconfigured("There is no such Twilio account at this address."),
    405: misconfigured("TWILIO_API_BASE_URL does not answer as Twilio."),
    408: unknown(),
}


@dataclass(frozen=True)
class DeliveryFault:
    """Why a message Twilio had accepted did not arrive.

    ``retry_after``: seconds after which another attempt makes sense; ``None`` where none does.
    """

    reason: str
    suppress: SuppressionReason | None = None
    retry_after: float | None = None


UNKNOWN_FAULT: Final = DeliveryFault("The provider could not deliver it.")

# ``ErrorCode`` of status callbacks and of fetched messages. https://www.twilio.com/docs/api/errors
DELIVERY_FAULTS: Final[Mapping[str, DeliveryFault]] = {
    "30001": DeliveryFault("The provider's queue was full.", retry_after=3_600),
    "30002": DeliveryFault("The sending account is suspended."),
    "30003": DeliveryFault("The phone could not be reached.", retry_after=3_600),
    "30004": DeliveryFault("The recipient blocks our messages.", SuppressionReason.BLOCKED),
    "30005": DeliveryFault("The phone number is unknown.", SuppressionReason.INVALID),
    "30006": DeliveryFault("The phone number is a landline.", SuppressionReason.INVALID),
    "30007": DeliveryFault("The carrier filtered the message."),
    "30008": DeliveryFault("The carrier gave no reason.", retry_after=3_600),
    "30036": DeliveryFault("The message was too late."),
    "30410": DeliveryFault("The carrier did not answer."),  # it may have delivered: another could be a second
    "30500": DeliveryFault("The provider had a fault.", retry_after=3_600),
    "30610": DeliveryFault("The carrier takes no such message at this hour.", retry_after=3_600),
    "63003": DeliveryFault("The phone number is not on WhatsApp.", SuppressionReason.INVALID),
    "63014": DeliveryFault("The recipient blocks our messages.", SuppressionReason.BLOCKED),
    "63016": DeliveryFault("WhatsApp takes only an approved template here."),
    "63017": DeliveryFault("The provider was too busy.", retry_after=3_600),
    "63018": DeliveryFault("The provider was too busy.", retry_after=3_600),
    "63024": DeliveryFault("The phone number is not on WhatsApp.", SuppressionReason.INVALID),
    "63049": DeliveryFault("WhatsApp held the message back."),
}


def delivery_fault(code: str) -> DeliveryFault:
    """What an ``ErrorCode`` means; an unknown one is a failure that is not tried again."""
    return DELIVERY_FAULTS.get(code, UNKNOWN_FAULT)


def refusal(response: requests.Response) -> Word:
    """The word for an answer that is not 2xx."""
    status = response.status_code
    if status == 429:  # "never processed, always safe": https://www.twilio.com/docs/api/errors/20429
        return NotProcessed("429", retry_after(response), counts=False)
    if status >= 500:
        return OutcomeUnknown(str(status))
    code = _code_in(response)
    if code is not None and code in ERRORS:
        return ERRORS[code](str(code))
    if status in STATUSES:
        return STATUSES[status](str(code or status))
    if status < 400:
        return STATUSES[405](str(status))
    log.warning("twilio_code_unknown", code=code, status=status)
    return rejected("The provider refused the message.")(str(code or status))


def _code_in(response: requests.Response) -> int | None:
    try:
        return int(response.json()["code"])
    except (ValueError, TypeError, KeyError):
        return None
