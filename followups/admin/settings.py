"""The settings table: values are edited, keys are the code's."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from followups.admin.columns import NOTHING, moment_column
from followups.choices import SettingType
from followups.conf import SETTINGS, Setting
from followups.models import FollowUpSetting
from followups.services.settings import update_settings

NUMBERS = (SettingType.INTEGER, SettingType.DECIMAL)


class SettingForm(forms.ModelForm):
    """Asks for a value as the registry describes it, and lets the registry judge it."""

    class Meta:
        model = FollowUpSetting
        fields = ("setting_value",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        setting = SETTINGS.get(self.instance.setting_key)
        if setting is None or "setting_value" not in self.fields:
            return
        if setting.type == SettingType.BOOLEAN:
            self._ask_yes_or_no(setting)
        elif setting.type in NUMBERS:
            step = "1" if setting.type == SettingType.INTEGER else "any"
            bounds = {"min": setting.minimum, "max": setting.maximum, "step": step}
            self.fields["setting_value"].widget = forms.NumberInput(attrs=bounds)
        else:
            self.fields["setting_value"].widget = forms.TextInput(attrs={"size": 8})

    def _ask_yes_or_no(self, setting: Setting) -> None:
        choices: list[tuple[str, Any]] = [("true", _("Yes")), ("false", _("No"))]
        try:
            self.initial["setting_value"] = setting.format(setting.parse(self.instance.setting_value))
        except ValueError:  # a broken row must not become "Yes" because "Yes" is the first to choose
            self.initial["setting_value"] = ""
            choices.insert(0, ("", _("choose")))
        self.fields["setting_value"] = forms.ChoiceField(
            label=self.fields["setting_value"].label, choices=choices
        )

    def clean_setting_value(self) -> str:
        try:
            return SETTINGS[self.instance.setting_key].format(self.cleaned_data["setting_value"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None


@admin.register(FollowUpSetting)
class FollowUpSettingAdmin(admin.ModelAdmin):
    form = SettingForm
    list_display = (
        "setting_key",
        "value",
        "default",
        "bounds",
        "what_it_does",
        "is_active",
        moment_column("updated_at", _("changed")),
    )
    list_filter = ("setting_type", "is_active")
    search_fields = ("setting_key", "description")
    fields = (
        "setting_key",
        "what_it_does",
        "setting_value",
        "setting_type",
        "default",
        "bounds",
        "is_active",
        "updated_at",
    )
    readonly_fields = tuple(name for name in fields if name != "setting_value")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: FollowUpSetting | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: FollowUpSetting | None = None) -> bool:
        """A row whose key no code reads is shown and left alone."""
        is_known = obj is None or obj.setting_key in SETTINGS
        return is_known and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: FollowUpSetting, form: Any, change: bool) -> None:
        actor: Any = request.user  # signed in, else the admin site had not let them in
        update_settings(changes={obj.setting_key: form.cleaned_data["setting_value"]}, actor=actor)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[dict[str, dict[str, list[str]]]]:
        values = f"{form.initial['setting_value']} → {form.cleaned_data['setting_value']}"
        return [{"changed": {"fields": [values]}}]

    @admin.display(description=_("what it does"))
    def what_it_does(self, row: FollowUpSetting) -> str:
        setting = SETTINGS.get(row.setting_key)
        return str(setting.help) if setting else str(_("No code reads this key."))

    @admin.display(description=_("value"))
    def value(self, row: FollowUpSetting) -> str:
        return _in_words(row.setting_value, row.setting_type)

    @admin.display(description=_("default"))
    def default(self, row: FollowUpSetting) -> str:
        setting = SETTINGS.get(row.setting_key)
        return _in_words(setting.format(setting.default), setting.type) if setting else NOTHING

    @admin.display(description=_("bounds"))
    def bounds(self, row: FollowUpSetting) -> str:
        setting = SETTINGS.get(row.setting_key)
        is_number = setting is not None and setting.type in NUMBERS
        return f"{setting.minimum} – {setting.maximum}" if setting and is_number else NOTHING


def _in_words(value: str, kind: str) -> str:
    words = {"true": _("Yes"), "false": _("No")} if kind == SettingType.BOOLEAN else {}
    return str(words.get(value, value))
