"""The channels that exist and the settings that exist, with each setting's type, default, bounds and help."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from followups.choices import SettingType

CHANNEL_LABELS: Mapping[str, str | Promise] = {
    "email": _("Email"),
    "sms": _("SMS"),
    "whatsapp": _("WhatsApp"),
    "push": _("Push"),
    "in_app": _("In-app"),
}


def channel_choices() -> list[tuple[str, str | Promise]]:
    """The configured channels as choices. A callable, so a new channel makes no migration."""
    return [(name, CHANNEL_LABELS.get(name, name)) for name in settings.FOLLOWUP_CHANNELS]


SettingValue: TypeAlias = bool | int | Decimal | time
MAX_DECIMALS = 4  # of an amount: a tiny exponent would overflow the database's arithmetic


@dataclass(frozen=True)
class Setting:
    """One setting. ``safe`` is what a broken row reads as: never a value that spends money or patience."""

    key: str
    type: SettingType
    default: SettingValue
    help: str | Promise
    minimum: int = 0
    maximum: int = 1_000_000
    safe: SettingValue | None = None

    def parse(self, text: str) -> SettingValue:
        """Read a stored text. Raises ``ValueError`` with the fix when the type or the bounds are broken."""
        match self.type:
            case SettingType.BOOLEAN:
                return _parse_boolean(text)
            case SettingType.TIME:
                return _parse_time(text)
        try:
            number = int(text) if self.type == SettingType.INTEGER else Decimal(text)
        except (ValueError, InvalidOperation):
            raise ValueError("Use a number.") from None
        # A NaN can't be compared at all; infinities are out of bounds.
        if Decimal(number).is_nan() or not self.minimum <= number <= self.maximum:
            raise ValueError(f"Use a number from {self.minimum} to {self.maximum}.")
        if number != round(number, MAX_DECIMALS):
            raise ValueError(f"Use at most {MAX_DECIMALS} decimals.")
        return round(number, MAX_DECIMALS) if isinstance(number, Decimal) else number  # 0e-9999 is 0

    def format(self, value: object) -> str:
        """The text a value is stored as. Raises ``ValueError`` when it's not a value of this setting."""
        if isinstance(value, bool) != (self.type == SettingType.BOOLEAN) and not isinstance(value, str):
            raise ValueError("Use true or false." if self.type == SettingType.BOOLEAN else "Use a number.")
        if not isinstance(value, (bool, int, float, Decimal, time, str)):
            raise ValueError("Use a plain value.")
        text = str(value).lower() if isinstance(value, bool) else str(value).strip()
        if isinstance(value, float) and self.type == SettingType.INTEGER and value.is_integer():
            text = str(int(value))
        parsed = self.parse(text)
        return parsed.strftime("%H:%M") if isinstance(parsed, time) else text


def _parse_time(text: str) -> time:
    try:
        wall = time.fromisoformat(text)
    except ValueError:
        wall = None
    if wall is None or wall.tzinfo is not None:  # the zone is the user's
        raise ValueError("Use a time of day such as 21:00.")
    return wall


def _parse_boolean(text: str) -> bool:
    words = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
    }
    try:
        return words[text.strip().lower()]
    except KeyError:
        raise ValueError("Use true or false.") from None


SETTINGS: Mapping[str, Setting] = {
    setting.key: setting
    for setting in (
        Setting(
            "auto_followup_enabled",
            SettingType.BOOLEAN,
            True,
            _("Plan follow-ups by itself when a session completes."),
            safe=False,
        ),
        Setting(
            "default_credits_cost",
            SettingType.INTEGER,
            5,
            _("Price in credits of a template that names none."),
            maximum=10_000,
        ),
        Setting(
            "max_followups_per_session",
            SettingType.INTEGER,
            3,
            _("How many follow-ups one session may have; failed and cancelled ones don't count."),
            maximum=100,
        ),
        Setting(
            "min_interval_hours",
            SettingType.INTEGER,
            24,
            _("Least hours between two follow-ups of one user."),
            maximum=24 * 90,
        ),
        Setting(
            "max_interval_days",
            SettingType.INTEGER,
            30,
            _("How many days ahead a follow-up may be scheduled."),
            minimum=1,
            maximum=366,
        ),
        Setting(
            "enable_credit_charging",
            SettingType.BOOLEAN,
            True,
            _("Charge credits for follow-ups; off, every follow-up is free."),
            safe=False,
        ),
        Setting("enable_analytics", SettingType.BOOLEAN, True, _("Keep the daily figures up to date.")),
        Setting(
            "auto_cancel_after_days",
            SettingType.INTEGER,
            3,
            _("Cancel and refund a follow-up that could not be sent this many days after its time."),
            minimum=1,
            maximum=90,
        ),
        Setting(
            "refund_on_cancel", SettingType.BOOLEAN, True, _("Give credits back for a cancelled follow-up.")
        ),
        Setting(
            "refund_on_failure",
            SettingType.BOOLEAN,
            True,
            _("Give credits back for a follow-up that did not arrive."),
        ),
        Setting(
            "revenue_per_credit",
            SettingType.DECIMAL,
            Decimal("1.00"),
            _("What one credit earns, in the currency of the reports."),
            maximum=100_000,
        ),
        *(
            Setting(
                f"provider_cost_{channel}",
                SettingType.DECIMAL,
                Decimal(0),
                help,
                maximum=100_000,
            )
            for channel, help in (
                ("email", _("What the provider takes for an email; 0: not known.")),
                ("sms", _("What the provider takes for one segment of an SMS; 0: not known.")),
                ("whatsapp", _("What the provider takes for a WhatsApp message; 0: not known.")),
                ("push", _("What the provider takes for a push message; 0: not known.")),
            )
        ),
        Setting(
            "quiet_hours_start",
            SettingType.TIME,
            time(21, 0),
            _("In the user's own time zone: from here on nothing goes out that the user did not time."),
        ),
        Setting(
            "quiet_hours_end",
            SettingType.TIME,
            time(8, 0),
            _("In the user's own time zone: until here nothing goes out that the user did not time."),
        ),
    )
}
