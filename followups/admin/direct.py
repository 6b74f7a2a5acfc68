"""What staff wrote to single addresses: tests of templates, notices."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from followups.admin.columns import moment_column, short_column
from followups.admin.consent import HashedAddressSearch
from followups.admin.history import HistoryAdmin
from followups.models import DirectMessage


@admin.register(DirectMessage)
class DirectMessageAdmin(HashedAddressSearch, HistoryAdmin):
    address_column = "to_hash"
    list_display = (
        short_column("subject", _("subject")),
        "kind",
        "channel",
        "state",
        "code",
        "actor",
        moment_column("created_at", _("created")),
    )
    list_select_related = ("actor",)
    list_filter = ("state", "kind", "channel", "created_at")
    search_fields = ("subject", "actor__email")
    ordering = ("-created_at", "-pk")
    fields = (
        ("kind", "channel", "language"),
        ("actor", "template"),
        ("state", "code"),
        ("provider", "provider_message_id"),
        "to_hash",
        "subject",
        "body",
        ("created_at", "finished_at"),
    )
