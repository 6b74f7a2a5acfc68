"""The switch of each channel."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from followups.conf import channel_choices


class ChannelSwitch(models.Model):
    """Whether a channel is paused by staff. No row means it isn't. Read in the gate, so it acts at once."""

    channel = models.CharField(max_length=20, choices=channel_choices, unique=True)
    is_paused = models.BooleanField(_("paused"), default=False)
    reason = models.CharField(max_length=200, blank=True, help_text=_("Shown to staff, not to readers."))
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "follow_up_channel_switches"
        ordering = ["channel"]
        permissions = [("switch_channel", "Can pause and resume a channel")]
        verbose_name = _("channel")
        verbose_name_plural = _("channels")

    def __str__(self) -> str:
        return self.channel
