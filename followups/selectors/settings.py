"""The settings in force."""

from dataclasses import dataclass, fields
from datetime import time, timedelta
from decimal import Decimal

import structlog

from followups.conf import SETTINGS, SettingValue
from followups.models import FollowUpSetting
from followups.selectors.catalogue import Catalogue, catalogue

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class EffectiveSettings:
    """Every setting with its value in force; the field names are the keys of `followups.conf.SETTINGS`."""

    auto_followup_enabled: bool
    default_credits_cost: int
    max_followups_per_session: int
    min_interval_hours: int
    max_interval_days: int
    enable_credit_charging: bool
    enable_analytics: bool
    auto_cancel_after_days: int
    refund_on_cancel: bool
    refund_on_failure: bool
    revenue_per_credit: Decimal
    provider_cost_email: Decimal
    provider_cost_sms: Decimal
    provider_cost_whatsapp: Decimal
    provider_cost_push: Decimal
    quiet_hours_start: time
    quiet_hours_end: time

    @property
    def min_interval(self) -> timedelta:
        return timedelta(hours=self.min_interval_hours)

    @property
    def quiet_hours(self) -> tuple[time, time]:
        return self.quiet_hours_start, self.quiet_hours_end

    def provider_cost(self, channel: str) -> Decimal:
        """What a provider takes for a message of this channel, of an SMS for a segment; 0: not known."""
        return Decimal(getattr(self, f"provider_cost_{channel}", 0))


def effective_settings(known: Catalogue | None = None) -> EffectiveSettings:
    """The settings as of this moment, or as ``known``, which was asked for just now, has them.

    A missing or inactive row means the default; a broken one its safe value: a broken switch never turns
    charging or sending on by itself, it reads as off.
    """
    return (known or catalogue()).keep("settings", _read)


def _read() -> EffectiveSettings:
    stored = dict(FollowUpSetting.objects.filter(is_active=True).values_list("setting_key", "setting_value"))
    values: dict[str, SettingValue] = {}
    for field in fields(EffectiveSettings):
        setting = SETTINGS[field.name]
        try:
            values[setting.key] = setting.parse(stored[setting.key])
        except (KeyError, ValueError):
            if setting.key in stored:
                log.error("setting_unreadable", key=setting.key)
            values[setting.key] = setting.default if setting.safe is None else setting.safe
    return EffectiveSettings(**values)  # type: ignore[arg-type]  # the registry's types match the fields'


def stored_settings() -> dict[str, bool | int | float | str]:
    """The values in force as JSON has them: amounts as numbers, times of day as ``HH:MM``."""
    current = effective_settings()
    return {key: _as_json(getattr(current, key)) for key in SETTINGS}


def _as_json(value: SettingValue) -> bool | int | float | str:
    if isinstance(value, Decimal):
        return float(value)
    return value.strftime("%H:%M") if isinstance(value, time) else value
