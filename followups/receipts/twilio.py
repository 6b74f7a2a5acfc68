"""Twilio's status callbacks, for SMS and WhatsApp."""

from collections.abc import Iterator, Mapping
from typing import Final

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.utils.crypto import constant_time_compare
from twilio.request_validator import RequestValidator

from followups.channels.twilio_errors import delivery_fault
from followups.choices import ReceiptKind
from followups.receipts.answers import acknowledged, forbidden, is_too_large
from followups.services.receipts import Receipt, record_receipt
from jyotiflow.errors import only

# https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
KIND_BY_STATUS: Final[Mapping[str, ReceiptKind]] = {
    "accepted": ReceiptKind.ACCEPTED,
    "scheduled": ReceiptKind.ACCEPTED,
    "queued": ReceiptKind.ACCEPTED,
    "sending": ReceiptKind.ACCEPTED,
    "sent": ReceiptKind.ACCEPTED,
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.READ,
    "undelivered": ReceiptKind.FAILED,
    "failed": ReceiptKind.FAILED,
    "canceled": ReceiptKind.FAILED,
}
# Stored beside the event; addresses and texts are left out.
KEPT: Final = (
    "MessageSid",
    "MessageStatus",
    "ErrorCode",
    "ErrorMessage",
    "ChannelStatusMessage",
    "EventType",
)


@only("POST")
def twilio_receipt(request: HttpRequest) -> JsonResponse:
    """Take one status callback. Twilio signs the public URL with every parameter; a forgery writes nothing.

    https://www.twilio.com/docs/usage/security#validating-requests
    """
    if is_too_large(request) or not is_signed(request):
        return forbidden()
    form = request.POST
    sid, status = form.get("MessageSid", ""), form.get("MessageStatus", "").lower()
    code = form.get("ErrorCode", "")
    kind = KIND_BY_STATUS.get(status, ReceiptKind.OTHER)
    fault = delivery_fault(code, status) if kind == ReceiptKind.FAILED else None
    record_receipt(
        Receipt(
            provider="twilio",
            event_key=f"{sid}:{status}",
            kind=kind,
            attempt_reference=request.GET.get("a", ""),
            provider_message_id=sid,
            code=code,
            reason=fault.sentence if fault else "",
            suppress=fault.suppress if fault else None,
            raw={name: form[name] for name in KEPT if name in form},
        )
    )
    return acknowledged()


def is_signed(request: HttpRequest) -> bool:
    """Whether one of our auth tokens signed the request, and it's about our account."""
    given = request.headers.get("X-Twilio-Signature", "")
    url = f"{settings.PUBLIC_BASE_URL}{request.get_full_path()}"  # configured: a Host header could lie
    if not given or request.POST.get("AccountSid") != settings.TWILIO_ACCOUNT_SID:
        return False
    return any(
        constant_time_compare(RequestValidator(token).compute_signature(url, request.POST), given)
        for token in _tokens()
    )


def _tokens() -> Iterator[str]:
    """The auth token, and the one before it while it's being rotated."""
    yield from filter(None, (settings.TWILIO_AUTH_TOKEN, settings.TWILIO_AUTH_TOKEN_PREVIOUS))
