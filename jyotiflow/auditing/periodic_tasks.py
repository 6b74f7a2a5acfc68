"""The beat's table, as its library shows it, with each change and each start by hand written down."""

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django_celery_beat.admin import PeriodicTaskAdmin
from django_celery_beat.models import PeriodicTask

from jyotiflow.auditing.models import Action
from jyotiflow.auditing.tables import AuditedAdmin


class AuditedTaskAdmin(AuditedAdmin, PeriodicTaskAdmin):
    audited = (
        "name",
        "task",
        "enabled",
        "interval_id",
        "crontab_id",
        "queue",
        "one_off",
        "start_time",
        "expires",
    )

    @admin.action(description=PeriodicTaskAdmin.enable_tasks.short_description)
    def enable_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._switch(request, queryset, super().enable_tasks)

    @admin.action(description=PeriodicTaskAdmin.disable_tasks.short_description)
    def disable_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._switch(request, queryset, super().disable_tasks)

    @admin.action(description=PeriodicTaskAdmin.toggle_tasks.short_description)
    def toggle_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._switch(request, queryset, super().toggle_tasks)

    @admin.action(description=PeriodicTaskAdmin.run_tasks.short_description)
    def run_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for task in queryset:  # before they start: what runs unrecorded would be worse than the reverse
            self.record(request, Action.RAN, task, None, None)
        super().run_tasks(request, queryset)

    @transaction.atomic
    def _switch(self, request: HttpRequest, queryset: QuerySet[Any], switch: Any) -> None:
        before = {task.pk: task.enabled for task in queryset.select_for_update(of=("self",))}
        switch(request, queryset)
        for task in PeriodicTask.objects.filter(pk__in=before):
            was, now = {"enabled": before[task.pk]}, {"enabled": task.enabled}
            self.record(request, Action.CHANGED, task, was, now)


admin.site.unregister(PeriodicTask)
admin.site.register(PeriodicTask, AuditedTaskAdmin)
