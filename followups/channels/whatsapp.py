"""WhatsApp by Twilio: always an approved template, never free text."""

import json
from typing import Any, Final

from followups.channels.base import Message
from followups.channels.twilio import TwilioChannel
from followups.channels.twilio_errors import needs_template
from followups.models import TemplateVersion
from followups.rendering import truncate
from jyotiflow.accounts.models import Language

LONGEST_VARIABLE: Final = 1_024


class WhatsAppChannel(TwilioChannel):
    """One approved template with its variables: a day after the reader last wrote, free text is refused."""

    address_prefix = "whatsapp:"
    sender_variable = "TWILIO_WHATSAPP_NUMBER"
    finds_by_text = False  # Twilio lists the approved template's words, which may differ from ours

    def can_send(self, version: TemplateVersion, language: str) -> bool:
        """Only what is approved in that language."""
        is_tamil = language == Language.TAMIL
        return bool(version.tamil_whatsapp_content_sid if is_tamil else version.whatsapp_content_sid)

    def content(self, message: Message) -> dict[str, Any]:
        """The template and its variables. Raises ``Rejected`` where none is approved for the language."""
        if not message.whatsapp_content_sid:
            raise needs_template()
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
