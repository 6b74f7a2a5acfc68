"""Scheduling from a CSV or XLSX file. What it would do is shown as a bulk change is."""

from typing import Any, Final

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from followups.services import bulk
from followups.services.importing import EXAMPLE, import_schedule
from jyotiflow.exceptions import DomainError
from jyotiflow.exporting import csv_lines

ADD: Final = "followups.add_followupschedule"


class FileForm(forms.Form):
    file = forms.FileField(
        label=_("File"),
        help_text=_("CSV (UTF-8) or XLSX, at most 5,000 rows; the first row names the columns."),
        widget=forms.FileInput(attrs={"accept": ".csv,.xlsx"}),
    )


class ImportAdmin(admin.ModelAdmin):
    """Offers "Schedule from a file" to whoever may add follow-ups."""

    def get_urls(self) -> list[URLPattern]:
        page, example = (
            self.admin_site.admin_view(view) for view in (self.import_page, require_safe(self.example))
        )
        return [
            path("import/", page, name="followups_import"),
            path("import/example/", example, name="followups_import_example"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        may_import = request.user.has_perm(ADD)
        return super().changelist_view(request, {**(extra_context or {}), "may_import": may_import})

    def import_page(self, request: HttpRequest) -> HttpResponse:
        """Take a file, write down what its rows ask for, and show what that would do. Nothing is booked."""
        if not request.user.has_perm(ADD):
            raise PermissionDenied
        form = FileForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            actor: Any = request.user  # signed in, else the admin site had not let them in
            try:
                change = import_schedule(actor=actor, name=file.name, content=file.read())
            except DomainError as refused:
                form.add_error("file", refused.message)
            else:
                bulk.go_on(change_id=change.pk)
                return redirect("admin:followups_bulkchange_change", change.pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Schedule from a file"),
            "form": form,
        }
        return render(request, "admin/followups/followupschedule/import.html", context)

    def example(self, request: HttpRequest) -> HttpResponse:
        """A file to begin with."""
        if not request.user.has_perm(ADD):
            raise PermissionDenied
        titles, *rows = EXAMPLE
        return HttpResponse(
            "".join(csv_lines(titles, rows)),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="follow-ups-example.csv"'},
        )
