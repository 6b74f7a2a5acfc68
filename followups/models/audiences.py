"""Whom the messages of a span of days reached, as sets: people, unlike messages, can't be added up."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from followups.conf import channel_choices
from followups.models.templates import FollowUpTemplate
from jyotiflow.accounts.models import Language


class AudienceSpan(models.TextChoices):
    """How many days an audience is of. A longer one is the union of its days, kept to be read quickly."""

    DAY = "day", _("Day")
    MONTH = "month", _("Month")  # of the calendar
    EVER = "ever", _("Ever")  # the first day to ``last_on``, which is the last day of a month


class Audience(models.Model):
    """Who was written to and who read it: one template, channel and language, a span up to ``last_on``.

    Sets of users' ids as Roaring bitmaps (64 bit, portable form), about two bytes a person.
    """

    span = models.CharField(max_length=5, choices=AudienceSpan)
    last_on = models.DateField()
    template = models.ForeignKey(
        FollowUpTemplate, on_delete=models.PROTECT, related_name="audiences", db_index=False
    )
    channel = models.CharField(max_length=20, choices=channel_choices)
    language = models.CharField(max_length=8, choices=Language)
    recipients = models.BinaryField()
    readers = models.BinaryField()

    class Meta:
        db_table = "follow_up_audiences"
        constraints = [
            models.UniqueConstraint(
                fields=["span", "last_on", "template", "channel", "language"],
                name="audience_one_row_per_span_template_channel_language",
            )
        ]

    def __str__(self) -> str:
        return f"{self.span} {self.last_on} {self.channel} {self.language}"
