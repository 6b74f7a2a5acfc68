"""How often one may try: to sign in by API and page alike, to book, to call as a machine, to send at once."""

from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from followups.receipts.answers import LARGEST_BATCH, LARGEST_BODY
from jyotiflow.accounts.limits import (
    AccountThrottle,
    AddressThrottle,
    LoginThrottle,
    MachineThrottle,
    StaffThrottle,
    UserThrottle,
)
from jyotiflow.accounts.models import MachineKey, User
from jyotiflow.accounts.services import create_machine_key
from jyotiflow.accounts.tokens import issue_pair
from jyotiflow.docs import published_schema
from jyotiflow.throttling import SafeThrottle
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db

LOGIN, PAGE, ADMIN = "/api/auth/login", "/accounts/login", "/admin/login/"
SCHEDULE = "/api/followup/schedule"
COMPLETE = "/api/followup/auto/session-complete"
NOTHING = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def frozen_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """No window ends while a test counts."""
    monkeypatch.setattr("jyotiflow.throttling.time.time", lambda: 1_700_000_010.0)


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch, frozen_window: None) -> Any:
    """Sets the rate of a throttle."""

    def to(throttle: type[SafeThrottle], rate: str) -> None:
        monkeypatch.setattr(throttle, "rate", rate, raising=False)

    return to


@pytest.fixture
def redis_away(settings: Settings) -> None:
    settings.CACHES = {
        "default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0", "OPTIONS": {}}
    }


def by_api(email: str, **headers: str) -> Any:
    body = {"email": email, "password": "wrong"}
    return APIClient(headers=headers).post(LOGIN, body, format="json")


def by_page(path: str, email: str, password: str = "wrong", **extra: Any) -> Any:
    return Client().post(path, {"username": email, "password": password}, **extra)


# --- Sign-in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PAGE, ADMIN])
def test_guesses_on_a_page_are_limited(path: str, limit: Any, admin: User) -> None:
    limit(LoginThrottle, "3/min")
    assert [by_page(path, admin.email).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = by_page(path, admin.email, PASSWORD)
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 60
    assert "sessionid" not in refused.cookies
    assert "Please wait a moment" in refused.content.decode()
    assert by_page(path, UserFactory(admin=True).email, PASSWORD).status_code == 302


def test_pages_and_api_share_one_count(limit: Any, admin: User) -> None:
    limit(LoginThrottle, "3/min")
    tries = [by_api(admin.email), by_page(PAGE, admin.email), by_page(ADMIN, admin.email)]
    assert [answer.status_code for answer in tries] == [401, 200, 200]
    assert by_api(admin.email).status_code == 429
    assert by_page(PAGE, admin.email).status_code == 429
    assert by_page(ADMIN, admin.email).status_code == 429


def test_looking_at_the_form_counts_nothing(limit: Any, client: Client) -> None:
    limit(LoginThrottle, "1/min")
    assert [client.get(path).status_code for path in (PAGE, ADMIN) for _ in range(3)] == [200] * 6


def test_another_spelling_of_an_account_is_the_same_account(limit: Any, db: None) -> None:
    limit(LoginThrottle, "1/min")
    UserFactory(email="kind.sir@example.test")
    assert by_page(PAGE, "kind.sir@example.test").status_code == 200
    for spelling in (
        "KIND.SIR@example.test",
        " kind.sir@example.test ",
        "k\u0131nd.s\u0131r@example.test",  # dotless: an I in upper case
        "kind.\u017fir@example.test",  # a long s: an S in upper case
        "\uff4bind.sir@example.test",  # full width: the form's normal form of it is k
        "\u212aind.sir@example.test",  # the Kelvin sign
    ):
        assert by_page(PAGE, spelling).status_code == 429, ascii(spelling)
        assert by_api(spelling).status_code == 429, ascii(spelling)


def test_guesses_at_one_account_from_many_addresses_are_limited(limit: Any, user: User) -> None:
    limit(AccountThrottle, "3/min")
    tries = [by_page(PAGE, user.email, REMOTE_ADDR=f"192.0.2.{number}") for number in range(4)]
    assert [answer.status_code for answer in tries] == [200, 200, 200, 429]


def test_guesses_at_many_accounts_from_one_address_are_limited(limit: Any, db: None) -> None:
    limit(AddressThrottle, "3/min")
    tries = [by_page(ADMIN, f"{number}@example.test") for number in range(4)]
    assert [answer.status_code for answer in tries] == [200, 200, 200, 429]


def test_a_forwarded_address_is_believed_from_a_proxy_only(
    limit: Any, user: User, settings: Settings
) -> None:
    limit(LoginThrottle, "1/min")
    assert by_api(user.email).status_code == 401
    lying = by_api(user.email, **{"X-Forwarded-For": "198.51.100.7"})
    assert lying.status_code == 429


def test_renewing_is_limited_by_address(limit: Any, user: User) -> None:
    limit(AddressThrottle, "2/min")
    body = {"refresh_token": issue_pair(user).refresh_token}
    tries = [APIClient().post("/api/auth/refresh", body, format="json") for _ in range(3)]
    assert [answer.status_code for answer in tries] == [200, 401, 429]


def test_no_count_bears_a_person_s_address(frozen_window: None, user: User) -> None:
    by_api(user.email)
    by_page(PAGE, user.email)
    redis: Any = cache._cache.get_client(None)  # type: ignore[attr-defined]
    keys = [key.decode() for key in redis.keys("*throttle*")]
    assert len(keys) == 3
    for told in (user.email, user.email.split("@")[0], "127.0.0.1"):
        assert not any(told in key for key in keys)


@pytest.mark.parametrize("path", [PAGE, ADMIN])
def test_without_redis_everybody_may_sign_in(path: str, redis_away: None, limit: Any, admin: User) -> None:
    limit(LoginThrottle, "1/min")
    assert [by_page(path, admin.email).status_code for _ in range(2)] == [200, 200]
    assert by_page(path, admin.email, PASSWORD).status_code == 302


# --- Acting ----------------------------------------------------------------------------------------------


def limited(answer: Any) -> None:
    assert answer.status_code == 429
    assert answer.json()["code"] == "throttled"
    assert 0 < int(answer["Retry-After"]) <= 60


def test_bookings_are_limited_by_user(limit: Any, api: APIClient) -> None:
    limit(UserThrottle, "3/min")
    body = {"template_id": NOTHING}
    tries = [
        api.post(SCHEDULE, body, format="json"),
        api.post("/api/followup/email/none"),
        api.post("/api/followup/devices", {"token": "t", "platform": "ios"}, format="json"),
    ]
    assert [answer.status_code for answer in tries] == [404, 404, 201]
    limited(api.post(SCHEDULE, body, format="json"))
    limited(api.post("/api/followup/sms/none"))
    limited(api.post("/api/followup/devices", {}, format="json"))
    limited(api.put("/api/followup/preferences", {"phone": "+919840012345"}, format="json"))
    limited(api.post(f"/api/followup/reschedule/{NOTHING}", {}, format="json"))
    limited(api.post("/api/followup/privacy/erase", {"password": "guess"}, format="json"))
    # Looking and taking back stay open, and so does everything for others.
    assert api.get("/api/followup/my-followups").status_code == 200
    assert api.get("/api/followup/preferences").status_code == 200
    assert api.post("/api/followup/quote", body, format="json").status_code == 404
    assert api.post(f"/api/followup/cancel/{NOTHING}").status_code == 404
    other = APIClient()
    other.force_authenticate(UserFactory())
    assert other.post(SCHEDULE, body, format="json").status_code == 404


def test_words_of_staff_are_limited_by_who_writes_them(limit: Any, admin: User) -> None:
    limit(StaffThrottle, "2/min")
    client = APIClient()
    client.force_authenticate(admin)
    notify, test = "/api/notify/followup", f"/api/followup/admin/templates/{NOTHING}/test"
    assert client.post(notify, {}, format="json").status_code == 400
    assert client.post(test, {"to": "a@example.test"}, format="json").status_code == 404
    limited(client.post(notify, {}, format="json"))
    limited(client.post(test, {}, format="json"))


def test_calls_with_a_machine_key_are_limited_by_key(limit: Any, db: None) -> None:
    limit(MachineThrottle, "2/min")
    one, two = (
        APIClient(
            headers={"X-API-Key": create_machine_key(name=name, scope=MachineKey.Scope.SESSIONS_COMPLETE)[1]}
        )
        for name in ("one", "two")
    )
    assert [one.post(COMPLETE, {}, format="json").status_code for _ in range(2)] == [400, 400]
    limited(one.post(COMPLETE, {}, format="json"))
    assert two.post(COMPLETE, {}, format="json").status_code == 400


def test_the_schema_tells_of_every_limit() -> None:
    told = {
        f"{method} {path}"
        for path, item in published_schema()["paths"].items()
        for method, call in item.items()
        if "429" in call["responses"]
    }
    assert told == {
        f"post {LOGIN}",
        "post /api/auth/refresh",
        f"post {SCHEDULE}",
        *(f"post /api/followup/{channel}/{{session_id}}" for channel in ("email", "sms", "whatsapp")),
        "post /api/followup/reschedule/{follow_up_id}",
        "put /api/followup/preferences",
        "post /api/followup/devices",
        "delete /api/followup/devices",
        "get /api/followup/privacy/export",
        "post /api/followup/privacy/erase",
        "post /api/followup/admin/templates/{template_id}/test",
        "post /api/notify/followup",
        f"post {COMPLETE}",
    }


def test_rates_come_from_the_settings() -> None:
    rates = settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]
    assert rates == {"login": "20/min", "user": "60/min", "staff": "20/min", "machine": "600/min"}
    for throttle in (LoginThrottle, UserThrottle, StaffThrottle, MachineThrottle):
        assert throttle.scope in rates


# --- Sizes -----------------------------------------------------------------------------------------------


def test_a_receipt_larger_than_a_provider_s_is_not_read(client: Client, settings: Settings) -> None:
    settings.EMAIL_ESP, settings.ANYMAIL = "postmark", {"WEBHOOK_SECRET": "user:password"}
    basic = {"Authorization": "Basic dXNlcjpwYXNzd29yZA=="}
    address = "/api/followup/receipts/email/postmark"

    def post(size: int) -> int:
        return client.post(address, b"x" * size, "application/json", headers=basic).status_code

    assert post(LARGEST_BATCH) == 400  # read, and no event
    assert post(LARGEST_BATCH + 1) == 403
    twilio = client.post("/api/followup/receipts/twilio", b"x" * (LARGEST_BODY + 1), "text/plain")
    assert twilio.status_code == 403


@pytest.mark.parametrize("length", ["", "-1", "1e3", "\u0663", "9" * 5_000])
def test_a_receipt_of_no_sane_length_is_not_read(client: Client, length: str, settings: Settings) -> None:
    settings.EMAIL_ESP, settings.ANYMAIL = "postmark", {"WEBHOOK_SECRET": "user:password"}
    for path in ("/api/followup/receipts/email/postmark", "/api/followup/receipts/twilio"):
        answer = client.post(path, b"{}", "application/json", CONTENT_LENGTH=length)
        assert answer.status_code == 403
