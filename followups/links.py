"""Links in messages: signed, bound to one purpose, without personal data in them."""

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.core import signing

# A token of one purpose is none of the other: who may leave by a link may not be brought back by it.
_UNSUBSCRIBE = signing.Signer(salt="followups.unsubscribe", sep=".")
_PREFERENCES = signing.Signer(salt="followups.preferences", sep=".")
_COME_BACK = signing.Signer(salt="followups.come-back", sep=".")


@dataclass(frozen=True)
class Unsubscription:
    """Who wants no more messages on which channel, and the hash of the address the link was sent to.

    Links from before there was a hash in them have none.
    """

    user_id: int
    channel: str
    address_hash: str = ""


def unsubscribe_url(*, user_id: int, channel: str, address_hash: str = "") -> str:
    """The page where one leaves a channel without signing in; the link never expires."""
    text = _text(Unsubscription(user_id, channel, address_hash))
    return f"{settings.PUBLIC_BASE_URL}/u/{_UNSUBSCRIBE.sign(text)}"


def read_unsubscribe_token(token: str) -> Unsubscription | None:
    """Who a token stands for, or ``None`` for a forged one."""
    return _read(_UNSUBSCRIBE, token)


def come_back_path(wish: Unsubscription) -> str:
    """Where one undoes an unsubscription, offered on the page that confirms it."""
    return f"/u/back/{_COME_BACK.sign(_text(wish))}"


def read_come_back_token(token: str) -> Unsubscription | None:
    """Who a token to come back stands for, or ``None`` for a forged one."""
    return _read(_COME_BACK, token)


def link_preferences_path(wish: Unsubscription) -> str:
    """Where one sets the message preferences without signing in, offered on the page of a mail's link."""
    return f"/u/preferences/{_PREFERENCES.sign(_text(wish))}"


def read_preferences_token(token: str) -> Unsubscription | None:
    """Whose preferences a token opens, or ``None`` for a forged one."""
    return _read(_PREFERENCES, token)


def _text(wish: Unsubscription) -> str:
    return "-".join(filter(None, (str(wish.user_id), wish.channel, wish.address_hash)))


def _read(signer: signing.Signer, token: str) -> Unsubscription | None:
    try:
        user_id, channel, *rest = signer.unsign(token).split("-")
        return Unsubscription(int(user_id), channel, *rest)
    except (signing.BadSignature, ValueError, TypeError):
        return None


def preferences_url() -> str:
    """The page where a user keeps their preferences."""
    return f"{settings.PUBLIC_BASE_URL}/followups/preferences"


def callback_url(*, provider: str, attempt_id: UUID) -> str:
    """Where a provider reports on one attempt; the provider signs its calls to it."""
    return f"{settings.PUBLIC_BASE_URL}/api/followup/receipts/{provider}?a={attempt_id}"
