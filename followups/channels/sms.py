"""SMS by Twilio."""

from typing import Any

from followups.channels.base import Message
from followups.channels.twilio import TwilioChannel


class SmsChannel(TwilioChannel):
    """One text message; ``sender`` may also be a short code or an alphanumeric sender id."""

    is_private = False
    sender_pattern = r"\+[1-9]\d{6,14}|\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}"
    sender_variable = "TWILIO_SMS_NUMBER"

    def content(self, message: Message) -> dict[str, Any]:
        """The text as it is: replacing letters by similar ones would hide it from ``find``."""
        return {"body": message.text, "smart_encoded": False}
