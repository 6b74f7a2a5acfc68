import base64
import hmac
import time

import jwt
import pytest
from django.conf import settings
from jwt.warnings import InsecureKeyLengthWarning
from rest_framework.test import APIClient
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from jyotiflow.accounts.models import User
from jyotiflow.accounts.services import refresh
from jyotiflow.accounts.tokens import FINGERPRINT, ISSUER, issue_pair
from jyotiflow.exceptions import NotSignedIn
from tests.factories import PASSWORD, UserFactory

OTHER_SECRET = "another-secret-that-is-long-enough-for-hs256"


def platform_token(secret: str = "", algorithm: str = "HS256", **claims) -> str:
    """A token as the platform issues them; a claim of ``None`` is left out."""
    now = int(time.time())
    basis = {"sub": "77", "role": "user", "iat": now, "exp": now + 600, "typ": "access"}
    merged = {name: value for name, value in {**basis, **claims}.items() if value is not None}
    return jwt.encode(merged, secret or settings.JWT_SECRET, algorithm=algorithm)


def profile(token: str):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client.get("/api/user/profile")


def login(email: str, password: str = PASSWORD):
    return APIClient().post("/api/auth/login", {"email": email, "password": password}, format="json")


def renew(token: str):
    return APIClient().post("/api/auth/refresh", {"refresh_token": token}, format="json")


# --- Sign-in ---------------------------------------------------------------------------------------------


def test_login_answers_tokens_and_the_user(user):
    response = login(user.email)
    body = response.json()
    assert response.status_code == 200
    assert body["token_type"] == "bearer"
    assert body["user"] == {
        "id": user.pk,
        "email": user.email,
        "name": user.name,
        "role": "user",
        "preferred_language": "en",
        "credits": 0,
    }
    assert profile(body["access_token"]).json()["email"] == user.email


def test_login_takes_the_email_in_any_case(user):
    assert login(user.email.upper()).status_code == 200


def test_own_tokens_carry_the_claims_of_the_contract(user):
    claims = jwt.decode(issue_pair(user).access_token, settings.JWT_SECRET, algorithms=["HS256"])
    assert set(claims) == {"sub", "email", "role", "typ", "exp", "iat", "jti", "iss", FINGERPRINT}
    assert (claims["sub"], claims["email"], claims["role"]) == (str(user.pk), user.email, "user")
    assert (claims["typ"], claims["iss"]) == ("access", ISSUER)


def test_an_unknown_email_a_wrong_password_and_an_inactive_user_read_the_same(user):
    inactive = UserFactory(is_active=False)
    answers = [login(user.email, "wrong"), login("nobody@example.test"), login(inactive.email)]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert "WWW-Authenticate" in answers[0]


def test_an_unknown_email_costs_a_password_hash_as_a_known_one(user, monkeypatch):
    hashed = []
    monkeypatch.setattr(User, "set_password", lambda self, raw: hashed.append(raw))
    login("nobody@example.test", "guess")
    assert hashed == ["guess"]


@pytest.mark.parametrize("body", [{}, {"email": "a@b.test"}, {"email": ["a"], "password": {}}, {"email": "", "password": ""}])  # fmt: skip # noqa: E501
def test_login_without_a_pair_is_a_400_that_names_the_fields(db, body):
    response = APIClient().post("/api/auth/login", body, format="json")
    assert response.status_code == 400
    assert response.json()["errors"]


def test_guesses_at_one_account_are_limited_and_others_are_not(user):
    limit = int(settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]["login"].partition("/")[0])
    # A window may end in between, so more than one window's worth of guesses.
    statuses = [login(user.email, "wrong").status_code for _ in range(2 * limit + 1)]
    assert statuses[:limit] == [401] * limit
    assert 429 in statuses
    assert login(UserFactory().email).status_code == 200


def test_a_limited_guess_is_told_when_to_come_back(user):
    answers = [login(user.email.swapcase(), "wrong") for _ in range(41)]
    limited = next(answer for answer in answers if answer.status_code == 429)
    assert 0 < int(limited["Retry-After"]) <= 60
    assert limited.json()["code"] == "throttled"


# --- Whose token it is -----------------------------------------------------------------------------------


def test_a_platform_token_signs_in_the_active_user_of_its_email(user):
    other = UserFactory()
    response = profile(platform_token(sub=str(other.pk), email=user.email.upper()))
    assert (response.status_code, response.json()["id"]) == (200, user.pk)


def test_a_platform_token_may_have_a_number_as_sub_and_a_clock_that_runs_ahead(user):
    token = platform_token(sub=77, email=user.email, iat=int(time.time()) + 120)
    assert profile(token).status_code == 200


@pytest.mark.parametrize("email", ["nobody@example.test", None, "", "\x00", "\ud800", 7, ["a"], {"a": 1}])
def test_a_platform_token_for_nobody_we_know_is_refused(db, email):
    UserFactory(email="somebody@example.test")
    assert profile(platform_token(email=email)).status_code == 401


def test_the_role_in_a_token_grants_nothing(user):
    token = platform_token(email=user.email, role="admin")
    assert profile(token).json()["role"] == "user"
    assert not User.objects.get(pk=user.pk).is_staff


def test_staff_stay_staff_whatever_the_token_says(staff):
    assert profile(platform_token(email=staff.email, role="user")).json()["role"] == "admin"


def test_inactive_users_are_refused_with_either_token(user):
    own, foreign = issue_pair(user).access_token, platform_token(email=user.email)
    User.objects.update(is_active=False)
    assert {profile(own).status_code, profile(foreign).status_code} == {401}


def test_a_new_password_ends_own_tokens(user):
    pair = issue_pair(user)
    assert profile(pair.access_token).status_code == 200
    user.set_password("another good password")
    user.save()
    assert profile(pair.access_token).status_code == 401
    assert renew(pair.refresh_token).status_code == 401


def test_an_own_token_follows_its_user_to_a_new_email(user):
    token = issue_pair(user).access_token
    User.objects.update(email="moved@example.test")
    assert profile(token).json()["email"] == "moved@example.test"


@pytest.mark.parametrize("sub", ["", "0", "-1", "٣", "1e3", "9" * 30, "1; DROP TABLE", None, [1]])
def test_an_own_token_for_an_odd_id_is_refused(user, sub):
    assert profile(platform_token(iss=ISSUER, sub=sub, email=user.email)).status_code == 401


def test_our_issuer_without_the_fingerprint_is_refused(user):
    assert profile(platform_token(iss=ISSUER, sub=str(user.pk), email=user.email)).status_code == 401


# --- Tokens that are none --------------------------------------------------------------------------------


def unsigned(user: User) -> str:
    return jwt.encode(
        {"sub": "1", "email": user.email, "exp": 9999999999, "typ": "access"}, "", algorithm="none"
    )


def hs512(user: User) -> str:
    with pytest.warns(InsecureKeyLengthWarning):
        return platform_token(email=user.email, algorithm="HS512")


@pytest.mark.parametrize(
    "make",
    [
        unsigned,
        lambda user: platform_token(email=user.email, secret=OTHER_SECRET),
        hs512,
        lambda user: platform_token(email=user.email, exp=int(time.time()) - 1),
        lambda user: platform_token(email=user.email, exp=None),
        lambda user: platform_token(email=user.email, exp="soon"),
        lambda user: platform_token(email=user.email, exp=float("inf")),
        lambda user: platform_token(email=user.email, nbf=int(time.time()) + 600),
        lambda user: platform_token(email=user.email, typ=None),
        lambda user: platform_token(email=user.email, typ="refresh"),
        lambda user: platform_token(email=user.email, typ=["access"]),
        lambda user: issue_pair(user).refresh_token,
        lambda user: issue_pair(user).access_token[:-2],
        lambda user: "",
        lambda user: "a.b.c",
        lambda user: "not a token",
        lambda user: "é" * 20,
    ],
)
def test_what_is_not_a_valid_access_token_is_a_401_with_a_challenge(user, make):
    response = profile(make(user))
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert response.json()["success"] is False


def test_an_expired_token_says_so(user):
    response = profile(platform_token(email=user.email, exp=int(time.time()) - 1))
    assert response.json()["code"] == "token_expired"


def test_no_secret_means_no_token_is_valid(user, settings):
    settings.JWT_SECRET = ""
    head, claims, _ = platform_token(email=user.email, secret=OTHER_SECRET).split(".")
    signature = hmac.digest(b"", f"{head}.{claims}".encode(), "sha256")
    forged = f"{head}.{claims}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert profile(forged).status_code == 401


# --- Refresh ---------------------------------------------------------------------------------------------


def test_refresh_answers_a_fresh_pair_and_spends_the_old_token(user):
    old = login(user.email).json()["refresh_token"]
    first = renew(old)
    assert first.status_code == 200
    assert profile(first.json()["access_token"]).status_code == 200
    assert renew(old).status_code == 401
    assert renew(first.json()["refresh_token"]).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_parallel_refreshes_exactly_one_wins(in_parallel):
    token = issue_pair(UserFactory()).refresh_token
    results = in_parallel(*[lambda: refresh(refresh_token=token)] * 10)
    losers = [result for result in results if isinstance(result, NotSignedIn)]
    assert len(losers) == 9, results


def test_no_usable_refresh_token_lies_in_the_database(user):
    pair = login(user.email).json()
    assert not OutstandingToken.objects.exists()
    renew(pair["refresh_token"])
    assert [token.token for token in OutstandingToken.objects.all()] == [""]


@pytest.mark.parametrize(
    "make",
    [
        lambda user: issue_pair(user).access_token,
        lambda user: platform_token(email=user.email, typ="refresh"),
        lambda user: platform_token(email=user.email, typ="refresh", jti="x"),
        lambda user: platform_token(iss=ISSUER, sub=str(user.pk), typ="refresh"),
        lambda user: "nonsense",
    ],
)
def test_what_is_not_our_refresh_token_is_refused(user, make):
    assert renew(make(user)).status_code == 401


def test_an_inactive_user_cannot_refresh(user):
    token = issue_pair(user).refresh_token
    User.objects.update(is_active=False)
    assert renew(token).status_code == 401
