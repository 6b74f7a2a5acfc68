"""Versions of a template: listed, compared, taken back. No version is ever edited."""

from typing import Any, Final, cast
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _

from followups.admin.columns import moment_column, short_column
from followups.admin.history import HistoryAdmin
from followups.admin.templates.forms import LABELS
from followups.models import FollowUpTemplate, TemplateVersion
from followups.selectors.versions import compare
from followups.services.templates import restore_version
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import DomainError

VERSIONS_SHOWN: Final = 50
# What faces what: English left, Tamil right.
PAIRS: Final = (
    ("subject", "tamil_subject"),
    ("content", "tamil_content"),
    ("whatsapp_content_sid", "tamil_whatsapp_content_sid"),
    ("dlt_template_id", "tamil_dlt_template_id"),
    ("variables", "dlt_category"),
)


@permission_required("followups.view_templateversion", raise_exception=True)
def versions_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The versions of a template, and how two of them differ: the newest two unless told otherwise."""
    template = get_object_or_404(FollowUpTemplate, pk=pk)
    rows = template.versions.select_related("created_by").defer("content", "tamil_content")
    versions = list(rows[: VERSIONS_SHOWN + 1])
    numbers = [version.number for version in versions[:2]] or [0]
    new = _chosen(request, "new", template, numbers[0])
    old = _chosen(request, "old", template, numbers[-1])
    context = {
        **_context(request, template, _("Versions")),
        "versions": versions[:VERSIONS_SHOWN],
        "has_more": len(versions) > VERSIONS_SHOWN,
        "old": old,
        "new": new,
        "pairs": _pairs(old, new) if old and new and old != new else [],
        "may_restore": request.user.has_perm("followups.change_followuptemplate"),
    }
    return render(request, "admin/followups/followuptemplate/versions.html", context)


@permission_required(
    ["followups.change_followuptemplate", "followups.view_templateversion"], raise_exception=True
)
def restore_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shown, it tells what would change; sent, the old text is saved as a new version."""
    template = get_object_or_404(FollowUpTemplate, pk=pk)
    given = request.POST if request.method == "POST" else request.GET
    version = _version(template, given.get("version", ""))
    if version is None:
        raise Http404
    if request.method == "POST":
        return _restore(request, version)
    context = {
        **_context(request, template, _("Restore version %d?") % version.number),
        "version": version,
        "pairs": _pairs(template, version),
    }
    return render(request, "admin/followups/followuptemplate/restore.html", context)


def _restore(request: HttpRequest, version: TemplateVersion) -> HttpResponse:
    options = admin.site.get_model_admin(FollowUpTemplate)
    try:
        restored, warnings = restore_version(version=version, actor=cast(User, request.user))
    except DomainError as refused:
        problems = (problem for texts in (refused.errors or {}).values() for problem in texts)
        messages.error(request, " ".join([refused.message, *problems]))
        return redirect("admin:followups_followuptemplate_versions", version.template_id)
    for warning in warnings:
        messages.warning(request, warning)
    numbers = {"old": version.number, "new": restored.version}
    options.log_change(request, restored, str(_("Restored version %(old)d as version %(new)d.") % numbers))
    messages.success(
        request,
        _("The text of version %(old)d is back, as version %(new)d. What waits keeps its own.") % numbers,
    )
    return redirect("admin:followups_followuptemplate_change", version.template_id)


def _pairs(old: Any, new: Any) -> list[tuple[Any, ...]]:
    """What differs, English beside Tamil, each field with its title."""
    changes = {change.field: change for change in compare(old, new)}
    return [
        tuple((LABELS[name], changes[name]) for name in pair)
        for pair in PAIRS
        if any(changes[name].is_changed for name in pair)
    ]


def _context(request: HttpRequest, template: FollowUpTemplate, title: Any) -> dict[str, Any]:
    return {
        **admin.site.each_context(request),
        "opts": FollowUpTemplate._meta,
        "original": template,
        "title": title,
        "subtitle": str(template),
    }


def _chosen(
    request: HttpRequest, name: str, template: FollowUpTemplate, otherwise: int
) -> TemplateVersion | None:
    return _version(template, request.GET.get(name) or str(otherwise))


def _version(template: FollowUpTemplate, number: str) -> TemplateVersion | None:
    is_number = number.isascii() and number.isdecimal() and len(number) <= 9
    return template.versions.filter(number=int(number)).first() if is_number else None


@admin.register(TemplateVersion)
class TemplateVersionAdmin(HistoryAdmin):
    list_display = (
        "template",
        "number",
        short_column("subject", _("subject")),
        short_column("tamil_subject", _("Tamil subject")),
        moment_column("created_at", _("created")),
        "created_by",
    )
    list_display_links = ("template", "number")
    list_select_related = ("template", "created_by")
    list_filter = ("template__channel", "template__template_type", "created_at")
    search_fields = ("template__name", "template__tamil_name", "subject", "tamil_subject")
    fieldsets = (
        (None, {"fields": (("template", "number"), ("created_at", "created_by"))}),
        (
            _("Text"),
            {"fields": (("subject", "tamil_subject"), ("content", "tamil_content"), "variables")},
        ),
        (
            _("Registered texts"),
            {
                "fields": (
                    ("whatsapp_content_sid", "tamil_whatsapp_content_sid"),
                    ("dlt_template_id", "tamil_dlt_template_id", "dlt_category"),
                )
            },
        ),
    )
