"""Writes about what people want: opt-outs, suppressed addresses, devices."""

from django.db import transaction

from followups.choices import SuppressionReason
from followups.models import Device, Erasure, RecipientPreference, Suppression
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import NotSignedIn


@transaction.atomic
def opt_out(*, user: User, channel: str) -> None:
    """Switch a channel off for a user. What is scheduled on it is refunded when its time comes.

    Of an erased person nothing is remembered any more, and nothing is sent either.
    """
    if Erasure.objects.filter(user=user).exists():
        return
    RecipientPreference.objects.get_or_create(user=user)
    preference = RecipientPreference.objects.select_for_update().get(user=user)
    if channel not in preference.channels_off:
        preference.channels_off = [*preference.channels_off, channel]
        preference.save(update_fields=["channels_off", "updated_at"])


def suppress(*, channel: str, address_hash: str, reason: SuppressionReason, source: str) -> None:
    """Stop writing to an address on a channel: the one that was written to. The first reason stands."""
    Suppression.objects.get_or_create(
        channel=channel,
        address_hash=address_hash,
        defaults={"reason": reason, "source": source[:100]},
    )


@transaction.atomic
def register_device(*, user: User, token: str, platform: str) -> Device:
    """Register a push token; one that was another user's (a shared phone) becomes this user's.

    Raises ``NotSignedIn`` for an account that was closed while the request was on its way.
    """
    if User.objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True).first() is None:
        raise NotSignedIn
    device, _ = Device.objects.update_or_create(token=token, defaults={"user": user, "platform": platform})
    return device


def forget_device(*, user: User, token: str) -> bool:
    """Forget a push token of the user; ``False`` when it wasn't theirs."""
    return bool(Device.objects.filter(user=user, token=token).delete()[0])
