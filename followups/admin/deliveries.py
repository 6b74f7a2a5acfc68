"""What was handed to providers and what they reported; the sandbox's outbox in their place."""

from typing import Any
from uuid import UUID

from csp.constants import NONE, SELF, UNSAFE_INLINE
from csp.decorators import csp
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.views.decorators.clickjacking import xframe_options_sameorigin

from followups.admin.columns import NOTHING, as_json, link_to, moment_column, short_column, table
from followups.admin.filters import IsSetFilter
from followups.admin.history import HistoryAdmin
from followups.admin.searching import as_uuid, by_id
from followups.channels import get_channel
from followups.conf import channel_choices
from followups.models import Attempt, FollowUpSchedule, ProviderEvent, SandboxMessage
from jyotiflow.accounts.models import Language

# A mail styles itself and does nothing else, however it is opened.
MAIL_POLICY = {
    "default-src": [NONE],
    "script-src": [NONE],
    "style-src": [UNSAFE_INLINE],
    "frame-ancestors": [SELF],
    "sandbox": True,
}
NOTHING_WAS_SENT = _("Sandbox outbox: nothing here was really sent")


CALLED = moment_column("gate_at", _("called"))


@admin.register(Attempt)
class AttemptAdmin(HistoryAdmin):
    list_display = (
        CALLED,
        "state",
        "provider",
        "number",
        "code",
        "follow_up_link",
        "provider_message_id",
        moment_column("finished_at", _("finished")),
    )
    list_display_links = (CALLED,)
    list_filter = ("state", "gate_at")
    search_fields = ("provider_message_id",)
    search_help_text = _("A whole id of an attempt, a follow-up or a provider's message.")
    fields = (
        "id",
        "follow_up_link",
        "number",
        "state",
        ("provider", "provider_message_id"),
        "code",
        "details_as_told",
        ("gate_at", "finished_at"),
        ("looks", "misses", "checked_at"),
        "to_hash",
        "body_hash",
    )
    readonly_fields = ("id", "follow_up_link", "details_as_told")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Attempt], search_term: str
    ) -> tuple[QuerySet[Attempt], bool]:
        for word in search_term.split():
            queryset = queryset.filter(pk__in=_calls(word))
        return queryset, False

    @admin.display(description=_("follow-up"))
    def follow_up_link(self, attempt: Attempt) -> str:
        return link_to(FollowUpSchedule, attempt.follow_up_id, attempt.follow_up_id)

    @admin.display(description=_("by device"))
    def details_as_told(self, attempt: Attempt) -> str:
        return as_json(attempt.details)


def _calls(word: str) -> QuerySet[Attempt, Any]:
    """The keys of the attempts a search word means; each way of finding is a query with its own index."""
    attempts = Attempt.objects.order_by().values("pk")
    ways = [
        attempts.filter(follow_up__provider_message_id=word),
        attempts.filter(events__provider_message_id=word),
    ]
    if key := as_uuid(word):
        ways += [attempts.filter(pk=key), attempts.filter(follow_up=key)]
    return ways[0].union(*ways[1:], all=True)


def _reports(word: str) -> QuerySet[ProviderEvent, Any]:
    """The same for reports."""
    events = ProviderEvent.objects.order_by().values("pk")
    ways = [
        events.filter(provider_message_id=word),
        events.filter(provider__in=_providers(), event_key=word),
    ]
    if key := as_uuid(word):
        ways.append(events.filter(attempt=key))
    return ways[0].union(*ways[1:], all=True)


def _providers() -> list[str]:
    """The providers behind the channels, by name."""
    return sorted({get_channel(channel).provider for channel in settings.FOLLOWUP_CHANNELS})


class ProviderFilter(admin.SimpleListFilter):
    """Django's own would read the whole table for the names."""

    title = _("provider")
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [(name, name) for name in _providers()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(provider=self.value()) if self.value() else queryset


class AppliedFilter(IsSetFilter):
    title = _("applied")
    parameter_name = "applied"
    column = "applied_at"


class UnmatchedFilter(IsSetFilter):
    title = _("given up: about no message of ours")
    parameter_name = "unmatched"
    column = "unmatched_at"


@admin.register(ProviderEvent)
class ProviderEventAdmin(HistoryAdmin):
    list_display = (
        "id",
        "provider",
        "kind",
        "code",
        "attempt_link",
        "provider_message_id",
        moment_column("occurred_at", _("occurred")),
        moment_column("received_at", _("received")),
        moment_column("applied_at", _("applied")),
    )
    list_filter = ("kind", ProviderFilter, AppliedFilter, UnmatchedFilter, "received_at")
    search_fields = ("provider_message_id",)
    search_help_text = _("A whole id of an attempt, an event or a provider's message.")
    ordering = ("-pk",)
    fields = (
        ("provider", "kind", "code"),
        "event_key",
        "attempt_link",
        "attempt_reference",
        "provider_message_id",
        ("occurred_at", "received_at", "applied_at"),
        ("tries", "next_try_at", "unmatched_at"),
        "raw_as_told",
    )
    readonly_fields = ("attempt_link", "raw_as_told")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ProviderEvent], search_term: str
    ) -> tuple[QuerySet[ProviderEvent], bool]:
        for word in search_term.split():
            queryset = queryset.filter(pk__in=_reports(word))
        return queryset, False

    @admin.display(description=_("attempt"))
    def attempt_link(self, event: ProviderEvent) -> str:
        return link_to(Attempt, event.attempt_id, event.attempt_id)

    @admin.display(description=_("as it came"))
    def raw_as_told(self, event: ProviderEvent) -> str:
        return as_json(event.raw)


@admin.register(SandboxMessage)
class SandboxMessageAdmin(HistoryAdmin):
    list_display = (
        short_column("subject", _("subject")),
        "channel_name",
        short_column("to", _("to"), 40),
        "language_name",
        moment_column("created_at", _("created")),
    )
    list_filter = ("channel", "language", "created_at")
    search_fields = ("to", "subject")
    search_help_text = _("A part of the address or the subject, or a whole id of a message or a follow-up.")
    fields = (
        ("channel_name", "language_name", "created_at"),
        "to",
        "follow_up",
        "subject",
        "body",
        "html_as_shown",
        "html_as_text",
        "headers_shown",
        "receipts_played",
    )
    readonly_fields = (
        "channel_name",
        "language_name",
        "follow_up",
        "html_as_shown",
        "html_as_text",
        "headers_shown",
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SandboxMessage], search_term: str
    ) -> tuple[QuerySet[SandboxMessage], bool]:
        for word in search_term.split():
            queryset = queryset.filter(
                by_id(word, uuids=["pk", "follow_up_id", "attempt_id"])
                | Q(to__icontains=word)
                | Q(subject__icontains=word)
            )
        return queryset, False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), "title": NOTHING_WAS_SENT})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {**(extra_context or {}), "title": NOTHING_WAS_SENT, "subtitle": None}
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description=_("channel"), ordering="channel")
    def channel_name(self, message: SandboxMessage) -> str:
        return str(dict(channel_choices()).get(message.channel, message.channel))

    @admin.display(description=_("language"), ordering="language")
    def language_name(self, message: SandboxMessage) -> str:
        return str(dict(Language.choices).get(message.language, message.language))

    @admin.display(description=_("headers"))
    def headers_shown(self, message: SandboxMessage) -> str:
        return table([_("Name"), _("Value")], message.headers.items())

    @admin.display(description=_("follow-up"))
    def follow_up(self, message: SandboxMessage) -> str:
        return link_to(FollowUpSchedule, message.follow_up_id, message.follow_up_id)

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.html_page)
        return [path("<uuid:pk>/html/", page, name="followups_sandboxmessage_html"), *super().get_urls()]

    @method_decorator([csp(MAIL_POLICY), xframe_options_sameorigin])
    def html_page(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """The mail's own page, for the frame on the message's page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponse(get_object_or_404(SandboxMessage, pk=pk).html)

    @admin.display(description=_("HTML as shown"))
    def html_as_shown(self, message: SandboxMessage) -> str:
        # `sandbox` without any word: no scripts, no forms, no origin of ours for what a message holds.
        frame = '<iframe sandbox src="{}" width="720" height="600" title="{}"></iframe>'
        address = reverse("admin:followups_sandboxmessage_html", args=[message.pk])
        return format_html(frame, address, _("The message")) if message.html else NOTHING

    @admin.display(description=_("HTML as text"))
    def html_as_text(self, message: SandboxMessage) -> str:
        field = '<textarea rows="12" cols="90" readonly aria-label="{}">\n{}</textarea>'
        return format_html(field, _("HTML as text"), message.html) if message.html else NOTHING
