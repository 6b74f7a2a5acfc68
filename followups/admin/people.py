"""Users once more, with what the law asks for: a copy of what is kept about a person, and their erasure."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from followups.admin.columns import link_to, moment_column
from followups.admin.history import HistoryAdmin
from followups.models import Erasure
from followups.selectors.privacy import erasure_preview, export_personal_data
from followups.services.privacy import erase_person
from jyotiflow.accounts.admin import UserAdmin
from jyotiflow.accounts.models import User
from jyotiflow.accounts.selectors import user_by_id
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import record_change
from jyotiflow.exceptions import DomainError


class PersonAdmin(UserAdmin):
    actions = ("export_selected", "erase_selected")

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Whether the export is offered."""
        return request.user.has_perm("accounts.export_personal_data")

    def has_erase_permission(self, request: HttpRequest) -> bool:
        """Whether the erasure is offered."""
        return request.user.has_perm("accounts.erase_person")

    @admin.action(description=_("Export personal data"), permissions=["export"])
    def export_selected(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        if len(queryset) != 1:
            self.message_user(
                request, _("Select one person: a file holds one person's data."), messages.ERROR
            )
            return None
        person = queryset[0]
        actor: Any = request.user  # signed in, else the admin site had not let them in
        record_change(action=Action.EXPORTED, of=person, label=f"user {person.pk}", actor=actor)
        _log(request, person, "Exported the personal data.")
        response = JsonResponse(
            export_personal_data(person), json_dumps_params={"ensure_ascii": False, "indent": 2}
        )
        response["Content-Disposition"] = f'attachment; filename="user-{person.pk}.json"'
        return response

    @admin.action(description=_("Erase"), permissions=["erase"])
    def erase_selected(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        if request.POST.get("confirmed") != "yes":
            context = {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": _("Erase for good?"),
                "previews": [erasure_preview(person) for person in queryset],
                "action_name": "erase_selected",
            }
            return render(request, "admin/accounts/user/erase.html", context)
        erased = 0
        for person in queryset:
            erased += self._erase(request, person)
        if erased:
            text = ngettext("%d person is erased.", "%d people are erased.", erased)
            self.message_user(request, text % erased, messages.SUCCESS)
        return None

    def _erase(self, request: HttpRequest, person: User) -> bool:
        actor = request.user
        try:
            report = erase_person(user=person, actor=actor if isinstance(actor, User) else None)
        except DomainError as refused:
            self.message_user(request, f"User {person.pk}: {refused.message}", messages.ERROR)
            return False
        note = (
            f"Erased: {report.cancelled} follow-ups cancelled, {report.credits_refunded} credits given back."
        )
        _log(request, person, note)
        return True


def _log(request: HttpRequest, person: User, note: str) -> None:
    actor: Any = request.user  # signed in, else the admin site had not let them in
    LogEntry.objects.create(
        user=actor,
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(person.pk),
        object_repr=f"user {person.pk}",  # an address in the log would outlive its owner's account
        action_flag=CHANGE,
        change_message=note,
    )


@admin.register(Erasure)
class ErasureAdmin(HistoryAdmin):
    list_display = (
        moment_column("requested_at", _("requested")),
        "person",
        moment_column("finished_at", _("finished")),
        "actor",
    )
    list_select_related = ("actor",)
    list_filter = ("requested_at",)
    search_fields = ("user__pk",)
    search_help_text = _("A user's id.")
    ordering = ("-requested_at",)
    fields = ("person", "requested_at", "finished_at", "actor")
    readonly_fields = ("person",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Erasure], search_term: str
    ) -> tuple[QuerySet[Erasure], bool]:
        if term := search_term.strip():
            person = user_by_id(term)
            queryset = queryset.filter(user=person) if person else queryset.none()
        return queryset, False

    @admin.display(description=_("person"))
    def person(self, erasure: Erasure) -> Any:
        return link_to(User, erasure.user_id, f"user {erasure.user_id}")


admin.site.unregister(User)
admin.site.register(User, PersonAdmin)
