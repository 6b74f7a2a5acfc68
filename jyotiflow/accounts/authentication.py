"""Signs API requests in by ``Authorization: Bearer <jwt>``."""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from jyotiflow.accounts.models import User
from jyotiflow.accounts.tokens import ACCESS, ISSUER, read_claims, user_of
from jyotiflow.errors import SIGN_IN_CHALLENGE
from jyotiflow.exceptions import NotSignedIn


def caller(request: Request) -> User:
    """The person who makes this request. Raises ``NotSignedIn`` for anybody or anything else."""
    if not isinstance(request.user, User):
        raise NotSignedIn
    return request.user


def is_platform_sign_in(request: Request) -> bool:
    """Whether the platform signed the caller in, whose users may have no password here."""
    return isinstance(request.auth, dict) and request.auth.get("iss") != ISSUER


class TokenAuthentication(BaseAuthentication):
    """Own tokens and the platform's; a request with no bearer token is left to the next authentication."""

    def authenticate(self, request: Request) -> tuple[User, dict[str, Any]] | None:
        scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer":
            return None
        claims = read_claims(token.strip(), ACCESS)
        return user_of(claims), claims

    def authenticate_header(self, request: Request) -> str:
        return SIGN_IN_CHALLENGE
