"""Where a user can be reached, and whether they may be."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from followups.channels import get_channel
from followups.models import RecipientPreference, Suppression
from jyotiflow.accounts.models import User

NO_PREFERENCE = RecipientPreference()


@dataclass(frozen=True)
class Reachability:
    """One user on one channel. ``addresses`` are those not suppressed."""

    addresses: Sequence[str]
    has_opted_out: bool
    is_suppressed: bool
    preference: RecipientPreference

    @property
    def refusal(self) -> str:
        """Why a message would not arrive, as a sentence for the user; empty when it would."""
        if self.has_opted_out:
            return "You have switched this channel off in your preferences."
        if self.is_suppressed:
            return "Messages to your address on this channel are stopped; please change the address."
        return "" if self.addresses else "We have no address of yours on this channel."


def hash_address(address: str) -> str:
    """The salted form under which an address is remembered without keeping it."""
    normal = address.strip().lower()
    return hmac.new(settings.FOLLOWUP_ADDRESS_SALT.encode(), normal.encode(), hashlib.sha256).hexdigest()


def preference_of(user: User) -> RecipientPreference:
    """The user's wishes, or an unsaved row of none."""
    return RecipientPreference.objects.filter(user=user).first() or NO_PREFERENCE


def reachability(*, user: User, channel: str) -> Reachability:
    """Look up where and whether the user can be reached on a channel, as of now."""
    addresses = get_channel(channel).addresses(user)
    hashes = {hash_address(address): address for address in addresses}
    suppressed = set(
        Suppression.objects.filter(channel=channel, address_hash__in=hashes).values_list(
            "address_hash", flat=True
        )
    )
    preference = preference_of(user)
    free = tuple(address for key, address in hashes.items() if key not in suppressed)
    return Reachability(
        addresses=free,
        has_opted_out=channel in preference.channels_off,
        is_suppressed=bool(suppressed) and not free,
        preference=preference,
    )
