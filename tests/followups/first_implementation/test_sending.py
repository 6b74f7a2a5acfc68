"""Faults 28-43 of the first implementation: sending, except what has no counterpart here."""

import time
from datetime import timedelta
from email.utils import parseaddr
from typing import Any
from urllib.parse import parse_qs

import pytest
import regex
from django.core.checks import run_checks
from django.utils.timezone import now
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient
from werkzeug import Request, Response

from credits.selectors import balance_of
from followups.choices import AttemptState, State
from followups.exceptions import NotProcessed
from followups.models import (
    Attempt,
    Device,
    FollowUpSchedule,
    InAppMessage,
    SandboxMessage,
    TemplateVersion,
)
from followups.rendering import MAX_SUMMARY_LENGTH, TemplateSyntaxError
from followups.services.delivery import deliver
from followups.services.dispatch import claim_due
from followups.services.rescuing import rescue_expired
from followups.services.templates import remove_template, save_template
from jyotiflow.accounts.models import User
from tests.factories import SessionFactory
from tests.followups.conftest import ScriptedChannel
from tests.followups.first_implementation.conftest import SCHEDULE, client_of, expire_leases, make_due

pytestmark = pytest.mark.django_db
ACCOUNT = "AC" + "0a" * 16
CONTENT = "HX" + "2c" * 16
MESSAGES = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"


def sent() -> FollowUpSchedule:
    return FollowUpSchedule.objects.get()


@pytest.fixture
def whatsapp_at_twilio(settings: Settings, httpserver: HTTPServer) -> HTTPServer:
    """The real WhatsApp channel against a local Twilio."""
    options = {"account_sid": ACCOUNT, "auth_token": "token", "sender": "+14155550100"}
    options["base_url"] = httpserver.url_for("").rstrip("/")
    settings.FOLLOWUP_CHANNELS = {
        **settings.FOLLOWUP_CHANNELS,
        "whatsapp": {"BACKEND": "followups.channels.whatsapp.WhatsAppChannel", "OPTIONS": options},
    }
    return httpserver


def test_orig_28_a_channel_that_can_not_be_built_is_found_at_the_start_and_sends_nothing(
    schedule: Any, make_template: Any, settings: Settings, run_queue: Any
) -> None:
    schedule(make_template(channel="email"), 0)
    settings.FOLLOWUP_CHANNELS = {
        **settings.FOLLOWUP_CHANNELS,
        "email": {"BACKEND": "library_that_is_missing.Channel"},
    }
    assert "followups.E001" in [fault.id for fault in run_checks()]
    with pytest.raises(ImportError):
        run_queue()
    assert (sent().status, sent().sent_at) == (State.SENDING, None)
    assert not SandboxMessage.objects.exists()


@pytest.mark.parametrize("channel", ["sms", "whatsapp"])
def test_orig_29_a_phone_message_goes_to_the_phone(
    rich_user: User, schedule: Any, make_template: Any, run_queue: Any, channel: str
) -> None:
    template = make_template(
        channel=channel, whatsapp_content_sid=CONTENT, tamil_whatsapp_content_sid=CONTENT
    )
    assert schedule(template, 0).status_code == 201
    run_queue()
    assert SandboxMessage.objects.get().to == rich_user.phone == "+919840012345"


@pytest.mark.parametrize("channel", ["push", "in_app"])
def test_orig_30_every_channel_one_can_choose_delivers(
    rich_user: User, schedule: Any, make_template: Any, run_queue: Any, channel: str
) -> None:
    Device.objects.create(user=rich_user, token="t" * 20, platform="android")
    assert schedule(make_template(channel=channel), 0).status_code == 201
    run_queue()
    assert sent().status == (State.SENT if channel == "push" else State.DELIVERED)
    assert SandboxMessage.objects.count() + InAppMessage.objects.count() == 1


@pytest.mark.parametrize("channel", ["sms", "whatsapp", "push"])
def test_orig_30_a_message_that_can_not_arrive_is_not_sold(
    rich_user: User, schedule: Any, make_template: Any, channel: str
) -> None:
    User.objects.update(phone="")
    rich_user.refresh_from_db()
    answer = schedule(make_template(channel=channel), 1)
    assert (answer.status_code, answer.json()["code"]) == (400, "unreachable")
    assert balance_of(rich_user) == 100


@pytest.mark.parametrize("asked", ["sms", "pigeon", "EMAIL"])
def test_orig_31_the_channel_is_the_templates(schedule: Any, make_template: Any, asked: str) -> None:
    template = make_template(channel="email")
    answer = schedule(template, 1, channel=asked)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["channel"])
    assert [schedule(template, 1).status_code, schedule(template, 99, channel="email").status_code] == [
        201
    ] * 2
    assert set(FollowUpSchedule.objects.values_list("channel", flat=True)) == {"email"}


def test_orig_32_whatsapp_goes_by_approved_template_from_and_to_whatsapp(
    rich_user: User, schedule: Any, make_template: Any, whatsapp_at_twilio: HTTPServer, run_queue: Any
) -> None:
    whatsapp_at_twilio.expect_request(MESSAGES, method="POST").respond_with_json({"sid": "SM1"}, status=201)
    schedule(make_template(channel="whatsapp", whatsapp_content_sid=CONTENT), 0)
    run_queue()
    form = parse_qs(whatsapp_at_twilio.log[0][0].get_data(as_text=True))
    assert form["From"] == ["whatsapp:+14155550100"]
    assert form["To"] == [f"whatsapp:{rich_user.phone}"]
    assert form["ContentSid"] == [CONTENT]
    assert rich_user.name in form["ContentVariables"][0]
    assert "Body" not in form
    assert sent().provider_message_id == "SM1"


def test_orig_33_a_call_has_a_time_limit_names_its_attempt_and_is_not_repeated_in_doubt(
    schedule: Any, make_template: Any, whatsapp_at_twilio: HTTPServer, settings: Settings, run_queue: Any
) -> None:
    settings.FOLLOWUP_READ_TIMEOUT_SECONDS = 0.3

    def slow(request: Request) -> Response:
        time.sleep(1)
        return Response('{"sid": "SM1"}', 201)

    whatsapp_at_twilio.expect_request(MESSAGES, method="POST").respond_with_handler(slow)
    schedule(make_template(channel="whatsapp", whatsapp_content_sid=CONTENT), 0)
    began = time.monotonic()
    run_queue()
    assert time.monotonic() - began < 0.9
    assert (sent().status, Attempt.objects.get().state) == (State.IN_DOUBT, AttemptState.IN_DOUBT)
    assert run_queue() == 0
    time.sleep(0.9)  # the answer nobody waited for
    (call,) = whatsapp_at_twilio.log
    form = parse_qs(call[0].get_data(as_text=True))
    assert str(Attempt.objects.get().pk) in form["StatusCallback"][0]


def test_orig_34_an_email_has_two_parts_no_raw_marks_and_a_way_out(
    rich_user: User, schedule: Any, make_template: Any, run_queue: Any
) -> None:
    schedule(make_template(channel="email", content="**Dear {{user_name}}**, walk & breathe."), 0)
    run_queue()
    mail = SandboxMessage.objects.get()
    assert "**" not in mail.body + mail.html
    assert f"Dear {rich_user.name}, walk & breathe." in mail.body
    bare = regex.sub(r"<(\w+) [^>]*>", r"<\1>", mail.html)  # without the inlined styles
    assert f"<strong>Dear {rich_user.name}</strong>, walk &amp; breathe." in bare
    assert mail.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail.headers["List-Unsubscribe"].strip("<>") in mail.body
    assert parseaddr(mail.to)[1] == rich_user.email


def test_orig_35_what_was_not_processed_is_tried_again(
    schedule: Any, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    provider.script = [NotProcessed("refused"), NotProcessed("429", counts=False)]
    schedule(make_template(channel="email"), 0)
    for _ in range(2):
        run_queue()
        assert sent().status == State.PENDING
        assert sent().due_at > now() + timedelta(seconds=20)
        assert run_queue() == 0  # not before its time
        make_due()
    run_queue()
    assert (sent().status, len(provider.taken)) == (State.SENT, 3)


def test_orig_36_a_text_that_can_not_be_rendered_is_refunded_and_nothing_else_is_sent(
    rich_user: User, schedule: Any, make_template: Any, provider: ScriptedChannel
) -> None:
    template = make_template(channel="email")
    broken = TemplateVersion.objects.create(template=template, number=9, subject="x", content="{{Broken")
    schedule(template, 0)
    FollowUpSchedule.objects.update(template_version=broken)
    for _ in range(6):
        begin_and_crash()
    assert (sent().status, sent().failure_code) == (State.FAILED, "poison")
    assert balance_of(rich_user) == 100
    assert provider.taken == []


def begin_and_crash() -> None:
    for claim in claim_due(limit=10):
        with pytest.raises(TemplateSyntaxError):
            deliver(follow_up_id=claim.follow_up_id, token=claim.token)
    expire_leases()
    rescue_expired()


@pytest.mark.parametrize("change", ["edit", "switch off", "remove"])
def test_orig_37_what_was_bought_is_what_is_sent(
    schedule: Any, make_template: Any, provider: ScriptedChannel, run_queue: Any, change: str
) -> None:
    template = make_template(channel="email", content="What was bought.")
    assert schedule(template, 0).status_code == 201
    match change:
        case "edit":
            save_template(template=template, fields={"content": "Something else.", "channel": "sms"})
        case "switch off":
            save_template(template=template, fields={"is_active": False})
        case "remove":
            assert remove_template(template=template) is False
    run_queue()
    (message,) = provider.taken
    assert "What was bought." in message.text
    if change != "edit":
        assert schedule(template, 99).status_code == 404


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("{{user_email}}", "Dear {{user_email}},"),
        ("{{user_name}}", "Dear {{user_name}},"),
        ("", "Dear friend,"),
        ("  ", "Dear friend,"),
    ],
)
def test_orig_38_no_braces_no_second_expansion_and_no_empty_name(
    rich_user: User,
    schedule: Any,
    make_template: Any,
    provider: ScriptedChannel,
    run_queue: Any,
    name: str,
    told: str,
) -> None:
    User.objects.update(name=name)
    schedule(make_template(channel="email", content="Dear {{ user_name }}, {{session_date}}."), 0)
    run_queue()
    (message,) = provider.taken
    assert f"{told} a recent day." in message.text
    assert rich_user.email not in message.text


def test_orig_38_an_unknown_variable_is_refused_at_save(admin_api: APIClient, make_template: Any) -> None:
    path = f"/api/followup/admin/templates/{make_template().pk}"
    answer = admin_api.put(path, {"content": "Dear {{x}}"}, format="json")
    assert answer.status_code == 400
    assert "{{x}}" in answer.json()["errors"]["content"][0]


def test_orig_39_a_tamil_message_has_a_tamil_subject_and_a_tamil_fallback(
    rich_user: User, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    User.objects.update(preferred_language="ta", name="")
    client = client_of(User.objects.get(pk=rich_user.pk))
    client.post(SCHEDULE, {"template_id": str(make_template(channel="email").pk)}, format="json")
    make_due()
    run_queue()
    assert [(message.language, message.subject) for message in provider.taken] == [("ta", "நலமா, நண்பரே?")]


def test_orig_40_a_long_tamil_guidance_is_cut_between_letters(
    rich_user: User, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    make_template(channel="email", content="{{guidance_summary}}", tamil_content="")
    guidance = "நொ" * MAX_SUMMARY_LENGTH
    session = SessionFactory(user=rich_user, completed=True, guidance_summary=guidance)
    client_of(rich_user).post(f"/api/followup/email/{session.pk}")
    run_queue()
    told = sent().message_sent
    assert len(told) <= MAX_SUMMARY_LENGTH
    assert set(regex.findall(r"\X", told)) == {"நொ", "…"}


def test_orig_41_custom_variables_are_used(
    schedule: Any, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    template = make_template(
        channel="email",
        content="{{mantra}} × {{times}}",
        tamil_content="{{mantra}} {{times}}",
        variables=["mantra", "times"],
    )
    bad = schedule(template, 0, custom_variables={"mantra": {"a": 1}, "user_email": "x", "other": "y"})
    assert (bad.status_code, len(bad.json()["errors"]["custom_variables"])) == (400, 3)
    schedule(template, 0, custom_variables={"mantra": "ஓம்", "times": 108})
    run_queue()
    assert "ஓம் × 108" in provider.taken[0].text


@pytest.mark.parametrize("channel", ["sms", "whatsapp"])
def test_orig_43_a_phone_message_after_a_session_works_and_names_the_reader(
    rich_user: User, user_api: APIClient, make_template: Any, run_queue: Any, channel: str
) -> None:
    make_template(channel=channel, whatsapp_content_sid=CONTENT, content="Dear {{user_name}}, namaste.")
    answer = user_api.post(f"/api/followup/{channel}/{SessionFactory(user=rich_user, completed=True).pk}")
    assert answer.status_code == 200
    run_queue()
    assert SandboxMessage.objects.get().body == f"Dear {rich_user.name}, namaste."
