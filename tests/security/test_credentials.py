"""Proofs of who one is: tokens, sessions, signatures. What else is said of tokens is in tests/jyotiflow."""

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from django.conf import settings as django_settings
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient
from twilio.request_validator import RequestValidator

from followups.models import ProviderEvent
from jyotiflow.accounts.models import User
from jyotiflow.accounts.services import create_machine_key
from jyotiflow.accounts.tokens import ISSUER, issue_pair
from tests.factories import PASSWORD
from tests.followups.channels.conftest import ACCOUNT_SID

pytestmark = pytest.mark.django_db

RECEIPT = "/api/followup/receipts/twilio?a=00000000-0000-4000-8000-000000000000"


def profile(token: str) -> int:
    client = APIClient(headers={"Authorization": f"Bearer {token}"})
    return int(client.get("/api/user/profile").status_code)


def claims_of(user: User) -> dict[str, Any]:
    return {"sub": "1", "email": user.email, "exp": int(time.time()) + 600, "typ": "access"}


def test_a_token_s_own_word_for_its_algorithm_counts_for_nothing(user: User, private_key: str) -> None:
    """Neither another family of algorithms, nor a public key taken for our secret."""
    key: Any = serialization.load_pem_private_key(private_key.encode(), None)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for token in (
        jwt.encode(claims_of(user), private_key, algorithm="RS256"),
        jwt.encode(claims_of(user), private_key, algorithm="PS256"),
        jwt.encode(claims_of(user), "", algorithm="none"),
        jwt.encode(claims_of(user), public.replace(b"-----", b""), algorithm="HS256"),
        jwt.encode(claims_of(user), django_settings.SECRET_KEY, algorithm="HS256"),
        jwt.encode(
            claims_of(user), django_settings.JWT_SECRET, algorithm="HS256", headers={"kid": "../../x"}
        )[:-1],
    ):
        assert profile(token) == 401
    assert profile(jwt.encode(claims_of(user), django_settings.JWT_SECRET, algorithm="HS256")) == 200


def test_a_new_password_ends_every_sign_in(user: User) -> None:
    browser = Client()
    browser.post("/accounts/login", {"username": user.email, "password": PASSWORD})
    pair = issue_pair(user)
    assert (profile(pair.access_token), browser.get("/followups/").status_code) == (200, 200)
    user.set_password("another good password")
    user.save()
    renewed = APIClient().post("/api/auth/refresh", {"refresh_token": pair.refresh_token}, format="json")
    assert (profile(pair.access_token), renewed.status_code) == (401, 401)
    assert browser.get("/followups/").status_code == 302


def test_one_s_own_token_can_not_be_made_another_s(user: User, admin: User) -> None:
    claims = jwt.decode(issue_pair(user).access_token, options={"verify_signature": False})
    head, _, signature = issue_pair(user).access_token.split(".")
    forged = jwt.encode({**claims, "sub": str(admin.pk)}, "x" * 32, algorithm="HS256").split(".")[1]
    assert profile(f"{head}.{forged}.{signature}") == 401
    # Signed with the right secret, as the platform could: our own issuer's tokens need our fingerprint too.
    assert profile(jwt.encode({**claims, "sub": str(admin.pk)}, django_settings.JWT_SECRET)) == 401
    assert claims["iss"] == ISSUER


def test_a_key_of_a_machine_signs_in_nobody(admin: User) -> None:
    _, secret = create_machine_key(name="platform", scope="sessions:complete")
    for headers in (
        {"X-API-Key": secret},
        {"Authorization": f"Api-Key {secret}"},
        {"Authorization": f"Bearer {secret}"},
    ):
        client = APIClient(headers=headers)
        assert client.get("/api/user/profile").status_code == 401
        assert client.get("/api/followup/admin/templates").status_code == 401


@pytest.mark.parametrize(
    "lie", [{"Host": "localhost"}, {"X-Forwarded-Host": "evil.example"}, {"X-Forwarded-Proto": "https"}]
)
def test_a_callback_s_signature_is_about_the_configured_address(
    lie: dict[str, str], client: Client, settings: Settings
) -> None:
    settings.PUBLIC_BASE_URL = "https://followups.jyotiflow.org"
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = ACCOUNT_SID, "token"
    form = {"AccountSid": ACCOUNT_SID, "MessageSid": "SM1", "MessageStatus": "sent"}
    sign = RequestValidator("token").compute_signature

    def post(base: str) -> int:
        signature = sign(f"{base}{RECEIPT}", form)
        return int(client.post(RECEIPT, form, headers={"X-Twilio-Signature": signature, **lie}).status_code)

    for base in ("http://testserver", "https://testserver", "http://localhost", "https://evil.example"):
        assert post(base) == 403
    assert not ProviderEvent.objects.exists()
    assert post("https://followups.jyotiflow.org") == 200
