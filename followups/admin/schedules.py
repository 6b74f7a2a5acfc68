"""Follow-ups: found, read, and chosen to be changed. No row is edited by hand."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from credits.models import CreditEntry
from followups.admin.choosing import BulkActions
from followups.admin.columns import NOTHING, link_to, moment, moment_column, short_column, table
from followups.admin.history import HistoryAdmin, HistoryInline
from followups.admin.importing import ImportAdmin
from followups.admin.schedule_filters import (
    FailureCodeFilter,
    RefundedFilter,
    ScheduledFilter,
    StuckFilter,
    TemplateFilter,
)
from followups.admin.searching import as_uuid
from followups.admin.timeline import lines_of, standing_of
from followups.models import (
    Attempt,
    FollowUpSchedule,
    ProviderEvent,
    TemplateVersion,
)
from followups.selectors.follow_ups import words_of
from jyotiflow.accounts.selectors import people_like
from jyotiflow.exporting import ExportAdmin


class AttemptInline(HistoryInline):
    model = Attempt
    fields = readonly_fields = (
        "attempt",
        "state",
        "provider",
        "provider_message_id",
        "code",
        "gate_at",
        "finished_at",
    )

    @admin.display(description=_("attempt"))
    def attempt(self, attempt: Attempt) -> str:
        return link_to(Attempt, attempt.pk, attempt.number)


@admin.register(FollowUpSchedule)
class FollowUpScheduleAdmin(BulkActions, ImportAdmin, ExportAdmin, HistoryAdmin):
    class Media:
        css = {"all": ("followups/admin/schedules.css", "followups/admin/timeline.css")}

    list_display = (
        "reader",
        "template",
        "channel",
        "status",
        "language",
        moment_column("scheduled_at", _("scheduled")),
        moment_column("sent_at", _("sent")),
        "credits",
        short_column("failure_reason", _("failure")),
    )
    list_select_related = ("user", "template")
    list_filter = (
        "status",
        "channel",
        "origin",
        "language",
        TemplateFilter,
        ScheduledFilter,
        RefundedFilter,
        StuckFilter,
        FailureCodeFilter,
    )
    search_fields = ("user__email",)  # shows the search box; `get_search_results` says what is searched
    search_help_text = _(
        "A part of the reader's email, name or phone; or the id of a follow-up, session or provider message."
    )
    inlines = (AttemptInline,)
    actions = ("cancel_selected", "move_selected", "retry_selected", "export_selected")
    export_columns = (
        "id",
        "user__email",
        "session_id",
        "template__name",
        "channel",
        "language",
        "status",
        "scheduled_at",
        "sent_at",
        "delivered_at",
        "read_at",
        "failure_reason",
        "credits_charged",
        "credits_refunded",
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("user", "user_email"),
                    ("session", "origin"),
                    ("template", "version"),
                    ("channel", "language", "wanted_language"),
                )
            },
        ),
        (_("Message"), {"fields": ("rendered_subject", "rendered_message", "own_values")}),
        (
            _("State"),
            {
                "fields": (
                    ("status", "tries", "lease_until"),
                    ("failure_code", "failure_reason"),
                    ("provider", "provider_message_id"),
                )
            },
        ),
        (
            _("When"),
            {
                "fields": (
                    ("scheduled_at", "due_at", "expires_at"),
                    ("sent_at", "delivered_at", "read_at"),
                    ("failed_at", "cancelled_at"),
                    ("created_at", "updated_at"),
                )
            },
        ),
        (
            _("Credits"),
            {"fields": (("credits_charged", "credits_refunded", "refunded_at"), "ledger_entries")},
        ),
        (_("What the provider reported"), {"fields": ("provider_events",)}),
    )
    readonly_fields = (
        "version",
        "lease_until",
        "rendered_subject",
        "rendered_message",
        "own_values",
        "ledger_entries",
        "provider_events",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[FollowUpSchedule]:
        # The template's texts are never shown here: what goes out is the pinned version's.
        return super().get_queryset(request).defer("template__content", "template__tamil_content")

    def get_inlines(self, request: HttpRequest, obj: FollowUpSchedule | None = None) -> Any:
        return self.inlines if obj is not None and obj.attempts.exists() else ()

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        follow_up = context["original"]
        context["subtitle"] = f"{follow_up.template}, {follow_up.user_email}"
        context["timeline"], context["standing"] = lines_of(follow_up), standing_of(follow_up)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[FollowUpSchedule], search_term: str
    ) -> tuple[QuerySet[FollowUpSchedule], bool]:
        for word in search_term.split():
            queryset = queryset.filter(pk__in=_found(word))
        return queryset, False

    @admin.display(description=_("reader"), ordering="user__email")
    def reader(self, follow_up: FollowUpSchedule) -> str:
        return follow_up.user.email

    @admin.display(description=_("credits / refund"), ordering="credits_charged")
    def credits(self, follow_up: FollowUpSchedule) -> str:
        return f"{follow_up.credits_charged} / {follow_up.credits_refunded}"

    @admin.display(description=_("template version"))
    def version(self, follow_up: FollowUpSchedule) -> str:
        pinned = follow_up.template_version
        return link_to(TemplateVersion, pinned.pk, pinned.number)

    @admin.display(description=_("subject"))
    def rendered_subject(self, follow_up: FollowUpSchedule) -> str:
        return words_of(follow_up).subject or NOTHING

    @admin.display(description=_("message"))
    def rendered_message(self, follow_up: FollowUpSchedule) -> str:
        return words_of(follow_up).message

    @admin.display(description=_("custom variables"))
    def own_values(self, follow_up: FollowUpSchedule) -> str:
        return table([_("Name"), _("Value")], follow_up.custom_variables.items())

    @admin.display(description=_("ledger entries"))
    def ledger_entries(self, follow_up: FollowUpSchedule) -> str:
        entries = CreditEntry.objects.filter(idempotency_key__startswith=f"followup:{follow_up.pk}:")
        return table(
            [_("When"), _("Kind"), _("Amount"), _("Reason"), _("Entry")],
            [
                (
                    moment(entry.created_at),
                    entry.get_kind_display(),
                    f"{entry.amount:+d}" if entry.amount else "0",
                    entry.reason,
                    link_to(CreditEntry, entry.pk, entry.idempotency_key),
                )
                for entry in entries.order_by("created_at")
            ],
        )

    @admin.display(description=_("provider events"))
    def provider_events(self, follow_up: FollowUpSchedule) -> str:
        events = ProviderEvent.objects.filter(attempt__follow_up=follow_up).order_by("received_at", "pk")
        return table(
            [_("Received"), _("Kind"), _("Code"), _("Applied"), _("Event")],
            [
                (
                    moment(event.received_at),
                    event.get_kind_display(),
                    event.code or NOTHING,
                    moment(event.applied_at),
                    link_to(ProviderEvent, event.pk, event.event_key),
                )
                for event in events.defer("raw")
            ],
        )


def _found(word: str) -> QuerySet[FollowUpSchedule, Any]:
    """The keys of the follow-ups a search word means; each way of finding is a query with its own index."""
    follow_ups = FollowUpSchedule.objects.order_by().values("pk")
    ways = [follow_ups.filter(provider_message_id=word), follow_ups.filter(session=word)]
    key = as_uuid(word)
    ways.append(follow_ups.filter(user__in=people_like(word)) if key is None else follow_ups.filter(pk=key))
    return ways[0].union(*ways[1:], all=True)
