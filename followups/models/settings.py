"""The settings an admin may change while the system runs."""

import uuid

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from followups.choices import SettingType
from followups.models.stamps import bumps_catalogue


class FollowUpSetting(models.Model):
    """One setting as text; `followups.conf` says which exist and how each is read."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    setting_key = models.CharField(max_length=100, unique=True)
    setting_value = models.TextField()
    setting_type = models.CharField(max_length=20, choices=SettingType, default=SettingType.INTEGER)
    description = models.TextField(blank=True, default="")
    is_active = models.BooleanField(
        _("active"), default=True, db_default=True, help_text=_("Off: as if it were missing.")
    )
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "follow_up_settings"
        verbose_name = _("setting")
        ordering = ["setting_key"]
        triggers = [bumps_catalogue("setting_change_is_seen")]

    def __str__(self) -> str:
        return self.setting_key
