"""India's rules for SMS on the domestic route: registered texts, and hours for promotion.

On an international sender (no ``DLT_ENTITY_ID``) neither applies. The law is the TRAI's Telecom Commercial
Communications Customer Preference Regulations, 2018.
"""

from datetime import time
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings

from followups.addresses import is_indian
from followups.channels.base import Intent
from followups.choices import DltCategory, TemplateType
from followups.exceptions import Unreachable
from followups.timing import ClosedHours
from jyotiflow.accounts.models import Language

PROMOTION_CLOSED: Final = ClosedHours(time(21), time(10), ZoneInfo("Asia/Kolkata"))


def is_domestic(number: str) -> bool:
    """Whether an SMS to this number goes by India's domestic route."""
    return bool(settings.DLT_ENTITY_ID) and is_indian(number)


def dlt_objection(intent: Intent) -> Unreachable | None:
    """A domestic SMS needs its text registered, in the very language it goes out in."""
    is_tamil = intent.language == Language.TAMIL
    registered = intent.version.tamil_dlt_template_id if is_tamil else intent.version.dlt_template_id
    if registered or not is_domestic(intent.to):
        return None
    message = "This message isn't registered for SMS in India yet."
    return Unreachable(message, code="dlt_missing", errors={"template_id": [message]})


def promotion_hours(intent: Intent) -> ClosedHours | None:
    """The hours kept free of promotion, for a promotional domestic SMS."""
    is_promotional = category_of(intent) == DltCategory.PROMOTIONAL
    return PROMOTION_CLOSED if is_promotional and is_domestic(intent.to) else None


def category_of(intent: Intent) -> DltCategory:
    """As what the text is registered: its own category, else promotional for an offer."""
    if intent.version.dlt_category:
        return DltCategory(intent.version.dlt_category)
    return DltCategory.PROMOTIONAL if intent.template_type == TemplateType.OFFER else DltCategory.SERVICE
