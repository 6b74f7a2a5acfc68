"""What people decided about messages, and what they wrote to us."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from followups.addresses import hash_address
from followups.admin.columns import moment_column
from followups.admin.history import HistoryAdmin
from followups.models import ConsentEvent, InboundMessage


class HashedAddressSearch(admin.ModelAdmin):
    """Finds rows by a whole address, which they keep as a hash only, beside the usual search."""

    address_column = "address_hash"
    search_help_text = _("A whole address (email, or phone with +), or another of the columns.")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        if term := search_term.strip():
            found |= queryset.filter(**{self.address_column: hash_address(term)})
        return found, may_repeat


@admin.register(ConsentEvent)
class ConsentEventAdmin(HashedAddressSearch, HistoryAdmin):
    list_display = (
        "id",
        "kind",
        "channel",
        "door",
        "user",
        "wording",
        moment_column("created_at", _("at")),
    )
    list_select_related = ("user",)
    list_filter = ("kind", "channel", "door", "created_at")
    search_fields = ("user__email", "wording")
    ordering = ("-pk",)
    fields = ("kind", "channel", "door", "user", "address_hash", "wording", "created_at")


@admin.register(InboundMessage)
class InboundMessageAdmin(HashedAddressSearch, HistoryAdmin):
    list_display = ("id", "channel", "kind", "word", moment_column("received_at", _("received")))
    list_filter = ("channel", "kind", "received_at")
    search_fields = ("message_id",)
    ordering = ("-pk",)
    fields = ("message_id", "channel", "address_hash", "kind", "word", "received_at")
