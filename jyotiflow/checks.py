"""Refuses to run with settings that would be unsafe; each error names the variable."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from jyotiflow.failpoints import ACTIONS, NAMES

RATE = re.compile(r"[1-9][0-9]{0,8}/(s|sec|second|m|min|minute|h|hour|d|day)")
MIN_SECRET_LENGTH = 32
MIN_TOKEN_LENGTH = 16
FEWEST_CHARACTERS = 10  # different ones; a random text of 32 has some 20
PLACEHOLDERS = (
    "changeme",
    "django-insecure",
    "change-me",
    "change_me",
    "placeholder",
    "your-secret",
    "your_secret",
    "example",
)
GENERATE = 'Generate one: python -c "import secrets; print(secrets.token_urlsafe(48))"'


@register(Tags.security)
def check_secrets(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """SECRET_KEY and JWT_SECRET are set, and strong in production."""
    faults: list[CheckMessage] = [
        message for name in ("SECRET_KEY", "JWT_SECRET") for message in _secret_faults(name)
    ]
    if _is_production() and not faults and settings.SECRET_KEY == settings.JWT_SECRET:
        text = "SECRET_KEY and JWT_SECRET are the same."
        hint = "The platform knows JWT_SECRET; with it nobody must be able to sign sessions or links."
        faults.append(Error(text, hint=hint, id="jyotiflow.E010"))
    return faults


@register(Tags.security)
def check_production(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """DEBUG is off and the servers are named in production."""
    if not _is_production():
        return []
    faults: list[CheckMessage] = []
    if settings.DEBUG:
        faults.append(
            Error("DEBUG is on while PUBLIC_BASE_URL is https.", hint="Unset DEBUG.", id="jyotiflow.E003")
        )
    if "*" in settings.ALLOWED_HOSTS:
        hint = "Name the hosts this site answers to: links must not follow a lying Host header."
        faults.append(Error("ALLOWED_HOSTS takes any host.", hint=hint, id="jyotiflow.E011"))
    optional = {"METRICS_TOKEN": settings.METRICS_TOKEN, "ADDRESS_HASH_SALT": settings.FOLLOWUP_ADDRESS_SALT}
    faults += [
        Error(f"{name} can be guessed.", hint=GENERATE, id="jyotiflow.E012")
        for name, secret in optional.items()
        if secret and (len(secret) < MIN_TOKEN_LENGTH or _is_placeholder(secret))
    ]
    faults += [
        Error(f"{name} is not set.", hint="Name the server that production uses.", id="jyotiflow.E004")
        for name in settings.UNNAMED_SERVERS
    ]
    return faults


@register(Tags.security)
def check_rates(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Every rate limit can be read, else each limited call would fail."""
    rates = settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]
    return [
        Error(
            f"{scope.upper()}_RATE is not a rate.",
            hint="Write a number and a unit: 20/min, 600/hour.",
            id="jyotiflow.E009",
        )
        for scope, rate in rates.items()
        if not RATE.fullmatch(rate)
    ]


@register(Tags.security)
def check_failpoints(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Nothing breaks on order outside tests, and every order can be carried out."""
    if not settings.FAILPOINTS:
        return []
    if not settings.TESTING or _is_production():
        return [Error("FAILPOINTS is set outside tests.", hint="Unset FAILPOINTS.", id="jyotiflow.E006")]
    unknown = [
        f"{name}={action}"
        for name, action in settings.FAILPOINTS.items()
        if name not in NAMES or action not in ACTIONS
    ]
    faults: list[CheckMessage] = [
        Error(
            f"FAILPOINTS names {order!r}, which is none.",
            hint=f"Places: {', '.join(NAMES)}. Actions: {', '.join(ACTIONS)}.",
            id="jyotiflow.E007",
        )
        for order in unknown
    ]
    if not Path(settings.FAILPOINTS_DIR or "/nowhere").is_dir():
        hint = "Name a directory in which each place leaves its mark once it has gone off."
        faults.append(Error("FAILPOINTS_DIR is not a directory.", hint=hint, id="jyotiflow.E008"))
    return faults


def _is_production() -> bool:
    return urlsplit(settings.PUBLIC_BASE_URL).scheme == "https"


def _secret_faults(name: str) -> Iterator[Error]:
    try:
        secret = getattr(settings, name)
    except ImproperlyConfigured:  # what Django makes of an empty SECRET_KEY
        secret = ""
    if not secret:
        yield Error(f"{name} is not set.", hint=GENERATE, id="jyotiflow.E001")
    elif _is_production() and len(secret) < MIN_SECRET_LENGTH:
        yield Error(
            f"{name} is shorter than {MIN_SECRET_LENGTH} characters.", hint=GENERATE, id="jyotiflow.E002"
        )
    elif _is_placeholder(secret) or (_is_production() and len(set(secret)) < FEWEST_CHARACTERS):
        yield Error(f"{name} is a placeholder.", hint=GENERATE, id="jyotiflow.E005")


def _is_placeholder(secret: str) -> bool:
    return any(placeholder in secret.lower() for placeholder in PLACEHOLDERS)
