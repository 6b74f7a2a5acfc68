"""WhatsApp by Twilio: an approved template, or free text within a day of the reader's last message."""

import json
from datetime import timedelta
from typing import Any, Final

from followups.addresses import phone_fault
from followups.channels.base import Intent, Message
from followups.channels.twilio import TwilioChannel
from followups.exceptions import Unreachable
from followups.rendering import truncate
from jyotiflow.accounts.models import Language

LONGEST_VARIABLE: Final = 1_024
# Free text is taken for 24 hours after the reader wrote; the margin is for what waits at Twilio.
# https://www.twilio.com/docs/api/errors/63016
REPLY_WINDOW: Final = timedelta(hours=24) - timedelta(minutes=10)


class WhatsAppChannel(TwilioChannel):
    """An approved template with its variables where there is one; else text, as long as that is taken."""

    address_prefix = "whatsapp:"
    sender_variable = "TWILIO_WHATSAPP_NUMBER"
    has_reply_window = True
    finds_by_text = False  # Twilio lists the approved template's words, which may differ from ours

    def address_fault(self, address: str) -> Unreachable | None:
        """Any valid number may be on WhatsApp."""
        return phone_fault(address)

    def objection(self, intent: Intent) -> Unreachable | None:
        """Out of the window only what is approved in that language is taken."""
        is_tamil = intent.language == Language.TAMIL
        version, last = intent.version, intent.last_inbound_at
        if version.tamil_whatsapp_content_sid if is_tamil else version.whatsapp_content_sid:
            return None
        if last is None:
            message = "This message isn't approved by the channel's provider yet."
            return Unreachable(message, code="not_approved", errors={"template_id": [message]})
        if intent.moment < last + REPLY_WINDOW:
            return None
        message = "WhatsApp takes this message only within 24 hours of your last message to us."
        return Unreachable(message, code="outside_window", errors={"template_id": [message]})

    def content(self, message: Message) -> dict[str, Any]:
        """The template and its variables; without one the text, which the gate let through in the window."""
        if not message.whatsapp_content_sid:
            return {"body": message.text}
        return {
            "content_sid": message.whatsapp_content_sid,
            "content_variables": content_variables(message),
        }


def content_variables(message: Message) -> str:
    """The variables as Twilio takes them: JSON of strings, one line each, no runs of spaces.

    https://www.twilio.com/docs/content/using-variables-with-content-api
    """
    fitting = {
        name: truncate(" ".join(value.split()), LONGEST_VARIABLE)
        for name, value in message.whatsapp_variables.items()
    }
    return json.dumps(fitting, ensure_ascii=False)
