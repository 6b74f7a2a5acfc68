"""Guidance sessions in the admin site. A session's status changes by the action alone."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from jyotiflow.accounts.searching import PeopleSearchAdmin
from jyotiflow.exceptions import DomainError
from sessions_app.models import Session
from sessions_app.services import complete_session

_ALWAYS_READ_ONLY = ("status", "created_at", "completed_at", "follow_up_sent", "follow_up_count")
_HISTORY = ("id", "user", "service_type", "question", "guidance_summary")


@admin.register(Session)
class SessionAdmin(PeopleSearchAdmin):
    list_display = (
        "created_at",
        "user",
        "service_type",
        "status",
        "completed_at",
        "follow_up_count",
        "follow_up_sent",
    )
    list_select_related = ("user",)
    list_filter = ("status", "follow_up_sent", "created_at")
    search_fields = ("id", "user__email", "user__name")
    search_help_text = _("A part of the reader's email, name or phone; or a whole session id.")
    whole_values = ("pk",)
    autocomplete_fields = ("user",)
    fields = (*_HISTORY, *_ALWAYS_READ_ONLY)
    actions = ("complete_sessions",)

    def get_readonly_fields(self, request: HttpRequest, obj: Session | None = None) -> tuple[str, ...]:
        if obj is None:
            return _ALWAYS_READ_ONLY
        if obj.status == Session.Status.OPEN:
            return ("id", "user", *_ALWAYS_READ_ONLY)
        return (*_HISTORY, *_ALWAYS_READ_ONLY)

    def has_delete_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        history = obj is not None and obj.status != Session.Status.OPEN
        return not history and super().has_delete_permission(request, obj)

    @admin.action(description=_("Complete the selected sessions"), permissions=["change"])
    def complete_sessions(self, request: HttpRequest, sessions: QuerySet[Session]) -> None:
        completed = 0
        for session in sessions.order_by("created_at"):
            try:
                complete_session(session_id=session.pk)
            except DomainError as error:
                self.message_user(request, f"Session {session.pk}: {error.message}", messages.ERROR)
            else:
                completed += 1
        if completed:
            text = ngettext("%d session is completed.", "%d sessions are completed.", completed)
            self.message_user(request, text % completed, messages.SUCCESS)
