"""Templates out to a file and in from one, with a look at what it would change first."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from followups.models import FollowUpTemplate
from followups.services.template_files import MOST_BYTES, export_templates, import_templates, read_templates
from jyotiflow.exceptions import DomainError


class TemplateFileForm(forms.Form):
    """A file to look at; once looked at its text comes back in the hidden field."""

    file = forms.FileField(
        label=_("File"),
        required=False,
        help_text=_("JSON, as “Export selected as JSON” writes it."),
        widget=forms.FileInput(attrs={"accept": ".json"}),
    )
    text = forms.CharField(required=False, max_length=MOST_BYTES, strip=False, widget=forms.HiddenInput)

    def content(self) -> bytes:
        """What was sent, whichever way."""
        file = self.cleaned_data.get("file")
        return file.read(MOST_BYTES + 1) if file else self.cleaned_data["text"].encode()


class TemplateFiles(admin.ModelAdmin):
    """The list's action that writes a file, and the page that reads one."""

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.import_page)
        return [path("import/", page, name="followups_followuptemplate_import"), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {**(extra_context or {}), "may_import": self._may_import(request)}
        return super().changelist_view(request, context)

    @admin.action(description=_("Export selected as JSON"), permissions=["view"])
    def export_selected(self, request: HttpRequest, queryset: QuerySet[FollowUpTemplate]) -> JsonResponse:
        answer = JsonResponse(
            export_templates(queryset), safe=False, json_dumps_params={"ensure_ascii": False, "indent": 2}
        )
        answer["Content-Disposition"] = f'attachment; filename="templates-{now():%Y-%m-%d}.json"'
        return answer

    def import_page(self, request: HttpRequest) -> HttpResponse:
        """Show what a file would change; on a yes, change it."""
        if not self._may_import(request):
            raise PermissionDenied
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Templates from a file"),
        }
        form = TemplateFileForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            is_done = request.POST.get("confirmed") == "yes"
            actor: Any = request.user  # signed in, else the admin site had not let them in
            try:
                templates = read_templates(form.content())
                outcomes = import_templates(templates, actor=actor, dry_run=not is_done)
            except DomainError as refused:
                form.add_error("file", refused.message)
            else:
                context |= {
                    "outcomes": outcomes,
                    "is_done": is_done,
                    "text": json.dumps(templates, ensure_ascii=False),
                    "count": sum(bool(each.changed) for each in outcomes),
                }
        return render(request, "admin/followups/followuptemplate/import.html", {**context, "form": form})

    def _may_import(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request) and self.has_change_permission(request)
