"""Writes about what people want: opt-outs, suppressed addresses, devices."""

from django.db import transaction

from followups.channels import get_channel
from followups.choices import SuppressionReason
from followups.models import Device, RecipientPreference, Suppression
from followups.selectors.recipients import hash_address
from jyotiflow.accounts.models import User


@transaction.atomic
def opt_out(*, user: User, channel: str) -> None:
    """Switch a channel off for a user. What is scheduled on it is refunded when its time comes."""
    RecipientPreference.objects.get_or_create(user=user)
    preference = RecipientPreference.objects.select_for_update().get(user=user)
    if channel not in preference.channels_off:
        preference.channels_off = [*preference.channels_off, channel]
        preference.save(update_fields=["channels_off", "updated_at"])


def suppress(*, user: User, channel: str, reason: SuppressionReason, source: str) -> None:
    """Stop writing to the user's present address on a channel. The first reason stands."""
    for address in get_channel(channel).addresses(user):
        Suppression.objects.get_or_create(
            channel=channel,
            address_hash=hash_address(address),
            defaults={"reason": reason, "source": source[:100]},
        )


def register_device(*, user: User, token: str, platform: str) -> Device:
    """Register a push token; one that was another user's (a shared phone) becomes this user's."""
    device, _ = Device.objects.update_or_create(token=token, defaults={"user": user, "platform": platform})
    return device


def forget_device(*, user: User, token: str) -> bool:
    """Forget a push token of the user; ``False`` when it wasn't theirs."""
    return bool(Device.objects.filter(user=user, token=token).delete()[0])
