"""The rows."""

from followups.models.analytics import FollowUpAnalytics
from followups.models.audiences import Audience
from followups.models.bulk import BulkChange, BulkItem
from followups.models.channels import ChannelSwitch
from followups.models.consent import ConsentEvent, InboundMessage
from followups.models.deliveries import Attempt, ProviderEvent
from followups.models.direct import DirectMessage
from followups.models.errors import ErrorRule
from followups.models.idempotency import IdempotentAnswer
from followups.models.privacy import Erasure
from followups.models.recipients import Device, InAppMessage, RecipientPreference, SandboxMessage, Suppression
from followups.models.schedules import FollowUpSchedule, SessionPlan
from followups.models.settings import FollowUpSetting
from followups.models.stamps import Stamp
from followups.models.templates import TEXT_FIELDS, FollowUpTemplate, TemplateText, TemplateVersion

__all__ = [
    "TEXT_FIELDS",
    "Attempt",
    "Audience",
    "BulkChange",
    "BulkItem",
    "ChannelSwitch",
    "ConsentEvent",
    "Device",
    "DirectMessage",
    "Erasure",
    "ErrorRule",
    "FollowUpAnalytics",
    "FollowUpSchedule",
    "FollowUpSetting",
    "FollowUpTemplate",
    "IdempotentAnswer",
    "InAppMessage",
    "InboundMessage",
    "ProviderEvent",
    "RecipientPreference",
    "SandboxMessage",
    "SessionPlan",
    "Stamp",
    "Suppression",
    "TemplateText",
    "TemplateVersion",
]
