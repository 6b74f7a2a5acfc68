"""Links in messages: signed, bound to one purpose, without personal data in them."""

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.core import signing

_UNSUBSCRIBE = signing.Signer(salt="followups.unsubscribe", sep=".")


@dataclass(frozen=True)
class Unsubscription:
    """Who wants no more messages on which channel."""

    user_id: int
    channel: str


def unsubscribe_url(*, user_id: int, channel: str) -> str:
    """The page where one leaves a channel without signing in; the link never expires."""
    return f"{settings.PUBLIC_BASE_URL}/u/{_UNSUBSCRIBE.sign(f'{user_id}-{channel}')}"


def read_unsubscribe_token(token: str) -> Unsubscription | None:
    """Who a token stands for, or ``None`` for a forged one."""
    try:
        user_id, _, channel = _UNSUBSCRIBE.unsign(token).partition("-")
        return Unsubscription(int(user_id), channel)
    except (signing.BadSignature, ValueError):
        return None


def preferences_url() -> str:
    """The page where a user keeps their preferences."""
    return f"{settings.PUBLIC_BASE_URL}/followups/"


def callback_url(*, provider: str, attempt_id: UUID) -> str:
    """Where a provider reports on one attempt; the provider signs its calls to it."""
    return f"{settings.PUBLIC_BASE_URL}/api/followup/receipts/{provider}?a={attempt_id}"
