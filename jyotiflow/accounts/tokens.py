"""Tokens: what is in them, and what makes one valid.

Own tokens name ``ISSUER`` and carry a fingerprint of the password, so a new password ends them. The JyotiFlow
platform signs with the same secret and names its users by email.
"""

from dataclasses import dataclass
from typing import Any

import jwt
from django.conf import settings
from django.utils.crypto import constant_time_compare
from rest_framework_simplejwt.tokens import RefreshToken

from jyotiflow.accounts.models import User
from jyotiflow.accounts.selectors import user_by_email, user_by_id
from jyotiflow.exceptions import NotSignedIn

ISSUER = "jyotiflow-followups"
ACCESS, REFRESH = "access", "refresh"
FINGERPRINT = "pwd"


@dataclass(frozen=True)
class TokenPair:
    """A short-lived access token and the refresh token that replaces both."""

    access_token: str
    refresh_token: str


def issue_pair(user: User) -> TokenPair:
    """Fresh tokens for a user."""
    # Not `for_user`: it would keep a usable token in the database.
    refresh = RefreshToken()
    refresh["sub"] = str(user.pk)
    refresh["email"] = user.email
    refresh["role"] = user.role
    refresh["iss"] = ISSUER
    refresh[FINGERPRINT] = _fingerprint(user)
    return TokenPair(access_token=str(refresh.access_token), refresh_token=str(refresh))


def read_claims(token: str, kind: str) -> dict[str, Any]:
    """The claims of a token of this kind. Raises ``NotSignedIn`` unless our secret signed it and it runs."""
    if not settings.JWT_SECRET:  # an empty secret is one that everybody knows
        raise _invalid()
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            settings.JWT_SECRET,
            algorithms=["HS256"],
            # The platform's clock may run ahead of ours, and its user ids may be numbers.
            options={"require": ["exp"], "verify_iat": False, "verify_sub": False, "verify_jti": False},
        )
    except jwt.ExpiredSignatureError as error:
        raise NotSignedIn("Your sign-in has expired.", code="token_expired") from error
    except (jwt.PyJWTError, ValueError, OverflowError) as error:
        raise _invalid() from error
    if claims.get("typ") != kind:
        raise _invalid()
    return claims


def user_of(claims: dict[str, Any]) -> User:
    """The active user these claims sign in. Raises ``NotSignedIn``."""
    own = (
        claims.get("iss") == ISSUER
    )  # any role in the claims is ignored: the database grants, a token doesn't
    user = user_by_id(str(claims.get("sub", ""))) if own else user_by_email(str(claims.get("email", "")))
    if user is None or not user.is_active:
        raise _invalid()
    if own and not constant_time_compare(str(claims.get(FINGERPRINT, "")), _fingerprint(user)):
        raise _invalid()
    return user


def _fingerprint(user: User) -> str:
    # Django's HMAC of the password hash, keyed with SECRET_KEY; a part of it tells passwords apart.
    return user.get_session_auth_hash()[:32]


def _invalid() -> NotSignedIn:
    return NotSignedIn("Your sign-in is not valid. Sign in again.", code="token_invalid")
