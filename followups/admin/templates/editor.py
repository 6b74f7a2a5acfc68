"""The editor of templates. Saving and removing go through the services."""

from typing import Any, cast

from django.contrib import admin, messages
from django.forms import Script
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from followups.admin.filters import IsSetFilter
from followups.admin.templates.applying import apply_page
from followups.admin.templates.files import TemplateFiles
from followups.admin.templates.forms import TemplateForm
from followups.admin.templates.palette import palette
from followups.admin.templates.previews import mail_page, preview_page
from followups.admin.templates.testing import test_form, test_page
from followups.admin.templates.versions import restore_page, versions_page
from followups.models import FollowUpTemplate
from followups.selectors.versions import MOST_COUNTED, waiting_at_most
from followups.services.templates import remove_template, save_template
from jyotiflow.accounts.models import User


class AutomaticFilter(IsSetFilter):
    title = _("automatic")
    parameter_name = "automatic"
    column = "sequence_order"


class ArchivedFilter(IsSetFilter):
    title = _("archived")
    parameter_name = "archived"
    column = "archived_at"


@admin.register(FollowUpTemplate)
class FollowUpTemplateAdmin(TemplateFiles):
    form = TemplateForm
    actions = ("export_selected",)
    list_display = (
        "name",
        "tamil_name",
        "channel",
        "template_type",
        "price",
        "is_active",
        "automatic_order",
        "version",
    )
    list_filter = (
        "is_active",
        "channel",
        "template_type",
        AutomaticFilter,
        ArchivedFilter,
    )
    search_fields = ("name", "tamil_name", "key", "subject", "tamil_subject", "description")
    readonly_fields = ("key", "version", "archived_at", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": (("name", "tamil_name"), "description", ("template_type", "channel"))}),
        (
            _("Text"),
            {
                "classes": ("texts",),
                "fields": (("subject", "tamil_subject"), ("content", "tamil_content"), "variables"),
                "description": _(
                    "English left, Tamil right. {{name}} becomes a value, **word** is bold in an email."
                ),
            },
        ),
        (_("Price"), {"fields": ("credits_cost", "is_active")}),
        (
            _("After a session"),
            {"fields": ("service_types", ("sequence_order", "delay_hours", "local_time"))},
        ),
        (
            _("Registered texts"),
            {
                "classes": ("registered",),
                "description": _(
                    "WhatsApp sends only what it has approved, beyond 24 hours after the reader's last "
                    "message; India's domestic route only what is registered. Without the id a text is "
                    "not sold there, and nobody is charged."
                ),
                "fields": (
                    ("whatsapp_content_sid", "tamil_whatsapp_content_sid"),
                    ("dlt_template_id", "tamil_dlt_template_id", "dlt_category"),
                ),
            },
        ),
        (_("Record"), {"fields": (("key", "version", "archived_at"), ("created_at", "updated_at"))}),
    )

    class Media:
        css = {"all": ("followups/admin/templates.css",)}
        js = tuple(
            Script(name, defer=True)
            for name in ("followups/vendor/htmx-2.0.11.min.js", "followups/admin/templates.js")
        )

    def get_urls(self) -> list[URLPattern]:
        pages = (
            ("preview/", preview_page, "preview"),
            ("preview/mail/", mail_page, "mail"),
            ("<uuid:pk>/test/", test_page, "test"),
            ("<uuid:pk>/versions/", versions_page, "versions"),
            ("<uuid:pk>/restore/", restore_page, "restore"),
            ("<uuid:pk>/apply/", apply_page, "apply"),
        )
        own = [
            path(route, self.admin_site.admin_view(page), name=f"followups_followuptemplate_{name}")
            for route, page, name in pages
        ]
        return [*own, *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        template, user = context["original"], cast(User, request.user)
        context["palette"] = palette()
        if template is not None:
            waiting = waiting_at_most(template) if user.has_perm("followups.view_followupschedule") else 0
            context |= {
                "waiting": min(waiting, MOST_COUNTED),
                "waits_for_more": waiting > MOST_COUNTED,
                "test_form": test_form(user, template),
            }
        return super().render_change_form(request, context, *args, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: FollowUpTemplate | None = None) -> Any:
        """What is not saved yet has no record."""
        return self.fieldsets if obj else self.fieldsets[:-1]

    @admin.display(description=_("price"), ordering="credits_cost")
    def price(self, template: FollowUpTemplate) -> str:
        return str(_("default") if template.credits_cost is None else template.credits_cost)

    @admin.display(description=_("automatic order"), ordering="sequence_order")
    def automatic_order(self, template: FollowUpTemplate) -> int | None:
        return template.sequence_order

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        # Deleting in bulk would tell of templates as deleted that are archived.
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def save_model(self, request: HttpRequest, obj: FollowUpTemplate, form: Any, change: bool) -> None:
        fields = dict(form.cleaned_data)
        if fields["is_active"]:
            fields["archived_at"] = None
        actor: Any = request.user  # signed in, else the admin site had not let them in
        version_before = obj.version
        saved, warnings = save_template(fields=fields, template=obj if change else None, actor=actor)
        obj.pk = saved.pk
        obj.refresh_from_db()
        for warning in warnings:
            self.message_user(request, warning, messages.WARNING)
        if change and obj.version != version_before:
            text = _("This is version %d. Follow-ups bought before keep their text.") % obj.version
            self.message_user(request, text)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, dict[str, int], set, list]:
        what = _("%s: deleted with its versions if nobody ever used it, else archived.")
        return [what % template for template in objs], {}, set(), []

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Nothing yet: `delete_model` knows whether it is a deletion."""
        return []

    def delete_model(self, request: HttpRequest, obj: FollowUpTemplate) -> None:
        removed: Any = [obj]
        actor: Any = request.user  # signed in, else the admin site had not let them in
        if remove_template(template=obj, actor=actor):
            super().log_deletions(request, removed)
        else:
            self.log_change(request, obj, str(_("Archived, because it is in use.")))

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> HttpResponse:
        if not FollowUpTemplate.objects.filter(pk=obj_id).exists():
            return super().response_delete(request, obj_display, obj_id)
        text = _(
            "“%s” is in use, so it is archived: it stays in the history and can't be scheduled any more."
        )
        self.message_user(request, text % obj_display, messages.WARNING)
        return redirect("admin:followups_followuptemplate_changelist")
