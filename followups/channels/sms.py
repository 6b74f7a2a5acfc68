"""SMS by Twilio."""

from typing import Any

from followups.addresses import sms_fault
from followups.channels.base import Intent, Message
from followups.channels.india import dlt_objection, promotion_hours
from followups.channels.twilio import TwilioChannel
from followups.exceptions import Unreachable
from followups.timing import ClosedHours


class SmsChannel(TwilioChannel):
    """One text message; ``sender`` may also be a short code or an alphanumeric sender id."""

    is_private = False
    sender_pattern = r"\+[1-9]\d{6,14}|\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}"
    sender_variable = "TWILIO_SMS_NUMBER"

    def address_fault(self, address: str) -> Unreachable | None:
        """A valid number that may be a mobile, in a country we write to."""
        return sms_fault(address)

    def objection(self, intent: Intent) -> Unreachable | None:
        """Only what is registered goes to India by the domestic route."""
        return dlt_objection(intent)

    def closed_hours(self, intent: Intent) -> ClosedHours | None:
        """India's hours for promotion."""
        return promotion_hours(intent)

    def content(self, message: Message) -> dict[str, Any]:
        """The text as it is: replacing letters by similar ones would hide it from ``find``."""
        return {"body": message.text, "smart_encoded": False}
