"""Calls to providers and what providers reported back."""

import uuid

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from followups.choices import OPEN_ATTEMPT_STATES, AttemptState, ReceiptKind
from followups.models.schedules import FollowUpSchedule


class Attempt(models.Model):
    """One call to a provider, written before the call. Its id travels in the callback URL.

    The address and the text are kept as hashes only: enough to find the message at the provider.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    follow_up = models.ForeignKey(
        FollowUpSchedule, on_delete=models.CASCADE, related_name="attempts", db_index=False
    )
    number = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=20, choices=AttemptState, default=AttemptState.CALLING)
    provider = models.CharField(max_length=30)
    provider_message_id = models.CharField(max_length=255, blank=True, default="")
    to_hash = models.CharField(max_length=64)
    body_hash = models.CharField(max_length=64)
    code = models.CharField(max_length=50, blank=True, default="")
    details = models.JSONField(default=dict, blank=True, help_text=_("For push, the outcome by device."))
    misses = models.PositiveSmallIntegerField(
        default=0, help_text=_("Times the provider knew nothing of it.")
    )
    looks = models.PositiveSmallIntegerField(default=0, db_default=0, help_text=_("Times it was looked for."))
    checked_at = models.DateTimeField(null=True, blank=True)
    gate_at = models.DateTimeField(_("called"), db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "follow_up_attempts"
        ordering = ["follow_up_id", "number"]  # the unique index: no sort, however long the history
        indexes = [
            models.Index(
                fields=["gate_at"], name="attempt_in_doubt", condition=models.Q(state=AttemptState.IN_DOUBT)
            ),
            BrinIndex(fields=["gate_at"], name="attempt_called", autosummarize=True),
            models.Index(  # how few of them end, for whoever looks for those
                fields=["state", "follow_up", "number"],
                name="attempt_not_accepted",
                condition=~models.Q(state__in=[*OPEN_ATTEMPT_STATES, AttemptState.ACCEPTED]),
            ),
            models.Index(
                fields=["to_hash"],
                name="attempt_open_to_address",
                condition=models.Q(state__in=OPEN_ATTEMPT_STATES),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["follow_up", "number"], name="attempt_number_unique"),
            models.UniqueConstraint(
                fields=["provider", "provider_message_id"],
                name="attempt_message_has_one_owner",
                condition=models.Q(state=AttemptState.ACCEPTED) & ~models.Q(provider_message_id=""),
            ),
            models.UniqueConstraint(
                fields=["follow_up"],
                name="attempt_one_open_per_follow_up",
                condition=models.Q(state__in=OPEN_ATTEMPT_STATES),
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=OPEN_ATTEMPT_STATES, finished_at__isnull=True)
                | (~models.Q(state__in=OPEN_ATTEMPT_STATES) & models.Q(finished_at__isnull=False)),
                name="attempt_finished_at_iff_final",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class ProviderEvent(models.Model):
    """One report of a provider, stored once and before it is applied; the raw words are kept."""

    provider = models.CharField(max_length=30)
    event_key = models.CharField(max_length=300)
    attempt = models.ForeignKey(
        Attempt,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="events",
        db_constraint=False,  # one in the archive is in another table; none is ever deleted
    )
    attempt_reference = models.CharField(max_length=64, blank=True, default="")
    provider_message_id = models.CharField(max_length=255, blank=True, default="")
    kind = models.CharField(max_length=20, choices=ReceiptKind)
    code = models.CharField(max_length=50, blank=True, default="")
    raw = models.JSONField(default=dict, blank=True)
    occurred_at = models.DateTimeField(null=True, blank=True)
    received_at = models.DateTimeField(auto_now_add=True)
    applied_at = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text=_("Times it looked for its message in vain.")
    )
    next_try_at = models.DateTimeField(default=timezone.now, db_default=Now())
    unmatched_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When it was given up: it is about no message of ours.")
    )

    class Meta:
        db_table = "follow_up_events"
        ordering = ["-received_at", "-id"]
        indexes = [
            models.Index(
                fields=["tries", "next_try_at"],
                name="event_waiting",
                condition=models.Q(applied_at__isnull=True, unmatched_at__isnull=True),
            ),
            models.Index(
                fields=["unmatched_at"],
                name="event_unmatched",
                condition=models.Q(unmatched_at__isnull=False),
            ),
            models.Index(
                fields=["provider_message_id"],
                name="event_message",
                condition=~models.Q(provider_message_id=""),
            ),
            BrinIndex(fields=["received_at"], name="event_received", autosummarize=True),
            models.Index(  # which few reports are of, for whoever looks for those
                fields=["kind", "-id"],
                name="event_rare_kind",
                condition=~models.Q(kind__in=[ReceiptKind.ACCEPTED, ReceiptKind.DELIVERED, ReceiptKind.READ]),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["provider", "event_key"], name="event_stored_once"),
            models.CheckConstraint(
                condition=models.Q(applied_at__isnull=True) | models.Q(unmatched_at__isnull=True),
                name="event_applied_or_unmatched",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.kind}"
