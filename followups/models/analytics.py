"""The daily figures, recomputed from the follow-ups themselves."""

import uuid

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from followups.conf import channel_choices
from followups.models.templates import FollowUpTemplate
from jyotiflow.accounts.models import Language


class FollowUpAnalytics(models.Model):
    """One day of one template on one channel in one language. A message counts on the day it was sent."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    date = models.DateField()
    template = models.ForeignKey(FollowUpTemplate, on_delete=models.PROTECT, related_name="analytics")
    channel = models.CharField(max_length=20, choices=channel_choices)
    language = models.CharField(max_length=8, choices=Language, help_text=_("The language it is sent in."))
    total_sent = models.IntegerField(default=0, db_default=0)
    total_delivered = models.IntegerField(default=0, db_default=0)
    total_read = models.IntegerField(default=0, db_default=0)
    total_failed = models.IntegerField(default=0, db_default=0)
    delivered_after_refund = models.IntegerField(
        default=0, db_default=0, help_text=_("Delivered after all, with the refund given before.")
    )
    credits_charged = models.IntegerField(default=0, db_default=0)
    credits_refunded = models.IntegerField(default=0, db_default=0)
    revenue_generated = models.DecimalField(max_digits=12, decimal_places=2, default=0, db_default=0)
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "follow_up_analytics"
        verbose_name = _("daily figures")
        verbose_name_plural = _("daily figures")
        ordering = ["-date"]
        constraints = [
            models.UniqueConstraint(
                fields=["date", "template", "channel", "language"],
                name="analytics_one_row_per_day_template_channel_language",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    total_delivered__lte=models.F("total_sent"), total_read__lte=models.F("total_sent")
                ),
                name="analytics_no_rate_above_one",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.date} {self.channel} {self.language}"
