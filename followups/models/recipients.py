"""What people want and where they can be reached: preferences, suppressions, devices, the in-app inbox."""

import uuid
from datetime import time

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from followups.choices import SuppressionReason
from followups.conf import channel_choices
from followups.models.schedules import FollowUpSchedule


class RecipientPreference(models.Model):
    """One user's wishes. No row means no wishes: every channel on, the default quiet hours."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="follow_up_preference"
    )
    channels_off = models.JSONField(default=list, blank=True, help_text=_("Channels the user opted out of."))
    quiet_start = models.TimeField(null=True, blank=True)
    quiet_end = models.TimeField(null=True, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "follow_up_preferences"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(quiet_start__isnull=True, quiet_end__isnull=True)
                | models.Q(quiet_start__isnull=False, quiet_end__isnull=False),
                name="preference_quiet_hours_both_or_none",
            )
        ]

    def __str__(self) -> str:
        return f"preferences of user {self.user_id}"

    @property
    def quiet_hours(self) -> tuple[time, time] | None:
        """One's own quiet hours, from and until, in local time; ``None`` without any."""
        if self.quiet_start is None or self.quiet_end is None:
            return None
        return self.quiet_start, self.quiet_end


class Suppression(models.Model):
    """An address, as a salted hash, that must not be written to on a channel."""

    channel = models.CharField(max_length=20, choices=channel_choices)
    address_hash = models.CharField(max_length=64)
    reason = models.CharField(max_length=20, choices=SuppressionReason)
    source = models.CharField(max_length=100, blank=True, help_text=_("Where we learned it."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "follow_up_suppressions"
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["channel", "address_hash"], name="suppression_once_per_address"),
            models.CheckConstraint(
                condition=models.Q(reason__in=SuppressionReason.values), name="suppression_reason_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.reason}"


class Device(models.Model):
    """One phone or browser that takes pushes for one user. A token belongs to whoever registered it last."""

    class Platform(models.TextChoices):
        ANDROID = "android", "Android"
        IOS = "ios", "iOS"
        WEB = "web", _("Web")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="devices")
    token = models.CharField(max_length=1024, unique=True)
    platform = models.CharField(max_length=10, choices=Platform)
    created_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "follow_up_devices"
        ordering = ["-seen_at"]

    def __str__(self) -> str:
        return f"{self.platform} device {self.pk}"


class InAppMessage(models.Model):
    """A message in the user's inbox: one per follow-up, so a repeated delivery changes nothing."""

    follow_up = models.OneToOneField(
        FollowUpSchedule, on_delete=models.CASCADE, related_name="in_app_message"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="in_app_messages"
    )
    subject = models.TextField()
    body = models.TextField()
    language = models.CharField(max_length=8)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "follow_up_in_app_messages"
        verbose_name = _("in-app message")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"in-app message {self.pk}"


class SandboxMessage(models.Model):
    """What the sandbox would have sent: the local outbox. One a follow-up, like a provider with keys."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    follow_up_id = models.UUIDField(unique=True)
    attempt_id = models.UUIDField()
    channel = models.CharField(max_length=20)
    to = models.TextField()
    language = models.CharField(max_length=8)
    subject = models.TextField(blank=True)
    body = models.TextField()
    html = models.TextField(blank=True)
    headers = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    receipts_played = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "follow_up_sandbox_outbox"
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["created_at"],
                name="sandbox_receipts_to_play",
                condition=models.Q(receipts_played__lt=2),
            )
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.id}"
