"""Admin classes for rows that are facts: nobody writes or rewrites them by hand."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from jyotiflow.large_tables import LargeTableAdmin


class UneditableAdmin(LargeTableAdmin):
    """Rows are shown, never added or edited here; who has the permission may delete one."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class HistoryAdmin(UneditableAdmin):
    """Rows are shown and stay as they are."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class HistoryInline(admin.TabularInline):
    """The rows of a fact's own history, on its page."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
