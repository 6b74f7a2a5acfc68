"""The unsubscribe link: out of a channel, and back for who only clicked it."""

from typing import Final

from django.db import transaction

from followups.choices import ConsentDoor, SuppressionReason
from followups.links import Unsubscription
from followups.services.consent import current_hashes, last_door, lift, opt_in, opt_out, suppress
from jyotiflow.accounts.models import User

PAGE: Final = "unsubscribe page 1"  # raise the number with the page's wording
ONE_CLICK: Final = "one-click"


@transaction.atomic
def unsubscribe(*, user: User, wish: Unsubscription, wording: str) -> None:
    """Opt the user out of the channel and stop the address the link was sent to, whatever it's now."""
    opt_out(user=user, channel=wish.channel, door=ConsentDoor.LINK, wording=wording)
    for address_hash in _hashes(user, wish):
        suppress(
            channel=wish.channel,
            address_hash=address_hash,
            reason=SuppressionReason.UNSUBSCRIBED,
            source=wording,
        )


@transaction.atomic
def come_back(*, user: User, wish: Unsubscription) -> bool:
    """Undo what the link did. ``False`` when the channel was switched off otherwise: that stays."""
    if not can_come_back(user=user, wish=wish):
        return False
    opt_in(user=user, channel=wish.channel, door=ConsentDoor.LINK, wording=PAGE)
    for address_hash in _hashes(user, wish):
        lift(channel=wish.channel, address_hash=address_hash, door=ConsentDoor.LINK, wording=PAGE)
    return True


def can_come_back(*, user: User, wish: Unsubscription) -> bool:
    """Whether it was the link that switched the channel off."""
    return last_door(user=user, channel=wish.channel) == ConsentDoor.LINK


def _hashes(user: User, wish: Unsubscription) -> list[str]:
    # Links sent before addresses were in them mean the address of today.
    return [wish.address_hash] if wish.address_hash else current_hashes(user, wish.channel)
