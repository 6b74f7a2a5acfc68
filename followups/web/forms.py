"""Forms of the FollowUpCenter, in the page's language. Times are walls' in the reader's zone."""

import zoneinfo
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from followups.selectors.preferences import Preferences
from followups.timing import resolve_wall_time
from followups.web import wording
from jyotiflow.accounts.models import Language, validate_phone

FILL_IN: Final = _("Please fill this in.")
CHOOSE: Final = _("Please choose one of these.")
NO_TIME: Final = _("Please choose a day and a time.")
USUAL, OWN, NONE = "usual", "own", "none"
NO_QUIET_HOURS: Final = (time(0), time(0))
LONGEST_PAUSE_DAYS: Final = 365


class MomentField(forms.DateTimeField):
    """A day and a time on the reader's clock; one the clocks skip or show twice is told as anywhere else."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        try:
            return resolve_wall_time(_naive(str(value)), zoneinfo.ZoneInfo(_zone()))
        except (ValueError, OverflowError):
            raise ValidationError(NO_TIME, code="invalid") from None


def _naive(text: str) -> datetime:
    wall = datetime.fromisoformat(text)
    if wall.tzinfo is not None:
        raise ValueError("the zone is the reader's")
    return wall


def _zone() -> str:
    return timezone.get_current_timezone_name()


class RescheduleForm(forms.Form):
    """When a follow-up is to go out instead."""

    scheduled_at = MomentField(label=_("New time"), error_messages={"required": NO_TIME})


class OrderForm(forms.Form):
    """Which message, and when; without a time the first that suits."""

    template = forms.UUIDField(error_messages={"required": CHOOSE, "invalid": CHOOSE})
    at = MomentField(label=_("At what time?"), required=False)


class AgreedForm(OrderForm):
    """An order its reader has seen the price of; ``key`` makes a second click the same order."""

    price = forms.IntegerField(min_value=0)
    key = forms.UUIDField()


class ErasureForm(forms.Form):
    """The proof that the person themselves asks."""

    password = forms.CharField(
        label=_("Your password"),
        max_length=1024,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": FILL_IN},
    )
    understood = forms.BooleanField(
        label=_("I understand that this can't be undone."),
        error_messages={"required": _("Please tick this to go on.")},
    )


def _zones() -> Iterable[tuple[str, Any]]:
    """Every zone, grouped by its region."""
    regions: dict[str, list[tuple[str, str]]] = {}
    for name in sorted(zoneinfo.available_timezones()):
        region, _slash, place = name.partition("/")
        if place and region not in ("Etc", "SystemV", "posix", "right"):
            regions.setdefault(region, []).append((name, name.replace("_", " ")))
    return [*regions.items(), ("UTC", "UTC")]


class WishesForm(forms.Form):
    """What both preference pages have: language of messages, and a pause."""

    preferred_language = forms.ChoiceField(
        label=_("Language of your messages"),
        choices=[(Language.ENGLISH, "English"), (Language.TAMIL, "தமிழ்")],
        widget=forms.RadioSelect,
        error_messages={"required": CHOOSE, "invalid_choice": CHOOSE},
    )
    paused_until = forms.DateField(
        label=_("Pause all messages until"),
        help_text=_("Until the morning of this day nothing is sent. What is due meanwhile waits."),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": _("Please choose a day.")},
    )

    def __init__(self, data: Any = None, *, wishes: Preferences) -> None:
        self.wishes = wishes
        super().__init__(data, initial=self.initial_of(wishes))

    def initial_of(self, wishes: Preferences) -> dict[str, object]:
        until = wishes.paused_until
        return {
            "preferred_language": wishes.preferred_language,
            "paused_until": timezone.localtime(until).date() if until and until > timezone.now() else None,
        }

    def clean_paused_until(self) -> date | None:
        day: date | None = self.cleaned_data["paused_until"]
        if "paused_until" not in self.changed_data or day is None:
            return day
        today = timezone.localdate()
        if not today < day <= today + timedelta(days=LONGEST_PAUSE_DAYS):
            raise ValidationError(_("Please choose a day within the next year."), code="range")
        return day

    def changes(self) -> dict[str, Any]:
        """What differs from the wishes as they were shown, as ``update_preferences`` takes it."""
        given = {name: self.cleaned_data[name] for name in self.changed_data}
        if given.get("paused_until"):
            morning = datetime.combine(given["paused_until"], time(0))
            given["paused_until"] = resolve_wall_time(morning, zoneinfo.ZoneInfo(_zone()))
        return given


class PreferencesForm(WishesForm):
    """All of one's wishes."""

    timezone = forms.ChoiceField(
        label=_("Time zone"),
        choices=_zones,
        error_messages={"required": CHOOSE, "invalid_choice": CHOOSE},
    )
    phone = forms.CharField(
        label=_("Phone"),
        help_text=_("For SMS and WhatsApp, with + and the country code, such as +91 98400 12345."),
        required=False,
        max_length=32,
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel", "inputmode": "tel"}),
    )
    channels = forms.MultipleChoiceField(
        label=_("How we may write to you"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    quiet = forms.ChoiceField(
        label=_("Quiet hours"),
        widget=forms.RadioSelect,
        error_messages={"required": CHOOSE, "invalid_choice": CHOOSE},
    )
    quiet_start = forms.TimeField(
        label=_("From"),
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        error_messages={"invalid": _("Please choose a time of day.")},
    )
    quiet_end = forms.TimeField(
        label=_("Until"),
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        error_messages={"invalid": _("Please choose a time of day.")},
    )

    def __init__(self, data: Any = None, *, wishes: Preferences, usual: tuple[time, time]) -> None:
        super().__init__(data, wishes=wishes)
        hours = {"start": f"{usual[0]:%H:%M}", "end": f"{usual[1]:%H:%M}"}
        self.choices_of("channels", [(name, wording.channel(name)) for name in wishes.channels])
        self.choices_of(
            "quiet",
            [
                (USUAL, _("The usual: %(start)s to %(end)s") % hours),
                (OWN, _("My own hours")),
                (NONE, _("None: any time is fine")),
            ],
        )
        if not self.fields["timezone"].valid_value(wishes.timezone):  # type: ignore[attr-defined]
            self.choices_of("timezone", [(wishes.timezone, wishes.timezone), *_zones()])

    def choices_of(self, name: str, choices: list[Any]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def initial_of(self, wishes: Preferences) -> dict[str, object]:
        own = wishes.quiet_hours
        start, end = own if own and own[0] != own[1] else (None, None)
        return {
            **super().initial_of(wishes),
            "timezone": wishes.timezone,
            "phone": wishes.phone,
            "channels": [name for name, is_on in wishes.channels.items() if is_on],
            "quiet": USUAL if own is None else OWN if start is not None else NONE,
            "quiet_start": start,
            "quiet_end": end,
        }

    def clean_phone(self) -> str:
        number = "".join(sign for sign in self.cleaned_data["phone"] if sign not in " -().\u00a0")
        if number:
            try:
                validate_phone(number)
            except ValidationError:
                raise ValidationError(wording.PHONE_FORM, code="phone") from None
        return number

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        start, end = given.get("quiet_start"), given.get("quiet_end")
        if given.get("quiet") == OWN:
            for name in ("quiet_start", "quiet_end"):
                if given.get(name) is None and name not in self.errors:
                    self.add_error(name, FILL_IN)
            if start is not None and start == end:
                self.add_error("quiet_end", _("Please choose two different times."))
        return given

    def changes(self) -> dict[str, Any]:
        given = super().changes()
        hours = {name: given.pop(name) for name in ("quiet", "quiet_start", "quiet_end") if name in given}
        if hours:
            wanted = self.cleaned_data["quiet"]
            own = (self.cleaned_data["quiet_start"], self.cleaned_data["quiet_end"])
            given["quiet_hours"] = {USUAL: None, OWN: own, NONE: NO_QUIET_HOURS}[wanted]
        if "channels" in given:
            on = given["channels"]
            switched = {name: name in on for name in self.wishes.channels}
            given["channels"] = {
                name: is_on for name, is_on in switched.items() if is_on != self.wishes.channels[name]
            }
        return given


class LinkPreferencesForm(WishesForm):
    """What whoever holds a link from a message may change: nothing that starts messages again."""

    stop = forms.MultipleChoiceField(
        label=_("Stop messages by"), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, data: Any = None, *, wishes: Preferences) -> None:
        super().__init__(data, wishes=wishes)
        field = self.fields["stop"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(name, wording.channel(name)) for name, is_on in wishes.channels.items() if is_on]

    def changes(self) -> dict[str, Any]:
        given = super().changes()
        if "stop" in given:
            given["channels"] = dict.fromkeys(given.pop("stop"), False)
        return given
