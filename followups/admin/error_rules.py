"""What providers' errors mean: an admin classifies what was seen and changes what is shipped."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from followups.admin.columns import NOTHING, short_column, titled_column
from followups.models import ErrorRule
from followups.services.error_rules import restore_shipped_rules, save_edited_rule
from jyotiflow.auditing.tables import AuditedAdmin

KEY = ("provider", "phase", "code")
LONG_TEXTS = ("sentence", "note", "docs_url")


class ErrorRuleForm(forms.ModelForm):
    """Judges the whole row: the parts one can't change here have a say in what the others may be."""

    class Meta:
        widgets: ClassVar = {name: forms.TextInput(attrs={"size": 90}) for name in LONG_TEXTS}
        labels: ClassVar = {"docs_url": _("Documented at"), "counts_try": _("Counts as a try")}

    def _get_validation_exclusions(self) -> set[str]:
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]  # not in the stubs
        return excluded - set(KEY)


@admin.register(ErrorRule)
class ErrorRuleAdmin(AuditedAdmin):
    audited = (*KEY, "word", "sentence", "suppress", "origin")  # of a deleted one; the service does the rest
    form = ErrorRuleForm
    list_display = (
        "code",
        "provider",
        "phase",
        "word",
        short_column("sentence", _("sentence"), 50),
        "suppress",
        "retries",
        "alarms",
        "origin",
        titled_column("seen_count", _("seen")),
    )
    list_filter = ("origin", "provider", "phase", "word", "alarms", "suppress")
    search_fields = ("code", "sentence", "note")
    ordering = ("provider", "phase", "code")
    fields = (
        KEY,
        "word",
        "sentence",
        "suppress",
        ("retry_after", "most_retries", "counts_try"),
        "alarms",
        "note",
        "docs_url",
        "documentation",
        "origin",
        ("seen_count", "first_seen_at", "last_seen_at"),
        "updated_at",
    )
    readonly_fields = (
        "documentation",
        "origin",
        "seen_count",
        "first_seen_at",
        "last_seen_at",
        "updated_at",
    )
    actions = ("restore",)

    def get_readonly_fields(self, request: HttpRequest, obj: ErrorRule | None = None) -> Any:
        return (*KEY, *self.readonly_fields) if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: ErrorRule, form: Any, change: bool) -> None:
        actor: Any = request.user  # signed in, else the admin site had not let them in
        save_edited_rule(row=obj, actor=actor)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[dict[str, dict[str, Any]]]:
        if add:
            return [{"added": {}}]
        changes = [f"{name}: {form.initial[name]} → {form.cleaned_data[name]}" for name in form.changed_data]
        return [{"changed": {"fields": changes}}]

    @admin.action(description=_("Back to the shipped meaning"), permissions=["change"])
    def restore(self, request: HttpRequest, rules: QuerySet[ErrorRule]) -> None:
        rows = list(rules)
        actor: Any = request.user  # signed in, else the admin site had not let them in
        restored = restore_shipped_rules(ids=[row.pk for row in rows], actor=actor)
        for row in rows:
            self.log_change(request, row, "back to the shipped meaning")
        self.message_user(request, _("Restored: %d") % restored, messages.SUCCESS)

    @admin.display(description=_("retries"))
    def retries(self, rule: ErrorRule) -> str:
        if not rule.most_retries and rule.retry_after is None:
            return NOTHING
        parts = [f"{rule.most_retries}×" if rule.most_retries else ""]
        if rule.retry_after is not None:
            parts.append(str(_("after %d s") % rule.retry_after))
        return " ".join(filter(None, parts)).replace(" ", "\xa0")

    @admin.display(description=_("documentation"))
    def documentation(self, rule: ErrorRule) -> str:
        link = '<a href="{}" rel="noreferrer">{}</a>'
        return format_html(link, rule.docs_url, _("documentation")) if rule.docs_url else NOTHING
