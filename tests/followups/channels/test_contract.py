"""What every channel keeps to: it answers in the four words or not at all, and shows what it is."""

import re
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from werkzeug import Response

from followups.channels import get_channel
from followups.channels.base import Channel
from followups.channels.email import EmailChannel
from followups.channels.in_app import InAppChannel
from followups.channels.push import PushChannel
from followups.channels.sandbox import SandboxChannel
from followups.channels.sms import SmsChannel
from followups.channels.verdicts import FOUR_WORDS
from followups.channels.whatsapp import WhatsAppChannel
from followups.conf import CHANNEL_LABELS
from followups.models import FollowUpSchedule
from tests.followups.channels.conftest import ACCOUNT_SID, SENDER, make_message
from tests.followups.channels.servers import closed_port, scripted_smtp

pytestmark = pytest.mark.django_db

STATUSES = (200, 201, 204, 301, 400, 401, 403, 404, 418, 429, 500, 503, 599)
BODIES = (b"", b"null", b"[]", b"{}", b'"x"', b'{"error": "x"}', b'{"code": []}', b"\xff")
Build = Callable[[int], Channel]


OVER_HTTP = ["esp", "sms", "whatsapp", "push"]


@pytest.fixture(params=[*OVER_HTTP, "email", "in_app", "sandbox"])
def build(request: pytest.FixtureRequest, builders: dict[str, Build]) -> Build:
    """Builds one channel on a port of this machine."""
    return builders[request.param]


@pytest.fixture(params=OVER_HTTP)
def build_over_http(request: pytest.FixtureRequest, builders: dict[str, Build]) -> Build:
    """Builds one channel that calls its provider by HTTP."""
    return builders[request.param]


@pytest.fixture
def builders(
    settings: Settings, httpserver: HTTPServer, key_path: str, smtp_channel: Any
) -> dict[str, Build]:
    twilio = {"account_sid": ACCOUNT_SID, "auth_token": "token", "sender": "+14155550100"}
    httpserver.expect_request("/token").respond_with_json({"access_token": "t", "expires_in": 3600})

    def with_esp(port: int) -> Channel:
        settings.EMAIL_ESP = "postmark"
        settings.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
        settings.ANYMAIL = {
            "POSTMARK_SERVER_TOKEN": "k",
            "POSTMARK_API_URL": f"http://127.0.0.1:{port}/",
        }
        return EmailChannel(sender=SENDER)

    return {
        "email": smtp_channel,
        "esp": with_esp,
        "sms": lambda port: SmsChannel(base_url=f"http://127.0.0.1:{port}", **twilio),
        "whatsapp": lambda port: WhatsAppChannel(base_url=f"http://127.0.0.1:{port}", **twilio),
        "push": lambda port: PushChannel(key_path=key_path, base_url=f"http://127.0.0.1:{port}"),
        "in_app": lambda port: InAppChannel(),
        "sandbox": lambda port: SandboxChannel(channel="email"),
    }


def answer(channel: Channel, follow_up: FollowUpSchedule, **fields: Any) -> None:
    """Send; anything but an acceptance or one of the four words fails the test."""
    message = make_message(
        follow_up_id=follow_up.pk,
        user_id=follow_up.user_id,
        to=channel.addresses(follow_up.user) or ("token",),
        whatsapp_content_sid="HX" + "0" * 32,
        **fields,
    )
    word: Any = None
    try:
        channel.send(message)
    except FOUR_WORDS as error:
        word = error
    if word is not None:
        assert 0 < len(word.code) <= 50
        assert follow_up.user.email not in repr(word)
        assert follow_up.user.phone not in repr(word)


@pytest.fixture
def follow_up(follow_up: FollowUpSchedule) -> FollowUpSchedule:
    follow_up.user.phone = "+919840012345"
    follow_up.user.save()
    return follow_up


class TestContract:
    """Run against every channel."""

    def test_nobody_there(self, build: Build, follow_up: FollowUpSchedule) -> None:
        answer(build(closed_port()), follow_up)

    def test_a_port_that_never_answers(
        self, build: Build, follow_up: FollowUpSchedule, black_hole_port: int
    ) -> None:
        answer(build(black_hole_port), follow_up)

    @pytest.mark.usefixtures("short_waits")
    def test_a_peer_that_hangs_up(
        self, build: Build, follow_up: FollowUpSchedule, broken_http_port: int
    ) -> None:
        answer(build(broken_http_port), follow_up)

    def test_a_peer_that_speaks_another_protocol(self, build: Build, follow_up: FollowUpSchedule) -> None:
        with scripted_smtp({"banner": "SSH-2.0-OpenSSH_9.2"}) as server:
            answer(build(server.port), follow_up)

    def test_any_answer_at_all(
        self, build_over_http: Build, follow_up: FollowUpSchedule, httpserver: HTTPServer
    ) -> None:
        channel = build_over_http(httpserver.port)
        answers: dict[str, Any] = {}

        def respond(_: Any) -> Response:
            return Response(answers["body"], answers["status"], content_type="application/json")

        httpserver.expect_request(re.compile("^/(?!token)")).respond_with_handler(respond)
        for answers["status"], answers["body"] in product(STATUSES, BODIES):
            answer(channel, follow_up)

    @pytest.mark.parametrize(
        "fields",
        [
            {"subject": "", "text": ""},
            {"subject": "a\r\nb: c", "text": "\x00\ud7ff\u2028"},
            {"text": "அ" * 100_000},
            {"callback_url": "", "valid_for_seconds": -1},
            {"unsubscribe_url": "https://follow.example.com/u/" + "x" * 2_000},
            {"html": "<p>" + "அ" * 5_000 + "</p>"},
        ],
    )
    def test_any_message_at_all(
        self, build: Build, follow_up: FollowUpSchedule, fields: dict[str, Any]
    ) -> None:
        answer(build(closed_port()), follow_up, **fields)

    def test_it_says_whose_ids_it_gives(self, build: Build) -> None:
        assert 0 < len(build(1).provider) <= 30

    def test_an_address_it_knows_nothing_of_is_forgotten_without_a_fault(self, build: Build) -> None:
        build(1).forget_address("nobody@example.com")

    def test_its_checks_run(self, build: Build) -> None:
        assert all(message.id for message in build(1).check())


def test_every_configured_channel_is_built_once_and_knows_its_name(settings: Settings) -> None:
    assert list(settings.FOLLOWUP_CHANNELS) == list(CHANNEL_LABELS)
    for name in settings.FOLLOWUP_CHANNELS:
        assert get_channel(name).name == name
        assert get_channel(name) is get_channel(name)
