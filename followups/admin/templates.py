"""Templates and their versions. Saving and removing go through the services."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from followups.admin.columns import link_to, moment_column, short_column
from followups.admin.filters import IsSetFilter
from followups.admin.history import HistoryAdmin, HistoryInline
from followups.linting import TEXTS, lint
from followups.models import TEXT_FIELDS, FollowUpTemplate, TemplateVersion
from followups.rendering import STANDARD_VARIABLES, clean, is_storable
from followups.services.templates import remove_template, save_template

LONGEST_NAME = 50
ENGLISH, TAMIL = {"lang": "en"}, {"lang": "ta"}
SIDE_BY_SIDE = {"rows": 16, "cols": 46}  # two of them fit beside each other on a 1280 px screen


class LinesField(forms.CharField):
    """A text of several lines; a browser's line ends are no change of it."""

    def to_python(self, value: Any) -> Any:
        return (super().to_python(value) or "").replace("\r\n", "\n")


class NamesField(forms.Field):
    """A list of names, typed with commas between them."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: str | None) -> list[str]:
        names = (part.strip() for part in (value or "").replace("\n", ",").split(","))
        return list(dict.fromkeys(name for name in names if name))

    def validate(self, value: list[str]) -> None:
        super().validate(value)
        if any(len(name) > LONGEST_NAME or not is_storable(name) for name in value):
            raise ValidationError(_("A name has at most %d characters.") % LONGEST_NAME)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return (initial or []) != self.to_python(data)


class TemplateForm(forms.ModelForm):
    """Shows the linter's errors on the field they are about."""

    variables = NamesField(
        label=_("Custom variables"),
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_("Names of your own, with commas between them. %s need not be declared.")
        % ", ".join(STANDARD_VARIABLES),
    )
    service_types = NamesField(
        label=_("Service types"),
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_("With commas between them; none means all."),
    )

    class Meta:
        model = FollowUpTemplate
        fields = (
            "name",
            "tamil_name",
            "description",
            "template_type",
            "channel",
            *TEXT_FIELDS,
            "credits_cost",
            "is_active",
            "service_types",
            "sequence_order",
            "delay_hours",
            "local_time",
        )
        field_classes = dict.fromkeys(("description", "content", "tamil_content"), LinesField)
        widgets = {
            "description": forms.Textarea(attrs={"rows": 2, "cols": 80}),
            "subject": forms.TextInput(attrs={"size": 40, **ENGLISH}),
            "tamil_subject": forms.TextInput(attrs={"size": 40, **TAMIL}),
            "content": forms.Textarea(attrs={**SIDE_BY_SIDE, **ENGLISH}),
            "tamil_content": forms.Textarea(attrs={**SIDE_BY_SIDE, **TAMIL}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The standard names in use are known from the texts; the author declares the others.
        self.initial["variables"] = [
            name for name in self.instance.variables if name not in STANDARD_VARIABLES
        ]

    def clean(self) -> dict[str, Any]:
        fields = super().clean() or {}
        findings = lint(
            channel=fields.get("channel", ""),
            texts={name: clean(fields.get(name) or "") for name in TEXTS},
            declared=fields.get("variables", []),
        )
        for name, problems in findings.errors.items():
            if name not in self.errors:
                self.add_error(name, problems)
        return fields


class VersionInline(HistoryInline):
    model = TemplateVersion
    fields = readonly_fields = ("version", "subject", "tamil_subject", "created_at", "created_by")
    verbose_name_plural = _("versions: what follow-ups were bought with")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TemplateVersion]:
        return super().get_queryset(request).select_related("created_by")

    @admin.display(description=_("version"))
    def version(self, version: TemplateVersion) -> str:
        return link_to(TemplateVersion, version.pk, version.number)


class AutomaticFilter(IsSetFilter):
    title = _("automatic")
    parameter_name = "automatic"
    column = "sequence_order"


class ArchivedFilter(IsSetFilter):
    title = _("archived")
    parameter_name = "archived"
    column = "archived_at"


@admin.register(FollowUpTemplate)
class FollowUpTemplateAdmin(admin.ModelAdmin):
    form = TemplateForm
    inlines = (VersionInline,)
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
                "classes": ("collapse",),
                "fields": (
                    ("whatsapp_content_sid", "tamil_whatsapp_content_sid"),
                    ("dlt_template_id", "tamil_dlt_template_id", "dlt_category"),
                ),
            },
        ),
        (_("Record"), {"fields": (("key", "version", "archived_at"), ("created_at", "updated_at"))}),
    )

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
