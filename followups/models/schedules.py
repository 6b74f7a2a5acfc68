"""Follow-ups: one row a message to one person on one channel. The table is the queue."""

import uuid

import pgtrigger
from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from followups.choices import LIVE_STATES, SENT_STATES, WITHDRAWN_STATES, Origin, State
from followups.conf import channel_choices
from followups.models.templates import FollowUpTemplate, TemplateVersion
from jyotiflow.accounts.models import Language
from sessions_app.models import Session

_LIVE = ", ".join(f"'{state}'" for state in LIVE_STATES)
_SENT = ", ".join(f"'{state}'" for state in SENT_STATES)

# The triggers' conditions, so that a claim, a lease or a reading costs no call.
COUNTS_IN_A_SESSION = f"NEW.session_id IS NOT NULL AND NEW.status IN ({_LIVE})"
CHANGES_SESSION_COUNTS = f"""
    NEW.session_id IS NOT NULL
    AND ((OLD.status IN ({_LIVE})) <> (NEW.status IN ({_LIVE}))
         OR (NEW.status IN ({_SENT}) AND OLD.status NOT IN ({_SENT})))
"""
KEEP_SESSION_COUNTS = f"""
    UPDATE sessions
       SET follow_up_count = follow_up_count + (NEW.status IN ({_LIVE}))::integer
                           - (TG_OP = 'UPDATE' AND OLD.status IN ({_LIVE}))::integer,
           follow_up_sent = follow_up_sent OR NEW.status IN ({_SENT})
     WHERE id = NEW.session_id
       AND NOT (TG_OP = 'UPDATE' AND follow_up_sent AND OLD.status IN ({_LIVE}) AND NEW.status IN ({_LIVE}));
    RETURN NEW;
"""  # noqa: S608  only our own state words are put in


class FollowUpSchedule(models.Model):
    """One message to one person on one channel: bought, waiting, sent, read or refunded.

    ``scheduled_at`` is the time that was promised, ``due_at`` the next moment the queue looks at it (later
    after a back-off). Credits are whole numbers; instants are UTC.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Keys without an index of their own: below they begin a wider one, or none is needed (a version is looked
    # up when a template is deleted that was never used). Each index is written at almost every change.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="follow_ups", db_index=False
    )
    user_email = models.CharField(max_length=255, help_text=_("The address when it was scheduled."))
    session = models.ForeignKey(
        Session, null=True, blank=True, on_delete=models.PROTECT, related_name="follow_ups", db_index=False
    )
    template = models.ForeignKey(
        FollowUpTemplate, on_delete=models.PROTECT, related_name="follow_ups", db_index=False
    )
    template_version = models.ForeignKey(
        TemplateVersion, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    channel = models.CharField(max_length=20, choices=channel_choices)
    origin = models.CharField(max_length=20, choices=Origin, default=Origin.MANUAL)
    retry_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="retried_as", db_index=False
    )
    language = models.CharField(max_length=8, choices=Language, help_text=_("The language it is sent in."))
    wanted_language = models.CharField(
        max_length=8, choices=Language, help_text=_("The language its reader prefers.")
    )
    custom_variables = models.JSONField(default=dict, blank=True)

    scheduled_at = models.DateTimeField()
    due_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text=_("Not sent after this; cancelled and refunded instead."))
    status = models.CharField(max_length=20, choices=State, default=State.PENDING, db_default=State.PENDING)
    tries = models.PositiveSmallIntegerField(default=0, db_default=0)
    claim_token = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)

    credits_charged = models.IntegerField(default=0, db_default=0)
    credits_refunded = models.IntegerField(default=0, db_default=0)
    refunded_at = models.DateTimeField(null=True, blank=True)

    subject_sent = models.TextField(blank=True, default="")
    message_sent = models.TextField(blank=True, default="")
    provider = models.CharField(max_length=30, blank=True, default="")
    provider_message_id = models.CharField(max_length=255, blank=True, default="")

    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    failure_code = models.CharField(max_length=50, blank=True, default="")
    failure_reason = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())
    archived_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text=_("Since then in the archive: shown, never sent again."),
    )

    class Meta:
        db_table = "follow_up_schedules"  # its rows and, by inheritance, those of `follow_up_archive`
        verbose_name = _("follow-up")
        ordering = ["-scheduled_at", "-id"]
        permissions = [("export_followupschedule", "Can export follow-ups")]
        indexes = [
            models.Index(
                fields=["channel", "due_at", "id"], name="follow_up_due", condition=models.Q(status="pending")
            ),
            models.Index(
                # Not by `lease_until`: few are under way, and renewing a lease so touches no index (HOT).
                fields=["channel"],
                name="follow_up_sending",
                condition=models.Q(status="sending"),
            ),
            models.Index(
                fields=["channel"], name="follow_up_in_doubt", condition=models.Q(status="in_doubt")
            ),
            models.Index(
                fields=["channel", "sent_at"], name="follow_up_silent", condition=models.Q(status="sent")
            ),
            models.Index(
                fields=["channel"],
                name="follow_up_late_delivered",
                condition=models.Q(status__in=["delivered", "read"], refunded_at__isnull=False),
            ),
            models.Index(fields=["user", "-scheduled_at", "-id"], name="follow_up_user_newest"),
            models.Index(fields=["session"], name="follow_up_session"),
            models.Index(fields=["template", "-scheduled_at", "-id"], name="follow_up_template_newest"),
            models.Index(fields=["-scheduled_at", "-id"], name="follow_up_newest"),
            models.Index(
                fields=["status", "-scheduled_at", "-id"],
                name="follow_up_withdrawn_newest",
                condition=models.Q(status__in=WITHDRAWN_STATES),
            ),
            models.Index(
                fields=["channel", "status", "-scheduled_at", "-id"],
                name="follow_up_withdrawn_by_channel",
                condition=models.Q(status__in=WITHDRAWN_STATES),
            ),
            models.Index(
                fields=["origin", "-scheduled_at", "-id"],
                name="follow_up_rare_origin_newest",
                condition=models.Q(origin__in=[Origin.INSTANT, Origin.RETRY]),
            ),
            models.Index(fields=["updated_at"], name="follow_up_changed"),
            models.Index(
                fields=["sent_at"], name="follow_up_sent_day", condition=models.Q(sent_at__isnull=False)
            ),
            models.Index(fields=["created_at"], name="follow_up_charged_day"),
            models.Index(
                fields=["refunded_at"],
                name="follow_up_refunded_day",
                condition=models.Q(refunded_at__isnull=False),
            ),
            models.Index(  # with what the dashboard counts failures by, so that it reads no row
                fields=["failed_at"],
                include=["channel", "failure_code", "id", "language", "template"],
                name="follow_up_failed_day",
                condition=models.Q(status="failed"),
            ),
            models.Index(
                fields=["provider_message_id"],
                name="follow_up_message_id",
                condition=~models.Q(provider_message_id=""),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["session", "template"],
                name="follow_up_automatic_once_per_session_template",
                condition=models.Q(origin="automatic"),
            ),
            models.UniqueConstraint(
                fields=["retry_of"],
                name="follow_up_retried_once",
                condition=models.Q(retry_of__isnull=False),
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=[state.value for state in State]), name="follow_up_status_known"
            ),
            models.CheckConstraint(
                condition=models.Q(origin__in=[origin.value for origin in Origin]),
                name="follow_up_origin_known",
            ),
            models.CheckConstraint(
                condition=models.Q(credits_charged__gte=0), name="follow_up_charge_not_negative"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    credits_refunded__gte=0, credits_refunded__lte=models.F("credits_charged")
                ),
                name="follow_up_refund_within_charge",
            ),
            models.CheckConstraint(
                condition=models.Q(credits_refunded=0)
                | models.Q(refunded_at__isnull=False, failed_at__isnull=False)
                | models.Q(refunded_at__isnull=False, cancelled_at__isnull=False),
                name="follow_up_refund_only_when_withdrawn",
            ),
            models.CheckConstraint(
                condition=(
                    models.Q(status="sending", claim_token__isnull=False, lease_until__isnull=False)
                    | (
                        ~models.Q(status="sending")
                        & models.Q(claim_token__isnull=True, lease_until__isnull=True)
                    )
                ),
                name="follow_up_leased_iff_sending",
            ),
            models.CheckConstraint(
                condition=~models.Q(status__in=SENT_STATES) | models.Q(sent_at__isnull=False),
                name="follow_up_sent_has_time",
            ),
            models.CheckConstraint(
                condition=~models.Q(status__in=["pending", "sending", "cancelled"])
                | models.Q(sent_at__isnull=True),
                name="follow_up_unsent_has_no_sent_time",
            ),
            models.CheckConstraint(
                condition=~models.Q(status="delivered") | models.Q(delivered_at__isnull=False),
                name="follow_up_delivered_has_time",
            ),
            models.CheckConstraint(
                condition=~models.Q(status="read")
                | models.Q(read_at__isnull=False, delivered_at__isnull=False),
                name="follow_up_read_has_times",
            ),
            models.CheckConstraint(
                condition=~models.Q(status="failed")
                | (models.Q(failed_at__isnull=False) & ~models.Q(failure_reason="")),
                name="follow_up_failed_has_time_and_reason",
            ),
            models.CheckConstraint(
                condition=models.Q(status="cancelled", cancelled_at__isnull=False)
                | (~models.Q(status="cancelled") & models.Q(cancelled_at__isnull=True)),
                name="follow_up_cancelled_at_iff_cancelled",
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="follow_up_counts_in_session",
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                condition=pgtrigger.Condition(COUNTS_IN_A_SESSION),
                func=KEEP_SESSION_COUNTS,
            ),
            pgtrigger.Trigger(
                name="follow_up_keeps_session_counts",
                when=pgtrigger.After,
                operation=pgtrigger.UpdateOf("status"),
                condition=pgtrigger.Condition(CHANGES_SESSION_COUNTS),
                func=KEEP_SESSION_COUNTS,
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def charge_key(self) -> str:
        """The ledger's key of this follow-up's one charge."""
        return f"followup:{self.id}:charge"

    @property
    def refund_key(self) -> str:
        """The ledger's key of this follow-up's one refund."""
        return f"followup:{self.id}:refund"


class SessionPlan(models.Model):
    """Proof that a completed session was planned, with what was skipped and why."""

    session = models.OneToOneField(Session, on_delete=models.PROTECT, related_name="follow_up_plan")
    decisions = models.JSONField(default=list, help_text=_("One entry a template: taken or why not."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "follow_up_plans"
        ordering = ["-created_at"]
        indexes = [BrinIndex(fields=["created_at"], name="plan_made", autosummarize=True)]

    def __str__(self) -> str:
        return self.session_id
