"""What tests of channels share: a message, short waits, and real clients against local servers."""

import json
import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.utils.timezone import now
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from followups.channels.base import Message
from followups.channels.email import EmailChannel
from followups.channels.push import PushChannel
from followups.models import FollowUpSchedule
from jyotiflow.accounts.models import User
from tests.followups.channels.servers import black_hole, breaking_http

SENDER = "JyotiFlow <followups@jyotiflow.example>"
ACCOUNT_SID = "AC" + "0a" * 16
TAMIL = "வணக்கம் லட்சுமி 🕉️, அமர்வு எப்படி இருந்தது? 👩‍👩‍👧"


@pytest.fixture
def short_waits(settings: Settings) -> None:
    """For far ends that never answer; the others may take their time on a busy machine."""
    settings.FOLLOWUP_CONNECT_TIMEOUT_SECONDS = 0.5
    settings.FOLLOWUP_READ_TIMEOUT_SECONDS = settings.EMAIL_TIMEOUT = 0.5


def make_message(**fields: Any) -> Message:
    """A message in Tamil; a test names what it is about."""
    return Message(
        **{
            "attempt_id": uuid.uuid4(),
            "follow_up_id": uuid.uuid4(),
            "user_id": 1,
            "to": ("lakshmi@example.com",),
            "language": "ta",
            "subject": "நலமா? 🕉️",
            "text": TAMIL,
            "callback_url": "https://follow.example.com/api/followup/receipts/twilio?a=1",
            **fields,
        }
    )


@pytest.fixture
def follow_up(user: User, make_template: Any) -> FollowUpSchedule:
    """A row in the queue, for the channels that write rows of their own."""
    template = make_template()
    return FollowUpSchedule.objects.create(
        user=user,
        user_email=user.email,
        template=template,
        template_version=template.versions.get(),
        channel="in_app",
        language="ta",
        wanted_language="ta",
        scheduled_at=now(),
        due_at=now(),
        expires_at=now() + timedelta(days=1),
    )


@pytest.fixture
def slow(short_waits: None) -> Iterator[Any]:
    """Makes handlers that answer only when the test is over."""
    over = threading.Event()

    def make(response: Response) -> Any:
        def answer(_: Request) -> Response:
            over.wait(10)
            return response

        return answer

    yield make
    over.set()


@pytest.fixture
def black_hole_port(short_waits: None) -> Iterator[int]:
    with black_hole() as port:
        yield port


@pytest.fixture
def broken_http_port() -> Iterator[int]:
    with breaking_http() as port:
        yield port


@pytest.fixture
def smtp_channel(settings: Settings) -> Iterator[Any]:
    """Builds the email channel on a server by its port."""
    channels: list[EmailChannel] = []

    def build(port: int, *, security: str = "none", user: str = "", password: str = "") -> EmailChannel:
        settings.EMAIL_BACKEND = "followups.channels.smtp.PhasedEmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = user, password
        settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = security == "starttls", security == "ssl"
        channels.append(EmailChannel(sender=SENDER))
        return channels[-1]

    yield build
    for channel in channels:
        channel.close()


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def key_path(tmp_path: Path, httpserver: HTTPServer, private_key: str) -> str:
    """A service account key whose token endpoint is the local server."""
    path = tmp_path / "firebase.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "jyotiflow-test",
                "private_key_id": "1",
                "private_key": private_key,
                "client_email": "push@jyotiflow-test.iam.gserviceaccount.com",
                "client_id": "1",
                "token_uri": httpserver.url_for("/token"),
            }
        )
    )
    return str(path)


@pytest.fixture
def push_channel(httpserver: HTTPServer, key_path: str) -> PushChannel:
    """The push channel with its token endpoint and FCM both at the local server."""
    httpserver.expect_request("/token", method="POST").respond_with_json(
        {"access_token": "an-access-token", "expires_in": 3600, "token_type": "Bearer"}
    )
    return PushChannel(key_path=key_path, base_url=httpserver.url_for("").rstrip("/"))
