"""Twilio's status callbacks, for SMS and WhatsApp."""

from collections.abc import Iterator
from typing import Final

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.utils.crypto import constant_time_compare
from twilio.request_validator import RequestValidator

from followups.channels.twilio_status import report_of
from followups.receipts.answers import acknowledged, forbidden, is_too_large
from followups.services.receipts import receipt_of, record_receipt
from jyotiflow.errors import only

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
    record_receipt(
        receipt_of(
            report_of(sid, status, form.get("ErrorCode", "")),
            provider="twilio",
            attempt_reference=request.GET.get("a", ""),
            provider_message_id=sid,
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
