"""The answers kept for repeated requests."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from followups.admin.columns import moment_column
from followups.admin.history import HistoryAdmin
from followups.models import IdempotentAnswer
from jyotiflow.accounts.searching import PeopleSearchAdmin


@admin.register(IdempotentAnswer)
class IdempotentAnswerAdmin(PeopleSearchAdmin, HistoryAdmin):
    list_display = ("key", "user", "status", moment_column("created_at", _("created")))
    list_select_related = ("user",)
    list_filter = ("status", "created_at")
    search_fields = ("key", "user__email")
    whole_values = ("key",)
    ordering = ("-created_at", "-pk")
    fields = ("user", "key", "status", "created_at", "body", "request_hash")
