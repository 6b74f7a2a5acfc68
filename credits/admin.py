"""The ledger in the admin site: to read, and to grant credits by hand. Nothing here edits an entry."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from credits.forms import GrantForm
from credits.models import CreditAccount, CreditEntry
from credits.selectors import balance_of
from credits.services import grant
from credits.statement import statement_context
from jyotiflow.accounts.models import User
from jyotiflow.accounts.searching import PeopleSearchAdmin
from jyotiflow.accounts.selectors import user_by_email
from jyotiflow.exceptions import DomainError
from jyotiflow.exporting import ExportAdmin


class ReadOnlyAdmin(PeopleSearchAdmin):
    """Look, don't touch."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(CreditAccount)
class CreditAccountAdmin(ReadOnlyAdmin):
    list_display = ("user", "balance", "created_at")
    list_select_related = ("user",)
    search_fields = ("user__email", "user__name")
    ordering = ("-pk",)
    fields = ("user", "balance", "created_at")
    change_form_template = "admin/credits/creditaccount/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.grant_page)
        return [path("grant/", page, name="credits_grant"), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), "may_grant": _may_grant(request)})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {**(extra_context or {}), "may_grant": _may_grant(request)}
        account = self.get_object(request, object_id)
        if isinstance(account, CreditAccount) and self.has_view_permission(request, account):
            context["statement"] = statement_context(request, account)
        return super().change_view(request, object_id, form_url, context)

    def grant_page(self, request: HttpRequest) -> HttpResponse:
        """Gives credits to one user, who may not have an account yet."""
        if not (isinstance(request.user, User) and _may_grant(request)):
            raise PermissionDenied
        form = GrantForm(request.POST or None, initial={"email": request.GET.get("email", "")})
        if form.is_valid() and self._grant(request, form, actor=request.user):
            return redirect("admin:credits_creditaccount_changelist")
        user = user_by_email(request.POST.get("email", "") or request.GET.get("email", ""))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Grant credits"),
            "form": form,
            "balance": None if user is None else balance_of(user),
        }
        return render(request, "admin/credits/creditaccount/grant.html", context)

    def _grant(self, request: HttpRequest, form: GrantForm, actor: User) -> bool:
        given = form.cleaned_data
        try:
            grant(
                user=given["email"],
                amount=given["amount"],
                reason=given["reason"],
                key=f"admin-grant:{given['key']}",
                actor=actor,
            )
        except DomainError as error:
            form.add_error(None, error.message)
            return False
        left = balance_of(given["email"])
        messages.success(
            request, _("Granted %(amount)d credits; the balance is %(left)d.") % {**given, "left": left}
        )
        return True


@admin.register(CreditEntry)
class CreditEntryAdmin(ExportAdmin, ReadOnlyAdmin):
    list_display = ("created_at", "user", "kind", "amount", "reason", "actor")
    list_select_related = ("account__user", "actor")
    list_filter = ("kind", "created_at")
    search_fields = ("account__user__email", "idempotency_key")
    search_help_text = _("A part of the person's email, name or phone; or a whole key of an entry.")
    person = "account__user"
    whole_values = ("idempotency_key",)
    fields = (
        "created_at",
        "account_of",
        "kind",
        "amount",
        "reason",
        "actor",
        "refunded_entry",
        "idempotency_key",
    )
    readonly_fields = ("account_of",)
    actions = ("export_selected",)
    export_columns = (
        "id",
        "created_at",
        "account__user__email",
        "kind",
        "amount",
        "reason",
        "actor__email",
        "idempotency_key",
    )

    @admin.display(ordering="account__user__email")
    def user(self, entry: CreditEntry) -> str:
        return entry.account.user.email

    @admin.display(description=_("account"))
    def account_of(self, entry: CreditEntry) -> str:
        page = reverse("admin:credits_creditaccount_change", args=[entry.account_id])
        return format_html('<a href="{}">{}</a>', page, entry.account.user.email)


def _may_grant(request: HttpRequest) -> bool:
    return request.user.has_perm("credits.add_creditentry")
