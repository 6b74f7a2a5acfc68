"""Admin classes of tables that no service writes: the admin site is their one door, so it writes down."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import fields_of, record_change


class AuditedAdmin(admin.ModelAdmin):
    """Writes down who added, changed or deleted a row, with its ``audited`` columns: none names a person."""

    audited: Sequence[str]

    def audit_label(self, row: Any) -> str:
        return str(row)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        before = self._kept(obj) if change else None
        super().save_model(request, obj, form, change)
        action = Action.CHANGED if change else Action.CREATED
        self.record(request, action, obj, before, self._kept(obj))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        with transaction.atomic():
            self.record(request, Action.DELETED, obj, self._kept(obj), None)
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        with transaction.atomic():
            for row in queryset:
                self.record(request, Action.DELETED, row, self._kept(row), None)
            super().delete_queryset(request, queryset)

    def record(self, request: HttpRequest, action: Action, row: Model, before: Any, after: Any) -> None:
        actor: Any = request.user  # signed in, else the admin site had not let them in
        label = self.audit_label(row)
        record_change(action=action, of=row, label=label, actor=actor, before=before, after=after)

    def _kept(self, obj: Model) -> dict[str, object]:
        """The columns as they are stored, whatever a form has set."""
        return fields_of(self.model._default_manager.get(pk=obj.pk), self.audited)
