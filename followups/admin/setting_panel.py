"""All settings on one page: typed, with bounds, unit and effect in words, and who changed what."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.forms import BoundField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from followups.admin.setting_words import GROUPS, UNITS, effect_of, title_of, value_in_words
from followups.choices import SettingType
from followups.conf import SETTINGS, Setting, SettingValue
from followups.models import FollowUpSetting
from followups.selectors.settings import effective_settings
from followups.services.settings import update_settings
from jyotiflow.admin_site import admin_page
from jyotiflow.auditing.selectors import audit_of
from jyotiflow.exceptions import Conflict, DomainError

SHOWN_OF_HISTORY = 20


def field_of(setting: Setting) -> forms.Field:
    """A form's field for one setting. Its hidden twin tells which value its editor had before them."""
    how: dict[str, Any] = {
        "label": title_of(setting.key),
        "help_text": setting.help,
        "show_hidden_initial": True,
    }
    bounds: dict[str, Any] = {"min_value": setting.minimum, "max_value": setting.maximum}
    match setting.type:
        case SettingType.BOOLEAN:
            return forms.BooleanField(required=False, **how)
        case SettingType.TIME:
            widget = forms.TimeInput(format="%H:%M", attrs={"type": "time"})
            return forms.TimeField(widget=widget, **how)
        case SettingType.INTEGER:
            return forms.IntegerField(**bounds, **how)
    return forms.DecimalField(decimal_places=4, **bounds, **how)


class SettingsForm(forms.Form):
    """Every setting the code knows, as the values in force."""

    def __init__(self, data: Any = None) -> None:
        current = effective_settings()
        super().__init__(data, initial={key: _plain(getattr(current, key)) for key in SETTINGS})
        self.fields |= {key: field_of(setting) for key, setting in SETTINGS.items()}

    def seen(self) -> dict[str, Any]:
        """The values the page showed when it was opened."""
        found = {}
        for bound in self:
            shown = bound.field.hidden_widget().value_from_datadict(
                self.data, self.files, bound.html_initial_name
            )
            found[bound.name] = bound.field.to_python(shown)
        return found

    def effects(self) -> dict[str, str]:
        """What the values do, for each whose sentence speaks of valid ones only."""
        values = self.cleaned_data if self.is_bound else self.initial
        found = {}
        for key in SETTINGS:
            with suppress(KeyError):  # a value is not valid; its field says so
                found[key] = effect_of(key, values)
        return found


def _plain(value: SettingValue) -> SettingValue:
    """An amount without zeros at its end, and never as 1E+2."""
    return Decimal(f"{value.normalize():f}") if isinstance(value, Decimal) else value


@dataclass(frozen=True)
class Row:
    """A setting on the page."""

    field: BoundField
    bounds: str
    unit: str | Promise
    effect: str


def rows_of(form: SettingsForm, keys: Iterable[str]) -> list[Row]:
    effects = form.effects()
    return [Row(form[key], _bounds(SETTINGS[key]), UNITS.get(key, ""), effects.get(key, "")) for key in keys]


def _bounds(setting: Setting) -> str:
    is_number = setting.type in (SettingType.INTEGER, SettingType.DECIMAL)
    return f"{setting.minimum} – {setting.maximum}" if is_number else ""


@admin_page(
    "followups/settings/",
    name="followups_settings",
    permission="followups.change_followupsetting",
    title=_("Settings"),
    help=_("Planning, quiet hours, prices and refunds, with their history"),
)
def settings_panel(request: HttpRequest) -> HttpResponse:
    """Shows and saves all settings; asked by htmx, tells what the values on the page would do."""
    if request.headers.get("HX-Request"):
        form = SettingsForm(request.GET)
        form.is_valid()
        return render(request, "admin/followups/settings/_effects.html", {"rows": rows_of(form, SETTINGS)})
    form = SettingsForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid() and _save(request, form):
        return redirect("admin:followups_settings")
    context = {
        **admin.site.each_context(request),
        "title": _("Settings"),
        "opts": FollowUpSetting._meta,
        "form": form,
        "groups": [(title, rows_of(form, keys)) for title, keys in GROUPS.values()],
        "history": [
            (
                entry,
                title_of(entry.label),
                _words(entry.label, entry.before),
                _words(entry.label, entry.after),
            )
            for entry in audit_of(FollowUpSetting)[:SHOWN_OF_HISTORY]
        ],
    }
    return render(request, "admin/followups/settings/panel.html", context)


def _save(request: HttpRequest, form: SettingsForm) -> bool:
    actor: Any = request.user  # signed in, else the admin site had not let them in
    try:
        changes = {key: form.cleaned_data[key] for key in form.changed_data}
        update_settings(changes=changes, actor=actor, seen=form.seen())
    except Conflict as changed:
        _show_current(form)
        _tell(form, changed, _("Look at the values marked below and save again."))
        return False
    except DomainError as refused:
        _tell(form, refused, "")
        return False
    messages.success(request, _("The settings are saved.") if changes else _("Nothing was changed."))
    return True


def _tell(form: SettingsForm, refused: DomainError, advice: str | Promise) -> None:
    form.add_error(None, f"{refused.message} {advice}".strip())
    for key, problems in refused.errors.items():
        form.add_error(key, problems)


def _show_current(form: SettingsForm) -> None:
    """The page has seen the others' changes now: saving again overwrites, or keeps, them knowingly."""
    untouched = set(SETTINGS) - set(form.changed_data)
    data: Any = form.data.copy()  # type: ignore[attr-defined]  # it came as a QueryDict
    for bound in form:
        current = form.initial[bound.name]
        is_switch = isinstance(bound.field, forms.BooleanField)
        shown = str(current) if is_switch else bound.field.widget.format_value(current)
        data[bound.html_initial_name] = shown
        if bound.name in untouched:
            data[bound.html_name] = ("on" if current else "") if is_switch else shown
    form.data = data


def _words(key: str, values: Mapping[str, Any]) -> str:
    return value_in_words(key, values.get("value"))
