"""Writes to the devices that take pushes."""

from datetime import timedelta
from typing import Final

from django.utils.timezone import now

from followups.models import Device

# FCM calls a token expired after so long without a sign of life:
# https://firebase.google.com/docs/cloud-messaging/manage-tokens
STALE_AFTER: Final = timedelta(days=270)


def forget_stale_devices() -> int:
    """Forget devices whose app has not registered for too long; returns how many."""
    return Device.objects.filter(seen_at__lt=now() - STALE_AFTER).delete()[0]
