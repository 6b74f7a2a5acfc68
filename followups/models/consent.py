"""What people decided about messages, and what they wrote to us: facts, never changed."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from followups.choices import ConsentDoor, ConsentKind, ReplyKind
from followups.conf import channel_choices


class ConsentEvent(models.Model):
    """One decision that changed something: of a user on a channel, or about one address (by its hash).

    Append-only. When a user's row is deleted, the event stays without its user.
    """

    kind = models.CharField(max_length=10, choices=ConsentKind)
    channel = models.CharField(max_length=20, choices=channel_choices)
    door = models.CharField(max_length=20, choices=ConsentDoor)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    address_hash = models.CharField(max_length=64, blank=True, default="")
    wording = models.CharField(
        max_length=100,
        blank=True,
        default="",
        help_text=_("The version of the page, the word replied, the provider's code or the note."),
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "follow_up_consent_events"
        ordering = ["-id"]
        indexes = [models.Index(fields=["user", "channel", "-id"], name="consent_of_user")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=ConsentKind.values), name="consent_kind_known"
            ),
            models.CheckConstraint(
                condition=models.Q(door__in=ConsentDoor.values), name="consent_door_known"
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="consent_append_only",
                operation=pgtrigger.Delete
                | pgtrigger.UpdateOf("kind", "channel", "door", "address_hash", "wording", "created_at"),
            ),
            pgtrigger.Protect(
                name="consent_keeps_its_user",
                operation=pgtrigger.UpdateOf("user_id"),
                condition=pgtrigger.Q(new__user_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.kind}"


class InboundMessage(models.Model):
    """A message a reader sent us, once by its id. Its text isn't kept, only the word we know in it."""

    message_id = models.CharField(max_length=64, unique=True)
    channel = models.CharField(max_length=20, choices=channel_choices)
    address_hash = models.CharField(max_length=64)
    kind = models.CharField(max_length=10, choices=ReplyKind)
    word = models.CharField(max_length=30, blank=True, default="")
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "follow_up_inbound"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["channel", "address_hash", "-received_at"], name="inbound_last_of_address")
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.kind}"
