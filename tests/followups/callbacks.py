"""Providers' callbacks as they come over the wire, signed as the provider signs them."""

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import urlencode

from django.conf import settings
from django.test import Client, RequestFactory
from django.urls import resolve
from twilio.request_validator import RequestValidator

ACCOUNT = f"AC{7:032x}"
TOKEN = "the-auth-token"
WEBHOOK_SECRET = "followups:a-long-shared-secret"
SIGNING_KEY = "the-signing-key"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Callback:
    """One HTTP call; a test changes what it wants to forge and sends the rest as it was signed."""

    path: str
    body: bytes
    headers: Mapping[str, str]
    content_type: str = FORM
    method: str = "POST"
    extra: Mapping[str, Any] = field(default_factory=dict)

    def but(self, **changes: Any) -> Self:
        """The same with something else in it."""
        return replace(self, **changes)

    def with_header(self, name: str, value: str | None) -> Self:
        """The same with one header changed, or without it."""
        others = {given: text for given, text in self.headers.items() if given != name}
        return replace(self, headers=others if value is None else {**others, name: value})

    def send(self, client: Client) -> int:
        """Send it through everything a request goes through; the status of the answer."""
        return int(self._make(client).status_code)

    def call(self) -> int:
        """Hand it to its view alone; the status of the answer."""
        request = self._make(RequestFactory())
        match = resolve(request.path)
        return int(match.func(request, *match.args, **match.kwargs).status_code)

    def _make(self, maker: Client | RequestFactory) -> Any:
        return maker.generic(
            self.method,
            self.path,
            self.body,
            content_type=self.content_type,
            headers=dict(self.headers),
            **self.extra,
        )


def twilio_callback(
    status: str,
    *,
    attempt: object,
    sid: str,
    token: str = TOKEN,
    account: str = ACCOUNT,
    site: str = "",
    **fields: str,
) -> Callback:
    """A status callback of Twilio. https://www.twilio.com/docs/usage/security#validating-requests"""
    form = {
        "AccountSid": account,
        "ApiVersion": "2010-04-01",
        "From": "+14155550100",
        "MessageSid": sid,
        "MessageStatus": status,
        "SmsSid": sid,
        "SmsStatus": status,
        "To": "+919840012345",
        **fields,
    }
    path = f"/api/followup/receipts/twilio?a={attempt}"
    signature = RequestValidator(token).compute_signature(f"{site or settings.PUBLIC_BASE_URL}{path}", form)
    return Callback(path, urlencode(form).encode(), {"X-Twilio-Signature": signature})


def mailgun_callback(
    event: str, *, attempt: object, at: float, number: int, key: str = SIGNING_KEY, **data: Any
) -> Callback:
    """An event of Mailgun. https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks"""
    token, timestamp = f"{number:050x}", f"{at:.0f}"
    signature = hmac.new(key.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()
    body = {
        "signature": {"token": token, "timestamp": timestamp, "signature": signature},
        "event-data": {
            "event": event,
            "id": f"event-{number}",
            "timestamp": at,
            "recipient": "somebody@example.test",
            "message": {"headers": {"message-id": "mail-1@mg.example.test"}},
            "user-variables": {"attempt_id": str(attempt)},
            **data,
        },
    }
    return Callback(
        "/api/followup/receipts/email/mailgun",
        json.dumps(body).encode(),
        {"Authorization": basic(WEBHOOK_SECRET)},
        content_type="application/json",
    )


def basic(secret: str) -> str:
    """The header a webhook's URL with ``user:password@`` in it makes."""
    return f"Basic {b64encode(secret.encode()).decode()}"
