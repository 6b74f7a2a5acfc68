"""The form of a template: names typed with commas, both languages side by side, marks at their fields."""

from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from followups.linting import TEXTS, lint
from followups.models import TEXT_FIELDS, FollowUpTemplate
from followups.rendering import STANDARD_VARIABLES, clean, is_storable

LONGEST_NAME: Final = 50
ENGLISH, TAMIL = {"lang": "en"}, {"lang": "ta"}
SIDE_BY_SIDE = {"rows": 11, "cols": 46}  # two of them fit beside each other on a 1280 px screen
LABELS: Final = {
    "name": _("Name"),
    "tamil_name": _("Tamil name"),
    "description": _("Description"),
    "template_type": _("Template type"),
    "channel": _("Channel"),
    "subject": _("Subject"),
    "tamil_subject": _("Tamil subject"),
    "content": _("Content"),
    "tamil_content": _("Tamil content"),
    "variables": _("Custom variables"),
    "whatsapp_content_sid": _("WhatsApp content SID"),
    "tamil_whatsapp_content_sid": _("Tamil WhatsApp content SID"),
    "dlt_template_id": _("DLT template id"),
    "tamil_dlt_template_id": _("Tamil DLT template id"),
    "dlt_category": _("DLT category"),
    "credits_cost": _("Credits cost"),
    "is_active": _("Is active"),
    "sequence_order": _("Sequence order"),
    "delay_hours": _("Delay hours"),
    "local_time": _("Local time"),
}
MARKED: Final = (*TEXT_FIELDS, "credits_cost")


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
        label=LABELS["variables"],
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_("Names of your own, with commas between them."),
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
        labels = LABELS
        field_classes = dict.fromkeys(("description", "content", "tamil_content"), LinesField)
        widgets = {
            "tamil_name": forms.TextInput(attrs={"class": "vTextField", **TAMIL}),
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
        for name in MARKED:
            if name in self.fields:
                _leave_room_for_marks(self.fields[name].widget)

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


def _leave_room_for_marks(widget: forms.Widget) -> None:
    """A place after the field for what the preview has to say about it."""
    render = widget.render

    def render_with_room(name: str, *args: Any, **kwargs: Any) -> SafeString:
        room = '{}<div class="marks" id="marks-{}" role="status"></div>'
        return format_html(room, render(name, *args, **kwargs), name)

    widget.render = render_with_room  # type: ignore[method-assign]
