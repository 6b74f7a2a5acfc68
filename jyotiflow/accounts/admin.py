"""Users and machine keys in the admin site."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from rest_framework_simplejwt.token_blacklist.admin import OutstandingTokenAdmin
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from jyotiflow.accounts.forms import NewUserForm, UserForm
from jyotiflow.accounts.models import MachineKey, User
from jyotiflow.accounts.services import create_machine_key
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import fields_of
from jyotiflow.auditing.tables import AuditedAdmin
from jyotiflow.large_tables import LargeTableAdmin


@admin.register(User)
class UserAdmin(AuditedAdmin, LargeTableAdmin, DjangoUserAdmin):
    """Only a superuser grants access, or edits somebody who has it: else staff could raise themselves."""

    audited = ("is_active", "is_staff", "is_superuser")
    form = UserForm
    add_form = NewUserForm
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        (_("Person"), {"fields": ("name", "phone", "preferred_language", "timezone")}),
        (_("Access"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("Dates"), {"fields": ("last_login", "created_at", "erased_at")}),
    )
    add_fieldsets = (
        (
            None,
            {"classes": ("wide",), "fields": ("email", "name", "usable_password", "password1", "password2")},
        ),
    )
    readonly_fields = ("last_login", "created_at", "erased_at")
    list_display = ("email", "name", "preferred_language", "is_active", "is_staff", "created_at")
    list_filter = ("is_active", "is_staff", "preferred_language", "groups")
    search_fields = ("email", "name", "phone")
    ordering = ("-created_at", "-pk")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        access = () if _is_superuser(request) else ("is_staff", "is_superuser", "groups", "user_permissions")
        return (*self.readonly_fields, *access)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        is_erased = obj is not None and obj.erased_at is not None
        return super().has_change_permission(request, obj) and _may_touch(request, obj) and not is_erased

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)

    def audit_label(self, row: User) -> str:
        return f"user {row.pk}"

    # The admin log keeps what it is told for good, so it's told the id and not the address.

    def log_addition(self, request: HttpRequest, obj: User, message: Any) -> Any:
        return super().log_addition(request, _nameless(obj), message)

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        return super().log_change(request, _nameless(obj), message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        nameless: Any = [_nameless(person) for person in queryset]
        return super().log_deletions(request, nameless)


def _nameless(person: User) -> User:
    return User(pk=person.pk, email=f"user {person.pk}")


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_superuser)


def _may_touch(request: HttpRequest, person: User | None) -> bool:
    return person is None or not (person.is_staff or person.is_superuser) or _is_superuser(request)


@admin.register(MachineKey)
class MachineKeyAdmin(AuditedAdmin):
    """A key's secret is shown once, right after the key is created."""

    audited = ("name", "scope", "is_active")
    list_display = ("name", "scope", "is_active", "last_used_at", "created_at")
    list_filter = ("scope", "is_active")
    search_fields = ("name",)

    def get_fields(self, request: HttpRequest, obj: MachineKey | None = None) -> tuple[str, ...]:
        return (
            ("name", "scope") if obj is None else ("name", "scope", "is_active", "last_used_at", "created_at")
        )

    def get_readonly_fields(self, request: HttpRequest, obj: MachineKey | None = None) -> tuple[str, ...]:
        return () if obj is None else ("name", "scope", "last_used_at", "created_at")

    def save_model(self, request: HttpRequest, obj: MachineKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        key, secret = create_machine_key(name=obj.name, scope=obj.scope)
        obj.pk = key.pk
        self.record(request, Action.CREATED, key, None, fields_of(key, self.audited))
        messages.warning(request, _("Keep this secret, it can't be shown again: %s") % secret)


class SecretTokenAdmin(OutstandingTokenAdmin):
    """Whoever holds a refresh token signs in with it, so no page shows one."""

    fields = ("user", "jti", "created_at", "expires_at")


admin.site.unregister(OutstandingToken)
admin.site.register(OutstandingToken, SecretTokenAdmin)
