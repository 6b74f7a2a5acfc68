"""Delivery and tracking events of the configured email service, read by Anymail."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from anymail.exceptions import AnymailWebhookValidationFailure
from django.conf import settings
from django.http import HttpRequest, JsonResponse

from followups.choices import ReceiptKind, SuppressionReason
from followups.receipts.answers import acknowledged, forbidden
from followups.services.receipts import Receipt, record_receipt
from jyotiflow.errors import error_body, only

# https://anymail.dev/en/stable/sending/tracking/#normalized-tracking-event
KIND_BY_EVENT: Final[Mapping[str, ReceiptKind]] = {
    "queued": ReceiptKind.ACCEPTED,
    "sent": ReceiptKind.ACCEPTED,
    "rejected": ReceiptKind.FAILED,
    "failed": ReceiptKind.FAILED,
    "bounced": ReceiptKind.BOUNCED,
    "delivered": ReceiptKind.DELIVERED,
    "opened": ReceiptKind.READ,
    "clicked": ReceiptKind.READ,
    "complained": ReceiptKind.COMPLAINED,
    "unsubscribed": ReceiptKind.UNSUBSCRIBED,
}
SUPPRESSED_BY_EVENT: Final[Mapping[str, SuppressionReason]] = {
    "bounced": SuppressionReason.HARD_BOUNCE,
    "complained": SuppressionReason.COMPLAINT,
}
# Fetchers that open every mail before or instead of a person: privacy proxies and security scanners.
MACHINES: Final = (
    "googleimageproxy",
    "yahoomailproxy",
    "barracuda",
    "proofpoint",
    "mimecast",
    "bot",
    "crawler",
)
BARE_AGENTS: Final = frozenset({"mozilla/5.0"})  # Apple Mail Privacy Protection says just this
# What services call a bounce that may pass: Postmark's Type, SES' bounceType, Mailgun's severity.
PASSING_BOUNCES: Final = frozenset({"softbounce", "transient", "temporary", "undetermined", "dnserror"})
REASONS: Final = {
    "bounced": "The mailbox does not exist or refuses mail.",
    "rejected": "The email service refused the message.",
}


@only("POST")
def email_receipt(request: HttpRequest, esp: str) -> JsonResponse:
    """Take one call of the configured service. Without the shared secret a forgery writes nothing.

    The secret is ``ANYMAIL_WEBHOOK_SECRET`` (user:password in the webhook's URL), beside the service's own
    signature where it has one.
    """
    if esp != settings.EMAIL_ESP or not settings.ANYMAIL.get("WEBHOOK_SECRET"):
        return forbidden()
    view = _tracking_view(esp)
    try:
        view.run_validators(request)
    except AnymailWebhookValidationFailure:
        return forbidden()
    try:
        events = view.parse_events(request)
    except (ValueError, KeyError, TypeError):
        return JsonResponse(error_body("The event can't be read.", "unreadable"), status=400)
    for event in events:
        record_receipt(receipt_of(esp, event))
    return acknowledged()


def receipt_of(esp: str, event: Any) -> Receipt:
    """One Anymail tracking event in our words."""
    kind = KIND_BY_EVENT.get(event.event_type, ReceiptKind.OTHER)
    agent = (event.user_agent or "").lower()
    if kind == ReceiptKind.READ and (agent in BARE_AGENTS or any(machine in agent for machine in MACHINES)):
        kind = ReceiptKind.MACHINE_OPEN
    # Services that give their events no id are told apart by message, kind and time.
    key = event.event_id or f"{event.message_id}:{event.event_type}:{event.timestamp}"
    metadata = event.metadata or {}
    return Receipt(
        provider=esp,
        event_key=str(key),
        kind=kind,
        attempt_reference=str(metadata.get("attempt_id") or metadata.get("follow_up_id") or ""),
        provider_message_id=str(event.message_id or ""),
        code=str(event.reject_reason or "")[:50],
        reason=REASONS.get(event.event_type, "The email service could not deliver it."),
        suppress=None if _may_pass(event) else SUPPRESSED_BY_EVENT.get(event.event_type),
        occurred_at=event.timestamp,
        raw={"event_type": event.event_type, "reject_reason": event.reject_reason},
    )


def _may_pass(event: Any) -> bool:
    """Whether a bounce is one of a full mailbox or a busy server, not of a wrong address."""
    raw = event.esp_event if isinstance(event.esp_event, dict) else {}
    inner = raw.get("event-data") or raw.get("bounce") or {}
    words = {
        str(place.get(name, "")).lower()
        for place in (raw, inner)
        if isinstance(place, dict)
        for name in ("Type", "bounceType", "severity")
    }
    return bool(words & PASSING_BOUNCES)


def _tracking_view(esp: str) -> Any:
    module = import_module(f"anymail.webhooks.{esp}")
    name = next(
        name for name in vars(module) if name.endswith("TrackingWebhookView") and _is_own(module, name)
    )
    return getattr(module, name)()


def _is_own(module: Any, name: str) -> bool:
    return bool(getattr(module, name).__module__ == module.__name__)
