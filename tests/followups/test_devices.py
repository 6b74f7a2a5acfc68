"""Devices that went silent are forgotten."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from followups.models import Device
from followups.services.consent import register_device
from followups.tasks import cancel_overdue
from jyotiflow.accounts.models import User

pytestmark = pytest.mark.django_db


def test_a_device_unseen_for_270_days_is_forgotten_and_one_that_registers_again_stays(user: User) -> None:
    for token, days in (("silent", 271), ("quiet", 269), ("back", 400)):
        register_device(user=user, token=token, platform="android")
        Device.objects.filter(token=token).update(seen_at=now() - timedelta(days=days))
    register_device(user=user, token="back", platform="android")
    cancel_overdue()
    assert set(Device.objects.values_list("token", flat=True)) == {"quiet", "back"}
