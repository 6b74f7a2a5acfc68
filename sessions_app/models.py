"""Guidance sessions: what was asked, what was answered, when it was completed."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


def new_session_id() -> str:
    """A fresh id; text, because other JyotiFlow services may bring their own."""
    return str(uuid.uuid4())


class Session(models.Model):
    """One guidance session of one user.

    ``follow_up_count`` (follow-ups neither cancelled nor failed) and ``follow_up_sent`` (one has gone out)
    are kept by a database trigger of the follow-ups table; nothing in Python writes them.
    """

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        COMPLETED = "completed", _("Completed")
        FAILED = "failed", _("Failed")

    id = models.CharField(primary_key=True, max_length=255, default=new_session_id)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="sessions", db_index=False
    )
    service_type = models.CharField(max_length=50)
    question = models.TextField(blank=True)
    guidance_summary = models.TextField(blank=True)
    status = models.CharField(max_length=20, choices=Status, default=Status.OPEN)
    created_at = models.DateTimeField(auto_now_add=True)
    completed_at = models.DateTimeField(null=True, blank=True, editable=False)
    follow_up_sent = models.BooleanField(_("follow-up sent"), default=False, db_default=False, editable=False)
    follow_up_count = models.IntegerField(_("follow-ups"), default=0, db_default=0, editable=False)

    class Meta:
        db_table = "sessions"
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["user", "-created_at", "-id"], name="session_user_newest"),
            models.Index(fields=["-created_at", "-id"], name="session_newest"),
            models.Index(
                fields=["status", "-created_at", "-id"],
                name="session_unfinished_newest",
                condition=~models.Q(status="completed"),
            ),
            models.Index(
                fields=["completed_at"],
                name="session_completed_by_time",
                condition=models.Q(status="completed"),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=["open", "completed", "failed"]), name="session_status_known"
            ),
            models.CheckConstraint(
                condition=models.Q(status="completed", completed_at__isnull=False)
                | (~models.Q(status="completed") & models.Q(completed_at__isnull=True)),
                name="session_completed_at_iff_completed",
            ),
            models.CheckConstraint(
                condition=models.Q(follow_up_count__gte=0), name="session_follow_up_count_not_negative"
            ),
            models.CheckConstraint(condition=~models.Q(id=""), name="session_id_not_empty"),
        ]

    def __str__(self) -> str:
        return self.id
