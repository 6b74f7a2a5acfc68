"""System checks: what is half set is named by its variable, and production is sandboxed only on purpose."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from pytest_django import Settings

from followups.channels import get_channel
from followups.checks import PROVIDER_VARIABLES, SANDBOX, TAG

ACCOUNT = "AC" + "0a" * 16
REAL_EMAIL = {
    "BACKEND": "followups.channels.email.EmailChannel",
    "OPTIONS": {"sender": "JyotiFlow <followups@jyotiflow.in>"},
}


@pytest.fixture(autouse=True)
def _no_backend_stays() -> Iterator[None]:
    yield
    get_channel.cache_clear()


def faults() -> list[CheckMessage]:
    return run_checks(tags=[TAG])


def ids() -> list[str | None]:
    return [fault.id for fault in faults()]


def texts() -> str:
    return "\n".join(f"{fault.msg} {fault.hint}" for fault in faults())


def put(settings: Settings, name: str, backend: str, **options: Any) -> None:
    settings.FOLLOWUP_CHANNELS = {
        **settings.FOLLOWUP_CHANNELS,
        name: {"BACKEND": backend, "OPTIONS": options},
    }


def test_a_fresh_machine_without_credentials_has_no_fault() -> None:
    assert faults() == []


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"SMTP_USER": "u", "SMTP_HOST": "h"}, "SMTP_USER is set, but SMTP_PASS is not."),
        ({"SMTP_PASS": "p", "SMTP_HOST": "h"}, "SMTP_PASS is set, but SMTP_USER is not."),
        ({"SMTP_USER": "u", "SMTP_PASS": "p"}, "SMTP_USER is set, but SMTP_HOST is not."),
        (
            {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_SMS_NUMBER": "+14155550100"},
            "TWILIO_ACCOUNT_SID is set, but TWILIO_AUTH_TOKEN is not.",
        ),
        (
            {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": "t"},
            "TWILIO_ACCOUNT_SID is set, but TWILIO_SMS_NUMBER or TWILIO_WHATSAPP_NUMBER is not.",
        ),
        ({"TWILIO_AUTH_TOKEN": "t"}, "TWILIO_AUTH_TOKEN is set, but TWILIO_ACCOUNT_SID is not."),
        (
            {"TWILIO_SMS_NUMBER": "+14155550100"},
            "TWILIO_SMS_NUMBER is set, but TWILIO_ACCOUNT_SID is not.",
        ),
        (
            {"TWILIO_WHATSAPP_NUMBER": "+14155550100"},
            "TWILIO_WHATSAPP_NUMBER is set, but TWILIO_ACCOUNT_SID is not.",
        ),
    ],
)
def test_a_half_set_provider_is_named(settings: Settings, variables: dict[str, str], named: str) -> None:
    for name, value in variables.items():
        setattr(settings, name, value)
    (fault,) = faults()
    assert (fault.msg, fault.id) == (named, "followups.E002")
    assert fault.is_serious()


@pytest.mark.parametrize(
    "variables",
    [
        {"SMTP_HOST": "h"},
        {"SMTP_HOST": "h", "SMTP_USER": "u", "SMTP_PASS": "p"},
        {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": "t", "TWILIO_SMS_NUMBER": "+14155550100"},
        {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": "t", "TWILIO_WHATSAPP_NUMBER": "+14155550100"},
    ],
)
def test_a_provider_that_is_set_whole_has_no_fault(settings: Settings, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        setattr(settings, name, value)
    assert faults() == []


def test_a_key_path_that_names_no_key_is_a_fault(settings: Settings, tmp_path: Any) -> None:
    put(settings, "push", "followups.channels.push.PushChannel", key_path=str(tmp_path / "none.json"))
    assert "FIREBASE_SERVICE_ACCOUNT_KEY_PATH" in texts()


def test_a_channels_own_faults_are_reported(settings: Settings) -> None:
    put(
        settings,
        "sms",
        "followups.channels.sms.SmsChannel",
        account_sid="1",
        auth_token="t",
        sender="+14155550100",
    )
    assert ids() == ["followups.W010"]


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("SMTP_SECURITY", "tls", "followups.E022"),
        ("EMAIL_ESP", "pigeon", "followups.E021"),
        ("EMAIL_ESP", "../postmark", "followups.E021"),
    ],
)
def test_a_wrong_word_for_mail_is_a_fault(settings: Settings, variable: str, value: str, fault: str) -> None:
    settings.FOLLOWUP_CHANNELS = {**settings.FOLLOWUP_CHANNELS, "email": REAL_EMAIL}
    setattr(settings, variable, value)
    assert ids() == [fault]
    assert variable in texts()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SMTP_SECURITY", "none"),
        ("SMTP_SECURITY", "starttls"),
        ("SMTP_SECURITY", "ssl"),
    ],
)
def test_a_right_word_for_mail_has_no_fault(settings: Settings, variable: str, value: str) -> None:
    settings.FOLLOWUP_CHANNELS = {**settings.FOLLOWUP_CHANNELS, "email": REAL_EMAIL}
    setattr(settings, variable, value)
    assert faults() == []


def test_a_mail_service_needs_its_key_its_library_and_a_webhook_secret(settings: Settings) -> None:
    settings.FOLLOWUP_CHANNELS = {**settings.FOLLOWUP_CHANNELS, "email": REAL_EMAIL}
    settings.EMAIL_ESP, settings.EMAIL_BACKEND = "postmark", "anymail.backends.postmark.EmailBackend"
    settings.ANYMAIL = {}
    assert ids() == ["followups.E023", "followups.W024"]
    settings.ANYMAIL = {"POSTMARK_SERVER_TOKEN": "t", "WEBHOOK_SECRET": "user:password"}
    assert faults() == []
    settings.EMAIL_ESP, settings.EMAIL_BACKEND = "amazon_ses", "anymail.backends.amazon_ses.EmailBackend"
    assert ids() == ["followups.E023"]  # its library is not among the requirements


@pytest.mark.parametrize("sender", ["", "JyotiFlow", "JyotiFlow <followups>", "a@b@c"])
def test_a_sender_that_is_no_address_is_a_fault(settings: Settings, sender: str) -> None:
    put(settings, "email", REAL_EMAIL["BACKEND"], sender=sender)  # type: ignore[arg-type]
    assert ids() == ["followups.E020"]


@pytest.mark.parametrize(
    ("backend", "options"),
    [
        ("followups.channels.pigeon.PigeonChannel", {}),
        ("followups.channels.sms.SmsChannel", {"colour": "red"}),
        (SANDBOX, {"channel": "pigeon"}),
    ],
)
def test_a_channel_that_can_not_be_built_is_a_fault(
    settings: Settings, backend: str, options: dict[str, str]
) -> None:
    put(settings, "sms", backend, **options)
    assert ids() == ["followups.E001"]
    assert "'sms'" in texts()


def test_production_names_every_channel_left_in_the_sandbox(settings: Settings) -> None:
    settings.SECURE_COOKIES = True
    assert ids() == ["followups.E003"] * 4
    told = texts()
    for name, variables in PROVIDER_VARIABLES.items():
        assert f"'{name}'" in told
        assert variables in told
    assert told.count("SANDBOX_CHANNELS") == 4


def test_production_may_leave_a_channel_there_on_purpose(settings: Settings) -> None:
    settings.SECURE_COOKIES = True
    settings.SANDBOX_CHANNELS = ["email", "sms", "push"]
    assert ids() == ["followups.E003"]
    assert "'whatsapp'" in texts()
    settings.SANDBOX_CHANNELS = ["email", "sms", "whatsapp", "push"]
    assert faults() == []


def test_a_sandboxed_channel_that_is_none_is_a_fault(settings: Settings) -> None:
    settings.SANDBOX_CHANNELS = ["pigeon"]
    assert ids() == ["followups.E004"]
    assert "'pigeon'" in texts()


@pytest.mark.parametrize("sender", ["JyotiFlow <followups@jyotiflow.test>", "me@somewhere.example"])
def test_production_mail_needs_a_sender_of_our_own(settings: Settings, sender: str) -> None:
    settings.FOLLOWUP_CHANNELS = {**settings.FOLLOWUP_CHANNELS, "email": REAL_EMAIL}
    settings.SANDBOX_CHANNELS = ["sms", "whatsapp", "push"]
    settings.EMAIL_FROM = sender
    assert faults() == []
    settings.SECURE_COOKIES = True
    assert ids() == ["followups.E005"]
    settings.EMAIL_FROM = "JyotiFlow <followups@jyotiflow.in>"
    assert faults() == []


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("FOLLOWUP_SETTLE_DELAY_SECONDS", 33, "followups.E007"),  # the longest call takes 33.05
        ("FOLLOWUP_SETTLE_DELAY_SECONDS", -1, "followups.E007"),
        ("FOLLOWUP_LOOK_INTERVAL_SECONDS", 0, "followups.E008"),
        ("FOLLOWUP_NO_PROOF_HOURS", 0, "followups.E008"),
        ("FOLLOWUP_POLL_HOURS", [1, 0], "followups.E009"),
        ("FOLLOWUP_ARCHIVE_AFTER_DAYS", 29, "followups.E010"),
        ("FOLLOWUP_KEEP_EVENTS_DAYS", 29, "followups.E010"),
    ],
)
def test_times_of_doubt_that_prove_nothing_are_faults(
    settings: Settings, variable: str, value: Any, fault: str
) -> None:
    setattr(settings, variable, value)
    assert ids() == [fault]
    assert variable in texts()


def test_a_settle_delay_just_longer_than_a_call_has_no_fault(settings: Settings) -> None:
    settings.FOLLOWUP_SETTLE_DELAY_SECONDS = 34
    assert faults() == []
