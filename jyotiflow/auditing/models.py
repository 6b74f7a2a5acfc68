"""What staff changed: one row a change, with who did it and the fields before and after. Append-only."""

import pgtrigger
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Action(models.TextChoices):
    """What somebody did."""

    CREATED = "created", _("Created")
    CHANGED = "changed", _("Changed")
    DELETED = "deleted", _("Deleted")
    ARCHIVED = "archived", _("Archived")
    RESTORED = "restored", _("Restored")
    GRANTED = "granted", _("Credits granted")
    ADJUSTED = "adjusted", _("Balance corrected")
    REFUNDED = "refunded", _("Credits refunded")
    CANCELLED = "cancelled", _("Cancelled")
    RETRIED = "retried", _("Tried again")
    RESCHEDULED = "rescheduled", _("Rescheduled")
    PAUSED = "paused", _("Paused")
    RESUMED = "resumed", _("Resumed")
    STOPPED = "stopped", _("Address stopped")
    LIFTED = "lifted", _("Address allowed again")
    EXPORTED = "exported", _("Exported")
    ERASED = "erased", _("Person erased")
    RAN = "ran", _("Started by hand")


class AuditEntry(models.Model):
    """One change: ``before`` and ``after`` hold the changed fields alone.

    It is kept for good, so nothing in it names a person: people are ids, and what is written to them is not
    in it. ``actor`` is empty for what a command or the system itself did.
    """

    at = models.DateTimeField(_("at"), db_default=Now(), editable=False)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("by"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    action = models.CharField(_("action"), max_length=20, choices=Action)
    kind = models.CharField(_("kind"), max_length=100, help_text=_("The model, as app.model."))
    object_id = models.CharField(_("id"), max_length=64, blank=True, default="")
    label = models.CharField(_("what"), max_length=200, blank=True, default="")
    before = models.JSONField(_("before"), default=dict, encoder=DjangoJSONEncoder)
    after = models.JSONField(_("after"), default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        db_table = "audit_entries"
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        permissions = [("export_auditentry", "Can export audit entries")]
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["object_id", "-id"], name="audit_of_object"),
            models.Index(fields=["kind", "-id"], name="audit_of_kind"),
            models.Index(fields=["action", "-id"], name="audit_of_action"),
            models.Index(fields=["at"], name="audit_at"),
        ]
        triggers = [
            pgtrigger.Protect(name="audit_append_only", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()}: {self.label or self.object_id}"
