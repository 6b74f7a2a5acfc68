"""Delivery and tracking events of the configured email service, read by Anymail."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from anymail.exceptions import AnymailWebhookValidationFailure
from django.conf import settings
from django.http import HttpRequest, JsonResponse

from followups.channels.esp import keys_of
from followups.channels.meanings import meaning
from followups.channels.verdicts import Rule
from followups.choices import ErrorPhase, ErrorWord, ReceiptKind
from followups.receipts.answers import LARGEST_BATCH, acknowledged, forbidden, is_too_large
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
# Events with a rule: they end a message, or would if the service gave up.
FAULTS: Final = ("bounced", "complained", "deferred", "failed", "rejected")
# Where services say in their own words what kind of fault it is; the first that is there counts.
OWN_WORDS_AT: Final[Mapping[str, Sequence[Sequence[str]]]] = {
    "amazon_ses": [["bounce", "bounceType"]],
    "mailgun": [["event-data", "severity"]],
    "postmark": [["Type"]],
    "sendgrid": [["type"], ["event"]],
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


@only("POST")
def email_receipt(request: HttpRequest, esp: str) -> JsonResponse:
    """Take one call of the configured service. Without the shared secret a forgery writes nothing.

    The secret is ``ANYMAIL_WEBHOOK_SECRET`` (user:password in the webhook's URL), beside the service's own
    signature where it has one.
    """
    is_ours = esp == settings.EMAIL_ESP and settings.ANYMAIL.get("WEBHOOK_SECRET")
    if not is_ours or is_too_large(request, LARGEST_BATCH):
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
    rule = _rule_of(esp, event) if event.event_type in FAULTS else None
    # Services that give their events no id are told apart by message, kind and time.
    key = event.event_id or f"{event.message_id}:{event.event_type}:{event.timestamp}"
    metadata = event.metadata or {}
    return Receipt(
        provider=esp,
        event_key=str(key),
        kind=_kind_by(rule, kind) if rule else kind,
        attempt_reference=str(metadata.get("attempt_id") or metadata.get("follow_up_id") or ""),
        provider_message_id=str(event.message_id or ""),
        code=rule.code if rule else "",
        reason=rule.sentence if rule else "",
        suppress=rule.suppress if rule else None,
        occurred_at=event.timestamp,
        raw={"event_type": event.event_type, "reject_reason": event.reject_reason},
    )


def _rule_of(esp: str, event: Any) -> Rule:
    word = _own_word(esp, event)
    general = keys_of(esp, event.event_type)
    if word:
        return meaning(ErrorPhase.REPORT, [(esp, word)], otherwise=general)
    return meaning(ErrorPhase.REPORT, general)


def _own_word(esp: str, event: Any) -> str:
    for path in OWN_WORDS_AT.get(esp, ()):
        place = event.esp_event
        for name in path:
            place = place.get(name) if isinstance(place, Mapping) else None
        if isinstance(place, str):
            return place.lower()
    return ""


def _kind_by(rule: Rule, kind: ReceiptKind) -> ReceiptKind:
    """What a rule makes of an event: a complaint proves that it arrived, whatever else."""
    if kind == ReceiptKind.COMPLAINED:
        return kind
    if rule.word == ErrorWord.RECORD:
        return ReceiptKind.OTHER
    return kind if kind == ReceiptKind.BOUNCED else ReceiptKind.FAILED


def _tracking_view(esp: str) -> Any:
    module = import_module(f"anymail.webhooks.{esp}")
    name = next(
        name for name in vars(module) if name.endswith("TrackingWebhookView") and _is_own(module, name)
    )
    return getattr(module, name)()


def _is_own(module: Any, name: str) -> bool:
    return bool(getattr(module, name).__module__ == module.__name__)
