"""System checks of the channels and their providers: what is half set is named by its variable."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from phonenumbers import SUPPORTED_REGIONS

from followups.channels import get_channel
from followups.channels.egress import host_fault, url_fault
from followups.services.archiving import SHORTEST_DAYS
from followups.services.gating import shortest_lease

TAG: Final = "followups"
SANDBOX: Final = "followups.channels.sandbox.SandboxChannel"
PLACEHOLDER_DOMAINS: Final = (
    ".test",
    ".example",
    ".invalid",
    ".localhost",
)  # RFC 2606: no mail ever comes from them

SHORTEST_WEBHOOK_PASSWORD: Final = 16
PROVIDER_VARIABLES: Final[Mapping[str, str]] = {
    "email": "SMTP_HOST (with SMTP_USER and SMTP_PASS) or EMAIL_ESP, and EMAIL_FROM",
    "sms": "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_SMS_NUMBER",
    "whatsapp": "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_WHATSAPP_NUMBER",
    "push": "FIREBASE_SERVICE_ACCOUNT_KEY_PATH",
}


@register(TAG)
def check_channels(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Every channel can be built and finds its own options in order."""
    return [fault for name in settings.FOLLOWUP_CHANNELS for fault in _channel_faults(name)]


@register(TAG)
def check_half_set_providers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A provider has all of its variables or none: half of them would silently mean the sandbox."""
    return [*_smtp_faults(), *_twilio_faults()]


@register(TAG)
def check_provider_addresses(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """In production no configured address leads back inside, or lets credentials travel in clear."""
    if not settings.SECURE_COOKIES:
        return []
    faults = {name: url_fault(url) for name, url in _provider_urls().items() if url}
    faults["SMTP_HOST"] = host_fault(settings.SMTP_HOST)
    return [
        Error(f"{name} {fault}", hint="Name the provider's own https address.", id="followups.E008")
        for name, fault in faults.items()
        if fault
    ]


@register(TAG)
def check_lease(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A lease outlasts the longest call, or no message would ever pass the gate."""
    if shortest_lease() < settings.FOLLOWUP_LEASE_SECONDS:
        return []
    return [
        Error(
            f"FOLLOWUP_LEASE_SECONDS must be more than {shortest_lease():.0f}.",
            hint="It must outlast FOLLOWUP_READ_TIMEOUT_SECONDS, connecting and a margin.",
            id="followups.E006",
        )
    ]


@register(TAG)
def check_doubt(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Nobody is asked about a message whose call may still be running, and looks are apart."""
    longest_call = settings.FOLLOWUP_CONNECT_TIMEOUT_SECONDS + settings.FOLLOWUP_READ_TIMEOUT_SECONDS
    faults: list[CheckMessage] = []
    if longest_call >= settings.FOLLOWUP_SETTLE_DELAY_SECONDS:
        faults.append(
            Error(
                f"FOLLOWUP_SETTLE_DELAY_SECONDS must be more than {longest_call:.0f}.",
                hint="It must outlast FOLLOWUP_READ_TIMEOUT_SECONDS and connecting, or a message on its way "
                "would be called absent and sent twice.",
                id="followups.E007",
            )
        )
    faults += [
        Error(f"{name} must be more than 0.", hint=hint, id="followups.E008")
        for name, hint in (
            ("FOLLOWUP_LOOK_INTERVAL_SECONDS", "Two looks at one moment prove nothing; 60 is usual."),
            ("FOLLOWUP_NO_PROOF_HOURS", "Without time for proof every doubt would be refunded; 24 is usual."),
        )
        if getattr(settings, name) <= 0
    ]
    if any(hours <= 0 for hours in settings.FOLLOWUP_POLL_HOURS):
        faults.append(
            Error(
                "FOLLOWUP_POLL_HOURS must all be more than 0.",
                hint="Use hours after sending, such as 1,24; or leave it empty.",
                id="followups.E009",
            )
        )
    return faults


@register(TAG)
def check_keeping(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What may still change, or still be asked about, is neither archived nor forgotten."""
    return [
        Error(
            f"{name} must be {SHORTEST_DAYS} at least.",
            hint="Providers report within days, and until then staff may try again what failed.",
            id="followups.E010",
        )
        for name in ("FOLLOWUP_ARCHIVE_AFTER_DAYS", "FOLLOWUP_KEEP_EVENTS_DAYS")
        if getattr(settings, name) < SHORTEST_DAYS
    ]


@register(TAG)
def check_sandbox(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """In production a channel is sandboxed on purpose or not at all, and mail has a sender of ours."""
    faults: list[CheckMessage] = [
        Error(
            f"SANDBOX_CHANNELS names {name!r}, which is no channel.",
            hint=f"The channels are {', '.join(settings.FOLLOWUP_CHANNELS)}.",
            id="followups.E004",
        )
        for name in settings.SANDBOX_CHANNELS
        if name not in settings.FOLLOWUP_CHANNELS
    ]
    if settings.SECURE_COOKIES:
        faults += _production_faults()
    return faults


def _provider_urls() -> dict[str, str]:
    urls = {name: getattr(settings, name) for name in ("TWILIO_API_BASE_URL", "FIREBASE_API_BASE_URL")}
    urls |= {f"ANYMAIL_{name}": url for name, url in settings.ANYMAIL.items() if name.endswith("API_URL")}
    with suppress(OSError, ValueError):  # a key that can't be read is the push channel's own fault
        key = json.loads(Path(settings.FIREBASE_SERVICE_ACCOUNT_KEY_PATH).read_text())
        urls["The token_uri in FIREBASE_SERVICE_ACCOUNT_KEY_PATH"] = str(key.get("token_uri", ""))
    return urls


@register(TAG)
def check_law(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What says where SMS may go is made of countries and of a number that can be one."""
    faults: list[CheckMessage] = [
        Error(
            f"SMS_COUNTRIES names {country!r}, which is no country.",
            hint="Use ISO codes with commas between them, such as IN,US.",
            id="followups.E010",
        )
        for country in settings.SMS_COUNTRIES
        if country not in SUPPORTED_REGIONS
    ]
    if settings.DLT_ENTITY_ID and not re.fullmatch(r"[0-9]{10,30}", settings.DLT_ENTITY_ID):
        faults.append(
            Error(
                "DLT_ENTITY_ID is not an entity id.",
                hint="Digits only, as your DLT portal shows it; empty for an international sender.",
                id="followups.E011",
            )
        )
    return faults


def _channel_faults(name: str) -> list[CheckMessage]:
    try:
        return get_channel(name).check()
    except (ImportError, KeyError, TypeError) as error:
        return [
            Error(
                f"The channel {name!r} can't be built: {type(error).__name__}.",
                hint="Look at its BACKEND and OPTIONS in FOLLOWUP_CHANNELS.",
                id="followups.E001",
            )
        ]


def _smtp_faults() -> Iterator[Error]:
    login = {name: getattr(settings, name) for name in ("SMTP_USER", "SMTP_PASS")}
    named = [name for name, value in login.items() if value]
    missing = [name for name, value in login.items() if not value]
    if named and missing:
        yield _half_set(named[0], missing[0])
    if named and not settings.SMTP_HOST:
        yield _half_set(named[0], "SMTP_HOST")


def _twilio_faults() -> Iterator[Error]:
    account, token = settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN
    numbers = ("TWILIO_SMS_NUMBER", "TWILIO_WHATSAPP_NUMBER")
    if account and not token:
        yield _half_set("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN")
    if account and not any(getattr(settings, name) for name in numbers):
        yield _half_set("TWILIO_ACCOUNT_SID", " or ".join(numbers))
    if not account:
        for name in ("TWILIO_AUTH_TOKEN", *numbers):
            if getattr(settings, name):
                yield _half_set(name, "TWILIO_ACCOUNT_SID")


def _production_faults() -> Iterator[Error]:
    for name, entry in settings.FOLLOWUP_CHANNELS.items():
        if entry["BACKEND"] == SANDBOX and name not in settings.SANDBOX_CHANNELS:
            yield Error(
                f"The channel {name!r} sends nothing: it is in the sandbox.",
                hint=f"Set {PROVIDER_VARIABLES.get(name, 'its provider')}; or, to leave it there, name it in "
                "SANDBOX_CHANNELS.",
                id="followups.E003",
            )
    email = settings.FOLLOWUP_CHANNELS.get("email", {})
    password = settings.ANYMAIL.get("WEBHOOK_SECRET", "").partition(":")[2]
    if settings.EMAIL_ESP and len(password) < SHORTEST_WEBHOOK_PASSWORD:
        yield Error(
            "ANYMAIL_WEBHOOK_SECRET is missing or can be guessed.",
            hint=f"Set user:password, the password of {SHORTEST_WEBHOOK_PASSWORD} characters or more. "
            "Without it anybody could report mail as delivered or bounced.",
            id="followups.E007",
        )
    if email.get("BACKEND") != SANDBOX and parseaddr(settings.EMAIL_FROM)[1].endswith(PLACEHOLDER_DOMAINS):
        yield Error(
            "EMAIL_FROM is a placeholder.",
            hint="Set it to an address of a domain that is yours.",
            id="followups.E005",
        )


def _half_set(named: str, missing: str) -> Error:
    return Error(
        f"{named} is set, but {missing} is not.",
        hint=f"Set {missing}, or unset {named}.",
        id="followups.E002",
    )
