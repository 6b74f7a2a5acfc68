"""What tests of consent share: Twilio's signed calls, real channels, and somebody to write to."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings
from twilio.request_validator import RequestValidator

from jyotiflow.accounts.models import User
from tests.factories import UserFactory

ACCOUNT, CONTENT = "AC" + "0a" * 16, "HX" + "2c" * 16
PHONE = "+919840012345"
INBOUND = "/api/followup/receipts/twilio/inbound"


@pytest.fixture
def twilio_account(settings: Settings) -> None:
    """Our account, with a token that is just being rotated."""
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = ACCOUNT, "token"
    settings.TWILIO_AUTH_TOKEN_PREVIOUS = "older"


@pytest.fixture
def reply(twilio_account: None) -> Callable[..., Any]:
    """Posts what a reader replied as Twilio does; each a new message unless told otherwise."""
    numbers = iter(range(1_000))

    def post(body: str, *, channel: str = "sms", token: str = "token", **change: str) -> Any:
        prefix = "whatsapp:" if channel == "whatsapp" else ""
        form = {
            "MessageSid": f"SM{next(numbers):032}",
            "AccountSid": ACCOUNT,
            "From": f"{prefix}{PHONE}",
            "To": f"{prefix}+14155550100",
            "Body": body,
            "NumMedia": "0",
            **change,
        }
        signature = RequestValidator(token).compute_signature(f"http://testserver{INBOUND}", form)
        return Client().post(INBOUND, form, headers={"X-Twilio-Signature": signature})

    return post


@pytest.fixture
def sharer(db: None) -> User:
    """Somebody else with the same phone number, who reads Tamil."""
    return UserFactory(phone=PHONE, preferred_language="ta")


@pytest.fixture
def real_channels(settings: Settings) -> Settings:
    """SMS and WhatsApp by Twilio instead of the sandbox; nothing here calls it."""
    options = {
        "account_sid": ACCOUNT,
        "auth_token": "token",
        "base_url": "http://127.0.0.1:1",
        "sender": "+14155550100",
    }
    settings.FOLLOWUP_CHANNELS = {
        **settings.FOLLOWUP_CHANNELS,
        "sms": {"BACKEND": "followups.channels.sms.SmsChannel", "OPTIONS": options},
        "whatsapp": {"BACKEND": "followups.channels.whatsapp.WhatsAppChannel", "OPTIONS": options},
    }
    return settings
