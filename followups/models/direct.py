"""Messages outside of any follow-up: a template tried out, or a word from staff."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from followups.choices import OPEN_DIRECT_STATES, DirectKind, DirectState
from followups.conf import channel_choices
from followups.models.templates import FollowUpTemplate
from jyotiflow.accounts.models import Language


class DirectMessage(models.Model):
    """One message by staff to one address, sent at most once, never charged and never counted.

    The address is kept as long as it is needed for sending, its hash for good: so it's on record who wrote
    what, when, and a report of the provider finds it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=DirectKind)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    template = models.ForeignKey(FollowUpTemplate, null=True, on_delete=models.SET_NULL, related_name="+")
    channel = models.CharField(max_length=20, choices=channel_choices)
    to = models.TextField(blank=True, default="", help_text=_("Until it is sent; then empty."))
    to_hash = models.CharField(max_length=64)
    language = models.CharField(max_length=8, choices=Language)
    subject = models.TextField(blank=True)
    body = models.TextField()
    state = models.CharField(max_length=10, choices=DirectState, default=DirectState.QUEUED)
    provider = models.CharField(max_length=30)
    provider_message_id = models.CharField(max_length=255, blank=True, default="")
    code = models.CharField(max_length=50, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "follow_up_direct_messages"
        ordering = ["-created_at"]
        permissions = [("send_test", "Can send a template as a test")]
        indexes = [
            models.Index(fields=["to_hash"], name="direct_message_to"),
            models.Index(
                fields=["created_at"],
                name="direct_message_open",
                condition=models.Q(state__in=OPEN_DIRECT_STATES),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=DirectKind.values), name="direct_message_kind_known"
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=DirectState.values), name="direct_message_state_known"
            ),
            models.CheckConstraint(
                condition=(models.Q(state__in=OPEN_DIRECT_STATES) & models.Q(finished_at__isnull=True))
                | (~models.Q(state__in=OPEN_DIRECT_STATES) & models.Q(finished_at__isnull=False)),
                name="direct_message_finished_at_iff_final",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=OPEN_DIRECT_STATES) | models.Q(to=""),
                name="direct_message_forgets_its_address",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
