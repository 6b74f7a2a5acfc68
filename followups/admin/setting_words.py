"""What each setting is called, what it is counted in and what it does, in words for the panel."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from followups.conf import SETTINGS

Values = Mapping[str, Any]  # each setting's value, as its type

GROUPS: Final[Mapping[str, tuple[str | Promise, tuple[str, ...]]]] = {
    "planning": (
        gettext_lazy("Planning"),
        ("auto_followup_enabled", "max_followups_per_session", "min_interval_hours", "max_interval_days"),
    ),
    "hours": (gettext_lazy("Quiet hours"), ("quiet_hours_start", "quiet_hours_end")),
    "credits": (
        gettext_lazy("Credits"),
        (
            *("enable_credit_charging", "default_credits_cost", "refund_on_cancel", "refund_on_failure"),
            "revenue_per_credit",
        ),
    ),
    "costs": (
        gettext_lazy("What providers take"),
        ("provider_cost_email", "provider_cost_sms", "provider_cost_whatsapp", "provider_cost_push"),
    ),
    "sending": (gettext_lazy("Sending and figures"), ("auto_cancel_after_days", "enable_analytics")),
}
TITLES: Final[Mapping[str, str | Promise]] = {
    "auto_followup_enabled": gettext_lazy("Plan by itself"),
    "max_followups_per_session": gettext_lazy("Follow-ups a session"),
    "min_interval_hours": gettext_lazy("Distance between two"),
    "max_interval_days": gettext_lazy("How far ahead"),
    "quiet_hours_start": gettext_lazy("Quiet from"),
    "quiet_hours_end": gettext_lazy("Quiet until"),
    "enable_credit_charging": gettext_lazy("Charge credits"),
    "default_credits_cost": gettext_lazy("Price of a template that names none"),
    "refund_on_cancel": gettext_lazy("Refund what is cancelled"),
    "refund_on_failure": gettext_lazy("Refund what did not arrive"),
    "revenue_per_credit": gettext_lazy("What a credit earns"),
    "provider_cost_email": gettext_lazy("For an email"),
    "provider_cost_sms": gettext_lazy("For a segment of an SMS"),
    "provider_cost_whatsapp": gettext_lazy("For a WhatsApp message"),
    "provider_cost_push": gettext_lazy("For a push message"),
    "auto_cancel_after_days": gettext_lazy("Give up after"),
    "enable_analytics": gettext_lazy("Daily figures"),
}
UNITS: Final[Mapping[str, str | Promise]] = {
    "max_followups_per_session": gettext_lazy("follow-ups"),
    "min_interval_hours": gettext_lazy("hours"),
    "max_interval_days": gettext_lazy("days"),
    "default_credits_cost": gettext_lazy("credits"),
    "revenue_per_credit": gettext_lazy("in the reports' currency"),
    **dict.fromkeys(
        ("provider_cost_email", "provider_cost_sms", "provider_cost_whatsapp", "provider_cost_push"),
        gettext_lazy("in the reports' currency"),
    ),
    "auto_cancel_after_days": gettext_lazy("days"),
    "quiet_hours_start": gettext_lazy("in the reader's time zone"),
    "quiet_hours_end": gettext_lazy("in the reader's time zone"),
}


def title_of(key: str) -> str:
    """A setting's name for people; of one no code reads any more its key."""
    return str(TITLES.get(key, key))


def effect_of(key: str, values: Values) -> str:
    """What the setting does with this value, in a sentence; some read another setting, too."""
    effect = _EFFECTS.get(key)
    return effect(values) if effect else ""


def _planning(values: Values) -> str:
    if values["auto_followup_enabled"]:
        return _("A completed session gets its sequence of follow-ups by itself.")
    return _("Nothing is planned when a session completes. What readers schedule still goes out.")


def _most(values: Values) -> str:
    most = values["max_followups_per_session"]
    if not most:
        return _("No session can have a follow-up.")
    text = ngettext(
        "A session can have %d follow-up; another one is refused until it is cancelled or has failed.",
        "A session can have %d follow-ups; another one is refused until one is cancelled or has failed.",
        most,
    )
    return text % most


def _interval(values: Values) -> str:
    hours = values["min_interval_hours"]
    if not hours:
        return _("Two follow-ups of one reader may go out at the same time.")
    text = ngettext(
        "Between two follow-ups of one reader lies at least %d hour.",
        "Between two follow-ups of one reader lie at least %d hours.",
        hours,
    )
    return text % hours


def _horizon(values: Values) -> str:
    days = values["max_interval_days"]
    text = ngettext(
        "A time more than %d day ahead is refused.", "A time more than %d days ahead is refused.", days
    )
    return text % days


def _quiet(values: Values) -> str:
    start, end = values["quiet_hours_start"], values["quiet_hours_end"]
    if start == end:
        return _("Both are the same: there are no quiet hours.")
    hours = {"start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}
    text = _(
        "Quiet hours %(start)s–%(end)s: what is due then waits until %(end)s of the reader's zone, "
        "unless its reader chose the time."
    )
    return text % hours


def _charging(values: Values) -> str:
    if values["enable_credit_charging"]:
        return _("Each follow-up is charged when it is booked, at its template's price.")
    return _("Every follow-up is free; nothing is charged and nothing refunded for it.")


def _default_price(values: Values) -> str:
    credits = values["default_credits_cost"]
    if not values["enable_credit_charging"]:
        return _("No effect while charging is off.")
    if not credits:
        return _("A template that names no price is free.")
    text = ngettext(
        "A template that names no price costs %d credit.",
        "A template that names no price costs %d credits.",
        credits,
    )
    return text % credits


def _cancelled(values: Values) -> str:
    if values["refund_on_cancel"]:
        return _("Whoever cancels a follow-up gets its credits back.")
    return _("Whoever cancels a follow-up loses its credits.")


def _failed(values: Values) -> str:
    if values["refund_on_failure"]:
        return _("Credits come back for what failed or could not be sent in time.")
    return _("Readers pay for what failed or could not be sent in time, too.")


def _revenue(values: Values) -> str:
    earned = number_format(100 * values["revenue_per_credit"], decimal_pos=2)
    return _("100 credits kept are %(earned)s of revenue in the figures.") % {"earned": earned}


def _cost_of(key: str) -> Callable[[Values], str]:
    def cost(values: Values) -> str:
        if not values[key]:
            return _("Not known: no template is checked against it.")
        if not values["revenue_per_credit"]:
            return _("No effect while a credit earns nothing.")
        credits = number_format(values[key] / values["revenue_per_credit"], decimal_pos=2)
        return _("A price of less than %(credits)s credits costs more than it earns.") % {"credits": credits}

    return cost


def _given_up(values: Values) -> str:
    days = values["auto_cancel_after_days"]
    text = ngettext(
        "A message not sent %d day after its time is cancelled.",
        "A message not sent %d days after its time is cancelled.",
        days,
    )
    return text % days


def _figures(values: Values) -> str:
    if values["enable_analytics"]:
        return _("Figures of each day follow within minutes.")
    return _("Figures stand still; switched on again, the days since are counted, too.")


_EFFECTS: Final[Mapping[str, Callable[[Values], str]]] = {
    "auto_followup_enabled": _planning,
    "max_followups_per_session": _most,
    "min_interval_hours": _interval,
    "max_interval_days": _horizon,
    "quiet_hours_end": _quiet,  # one sentence for both, below the second
    "enable_credit_charging": _charging,
    "default_credits_cost": _default_price,
    "refund_on_cancel": _cancelled,
    "refund_on_failure": _failed,
    "revenue_per_credit": _revenue,
    **{key: _cost_of(key) for key in GROUPS["costs"][1]},
    "auto_cancel_after_days": _given_up,
    "enable_analytics": _figures,
}


def value_in_words(key: str, text: object) -> str:
    """A stored value as people read it."""
    setting = SETTINGS.get(key)
    if setting and isinstance(setting.default, bool):
        return {"true": _("Yes"), "false": _("No")}.get(str(text), str(text))
    return "–" if text is None else str(text)
