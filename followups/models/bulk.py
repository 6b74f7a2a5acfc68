"""Changes of many follow-ups at once: what was asked for, and what became of each."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from followups.choices import BulkAction, BulkItemState, BulkState
from followups.models.schedules import FollowUpSchedule


class BulkChange(models.Model):
    """One change that staff want for many: looked at first, then confirmed, then done one by one.

    Its items say what it would do and did. It keeps no word of the filter they were found by: a search may
    name a person.
    """

    action = models.CharField(_("what"), max_length=10, choices=BulkAction)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("by")
    )
    state = models.CharField(max_length=10, choices=BulkState, default=BulkState.CHECKING)
    move_to = models.DateTimeField(_("to"), null=True, blank=True)
    move_by_hours = models.IntegerField(_("by hours"), null=True, blank=True)
    created_at = models.DateTimeField(_("asked for"), db_default=Now())
    confirmed_at = models.DateTimeField(_("confirmed"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        db_table = "follow_up_bulk_changes"
        verbose_name = _("bulk change")
        ordering = ["-pk"]
        indexes = [
            models.Index(
                fields=["state"],
                name="bulk_change_open",
                condition=models.Q(state__in=[BulkState.CHECKING, BulkState.RUNNING]),
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(action__in=BulkAction.values), name="bulk_change_action_known"
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=BulkState.values), name="bulk_change_state_known"
            ),
            models.CheckConstraint(
                condition=(
                    models.Q(action=BulkAction.MOVE)
                    & (
                        models.Q(move_to__isnull=False, move_by_hours__isnull=True)
                        | models.Q(move_to__isnull=True, move_by_hours__isnull=False)
                    )
                )
                | (
                    ~models.Q(action=BulkAction.MOVE)
                    & models.Q(move_to__isnull=True, move_by_hours__isnull=True)
                ),
                name="bulk_change_moves_one_way",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=[BulkState.RUNNING, BulkState.FINISHED])
                | models.Q(confirmed_at__isnull=False),
                name="bulk_change_runs_once_confirmed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} #{self.pk}"


class BulkItem(models.Model):
    """One follow-up of a bulk change, or one row of an imported file that becomes one."""

    change = models.ForeignKey(BulkChange, on_delete=models.CASCADE, related_name="items", db_index=False)
    number = models.PositiveIntegerField(
        _("no."), help_text=_("Its place in the list, or its row in the file.")
    )
    follow_up = models.ForeignKey(
        FollowUpSchedule,
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        related_name="bulk_items",
        db_constraint=False,  # one in the archive is in another table; none is ever deleted
        verbose_name=_("follow-up"),
    )
    # Of a file's row.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("reader"),
    )
    order = models.JSONField(
        default=dict, blank=True, help_text=_("What the row asks for; erased with its reader.")
    )
    file_key = models.CharField(max_length=80, blank=True, default="")
    state = models.CharField(max_length=10, choices=BulkItemState, default=BulkItemState.NEW)
    credits = models.IntegerField(
        default=0, help_text=_("Given back to the reader; taken from them where negative.")
    )
    code = models.CharField(max_length=50, blank=True, default="")
    reason = models.CharField(_("why not"), max_length=300, blank=True, default="")
    moved_from = models.DateTimeField(null=True, blank=True)
    moved_to = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "follow_up_bulk_items"
        verbose_name = _("bulk change's follow-up")
        verbose_name_plural = _("bulk changes' follow-ups")
        ordering = ["change_id", "number"]
        indexes = [models.Index(fields=["change", "state", "number"], name="bulk_item_by_state")]
        constraints = [
            models.UniqueConstraint(fields=["change", "number"], name="bulk_item_number_unique"),
            models.UniqueConstraint(
                fields=["file_key"],
                name="bulk_item_file_row_booked_once",
                condition=models.Q(state=BulkItemState.DONE) & ~models.Q(file_key=""),
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=BulkItemState.values), name="bulk_item_state_known"
            ),
            models.CheckConstraint(
                condition=(models.Q(state=BulkItemState.REFUSED) & ~models.Q(code=""))
                | (~models.Q(state=BulkItemState.REFUSED) & models.Q(code="")),
                name="bulk_item_code_iff_refused",
            ),
            models.CheckConstraint(
                condition=models.Q(state=BulkItemState.DONE, done_at__isnull=False)
                | (~models.Q(state=BulkItemState.DONE) & models.Q(done_at__isnull=True)),
                name="bulk_item_done_at_iff_done",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.change_id}/{self.number}"
