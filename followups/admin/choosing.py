"""Choosing many follow-ups on their list, to be changed after a look at what it would do."""

from datetime import datetime
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _

from followups.choices import BulkAction
from followups.models import FollowUpSchedule
from followups.services import bulk
from jyotiflow.exceptions import DomainError

CHANGE: Final = "followups.change_followupschedule"
FURTHEST_HOURS: Final = 24 * 366

FollowUps = QuerySet[FollowUpSchedule]


class MoveForm(forms.Form):
    """When to: a time for all, or so many hours later or earlier for each."""

    move_to = forms.DateTimeField(
        label=_("All at this time (UTC)"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    move_by_hours = forms.IntegerField(
        label=_("Or each by so many hours"),
        required=False,
        min_value=-FURTHEST_HOURS,
        max_value=FURTHEST_HOURS,
        help_text=_("24 is a day later, -1 an hour earlier."),
    )

    def clean(self) -> dict[str, Any]:
        fields = super().clean() or {}
        is_shift = bool(fields.get("move_by_hours"))
        if not self.errors and (fields.get("move_to") is not None) == is_shift:
            raise forms.ValidationError(_("Give a time, or a number of hours other than 0."))
        fields["move_by_hours"] = fields.get("move_by_hours") or None
        return fields


class BulkActions(admin.ModelAdmin):
    """The actions on the list of follow-ups, for the selected ones or all that the list's filter finds.

    None changes anything: each leads to the page that shows what it would do.
    """

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the actions are offered: rows can't be edited, yet they can be cancelled and retried."""
        return request.user.has_perm(CHANGE)

    @admin.action(description=_("Cancel (refund by settings)"), permissions=["operate"])
    def cancel_selected(self, request: HttpRequest, queryset: FollowUps) -> HttpResponse | None:
        return self._choose(request, queryset, BulkAction.CANCEL)

    @admin.action(description=_("Reschedule"), permissions=["operate"])
    def move_selected(self, request: HttpRequest, queryset: FollowUps) -> HttpResponse | None:
        is_answer = "move_to" in request.POST
        form = MoveForm(request.POST if is_answer else None)
        if is_answer and form.is_valid():
            return self._choose(request, queryset, BulkAction.MOVE, **form.cleaned_data)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Reschedule to when?"),
            "form": form,
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
        }
        return render(request, "admin/followups/followupschedule/move.html", context)

    @admin.action(description=_("Try again"), permissions=["operate"])
    def retry_selected(self, request: HttpRequest, queryset: FollowUps) -> HttpResponse | None:
        return self._choose(request, queryset, BulkAction.RETRY)

    def _choose(
        self,
        request: HttpRequest,
        queryset: FollowUps,
        action: BulkAction,
        move_to: datetime | None = None,
        move_by_hours: int | None = None,
    ) -> HttpResponse | None:
        actor: Any = request.user  # signed in, else the admin site had not let them in
        try:
            change = bulk.choose(
                actor=actor,
                action=action,
                follow_ups=queryset,
                move_to=move_to,
                move_by_hours=move_by_hours,
            )
        except DomainError as refused:
            self.message_user(request, refused.message, messages.ERROR)
            return None
        bulk.go_on(change_id=change.pk)
        return redirect("admin:followups_bulkchange_change", change.pk)
