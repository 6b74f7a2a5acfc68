"""Proof that people were erased, without a word about who they were."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Erasure(models.Model):
    """One person's erasure. It's open until nothing of theirs is on its way any more."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="erasure")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("Who asked for it; nobody for a command."),
    )
    requested_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "erasures"
        ordering = ["-requested_at"]
        indexes = [
            models.Index(
                fields=["requested_at"], name="erasure_open", condition=models.Q(finished_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"erasure of user {self.user_id}"
