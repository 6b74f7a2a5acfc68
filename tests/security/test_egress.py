"""Outgoing calls go to the configured host and nowhere else."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.utils.timezone import now
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from werkzeug import Response

from followups.channels.egress import host_fault, url_fault
from followups.channels.email import EmailChannel
from followups.channels.push import PushChannel
from followups.channels.sms import SmsChannel
from followups.channels.whatsapp import WhatsAppChannel
from followups.checks import TAG
from followups.exceptions import Misconfigured, NotProcessed
from tests.followups.channels.conftest import ACCOUNT_SID, SENDER, make_message
from tests.followups.channels.test_esp import CREDENTIALS

ROOT = Path(__file__).resolve().parent.parent.parent
REDIRECTS = (301, 302, 303, 307, 308)


# --- Redirects -------------------------------------------------------------------------------------------


@pytest.fixture
def trap(httpserver: HTTPServer) -> Any:
    """Answers a path by a redirect to another; tells whether anybody followed it."""

    def redirect(path: str, status: int) -> None:
        target = {"Location": httpserver.url_for("/trap")}
        httpserver.expect_request(path).respond_with_response(Response("{}", status, target))

    yield redirect
    assert httpserver.log, "nobody called"
    assert [request.path for request, _ in httpserver.log if request.path == "/trap"] == []


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize("channel", [SmsChannel, WhatsAppChannel])
def test_twilio_is_not_followed(channel: Any, status: int, trap: Any, httpserver: HTTPServer) -> None:
    trap(f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json", status)
    client = channel(
        account_sid=ACCOUNT_SID,
        auth_token="token",
        base_url=httpserver.url_for("").rstrip("/"),
        sender="+14155550100",
    )
    message = make_message(to=("+919840012345",), whatsapp_content_sid="HX" + "0" * 32)
    with pytest.raises(Misconfigured):
        client.send(message)
    with pytest.raises(Misconfigured):
        client.find(to=message.to, body_hash="", attempt_id=message.attempt_id, since=now())


@pytest.mark.parametrize("status", REDIRECTS)
def test_fcm_is_not_followed(status: int, trap: Any, push_channel: PushChannel) -> None:
    trap("/v1/projects/jyotiflow-test/messages:send", status)
    with pytest.raises(Misconfigured):
        push_channel.send(make_message(to=("device",)))


@pytest.mark.parametrize("status", REDIRECTS)
def test_fcm_s_sign_in_is_not_followed(status: int, trap: Any, key_path: str, httpserver: HTTPServer) -> None:
    trap("/token", status)
    channel = PushChannel(key_path=key_path, base_url=httpserver.url_for("").rstrip("/"))
    with pytest.raises(NotProcessed):
        channel.send(make_message(to=("device",)))


@pytest.mark.filterwarnings("ignore::anymail.exceptions.AnymailWarning")
@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("name", sorted(CREDENTIALS))
def test_no_mail_service_is_followed(
    name: str, status: int, trap: Any, httpserver: HTTPServer, settings: Settings
) -> None:
    target = {"Location": httpserver.url_for("/trap")}
    httpserver.expect_request(re.compile("^(?!/trap).*")).respond_with_response(
        Response("{}", status, target)
    )
    settings.EMAIL_ESP, settings.EMAIL_BACKEND = name, f"anymail.backends.{name}.EmailBackend"
    settings.ANYMAIL = {**CREDENTIALS[name], f"{name.upper()}_API_URL": httpserver.url_for("/")}
    channel = EmailChannel(sender=SENDER)
    try:
        with pytest.raises(Misconfigured) as word:
            channel.send(make_message())
        assert word.value.code == "redirected"
    finally:
        channel.close()


# --- Addresses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://api.twilio.com",
        "https://api.twilio.com:8443/proxy",
        "http://127.0.0.1:3128",
        "http://localhost:3128",
        "http://[::1]:3128",
        "https://10.0.0.7",
        "https://egress.internal",
    ],
)
def test_an_address_of_a_provider_or_of_one_s_own_proxy_will_do(url: str) -> None:
    assert url_fault(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://api.twilio.com",
        "http://10.0.0.7",
        "ftp://api.twilio.com",
        "file:///etc/passwd",
        "api.twilio.com",
        "https://",
        "https://api.twilio.com:port",
        "https://[::1",
        "https://user:password@api.twilio.com",
        "https://user@api.twilio.com",
        "https://api.twilio.com?x=1",
        "https://api.twilio.com#x",
        "https://169.254.169.254",
        "https://169.254.0.1/latest",
        "https://[fe80::1]",
        "https://[fe80::1%25eth0]",
        "https://[::ffff:169.254.169.254]",
        "https://2852039166",
        "https://0xA9FEA9FE",
        "https://0251.0376.0251.0376",
        "https://[fd00:ec2::254]",
        "https://100.100.100.200",
        "https://192.0.0.192",
        "https://metadata.google.internal",
        "https://METADATA.google.internal.",
        "https://metadata",
        "https://instance-data",
        "https://0.0.0.0",
        "https://[::]",
        "https://224.0.0.1",
    ],
)
def test_an_address_inside_or_in_clear_is_refused(url: str) -> None:
    assert url_fault(url)


def test_a_mail_server_s_name_is_looked_at_too() -> None:
    assert host_fault("169.254.169.254")
    assert host_fault("") is None
    assert host_fault("smtp.example.org") is None


def test_production_refuses_such_an_address_by_its_variable(
    settings: Settings, key_path: str, httpserver: HTTPServer
) -> None:
    inside = "https://169.254.169.254"
    settings.TWILIO_API_BASE_URL = settings.FIREBASE_API_BASE_URL = inside
    settings.FIREBASE_SERVICE_ACCOUNT_KEY_PATH = key_path  # its token_uri is plain http to another host
    Path(key_path).write_text(Path(key_path).read_text().replace("http://localhost", "http://elsewhere.test"))
    settings.ANYMAIL = {"POSTMARK_API_URL": inside}
    settings.SMTP_HOST = "metadata"

    def told() -> str:
        return "\n".join(fault.msg for fault in run_checks(tags=[TAG]) if fault.id == "followups.E008")

    assert told() == ""  # development points where it likes
    settings.SECURE_COOKIES = True
    settings.SANDBOX_CHANNELS = ["email", "sms", "whatsapp", "push"]
    assert [line.partition(" is ")[0].partition(" names")[0] for line in told().splitlines()] == [
        "TWILIO_API_BASE_URL",
        "FIREBASE_API_BASE_URL",
        "ANYMAIL_POSTMARK_API_URL",
        "The token_uri in FIREBASE_SERVICE_ACCOUNT_KEY_PATH",
        "SMTP_HOST",
    ]


# --- Who may call at all ---------------------------------------------------------------------------------

CLIENTS = {"requests", "httpx", "aiohttp", "urllib.request", "urllib3", "http.client", "ftplib", "smtplib"}
MAY_CALL = {
    "followups/channels/esp.py",
    "followups/channels/http.py",
    "followups/channels/push.py",
    "followups/channels/smtp.py",
    "followups/channels/smtp_errors.py",
    "followups/channels/twilio.py",
    "followups/channels/twilio_errors.py",
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_only_channels_can_call_out_so_no_text_s_address_is_ever_fetched() -> None:
    callers = {
        str(path.relative_to(ROOT))
        for folder in ("credits", "followups", "jyotiflow", "sessions_app")
        for path in (ROOT / folder).rglob("*.py")
        if any(
            name == client or name.startswith(f"{client}.") for name in imported(path) for client in CLIENTS
        )
    }
    local_run_only = {name for name in callers if name.startswith("jyotiflow/local/")}
    assert callers - local_run_only <= MAY_CALL
