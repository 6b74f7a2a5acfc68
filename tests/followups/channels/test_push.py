"""Push through the official SDK, against a local FCM held to Google's own description."""

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from firebase_admin import messaging
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from followups.channels import push
from followups.channels.push import PushChannel
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected
from followups.models import Device
from jyotiflow.accounts.models import User
from tests.contracts.fcm import faults
from tests.followups.channels.conftest import TAMIL, make_message
from tests.followups.channels.servers import closed_port

pytestmark = pytest.mark.django_db

SEND = "/v1/projects/jyotiflow-test/messages:send"
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


class FCM:
    """Answers by token; a token it knows nothing of is taken."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self.answers: dict[str, Response] = {}
        self.bodies: list[dict[str, Any]] = []
        httpserver.expect_request(SEND, method="POST").respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        body = request.get_json()
        self.bodies.append(body)
        token = body["message"]["token"]
        taken = Response(json.dumps({"name": f"projects/jyotiflow-test/messages/{token}"}))
        return self.answers.get(token, taken)

    def refuse(self, token: str, status: int, code: str = "", rpc: str = "", **headers: str) -> None:
        details = [{"@type": FCM_ERROR, "errorCode": code}] if code else []
        error = {"code": status, "message": f"no to {token}", "status": rpc, "details": details}
        self.answers[token] = Response(json.dumps({"error": error}), status=status, headers=headers)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [body["message"] for body in self.bodies]


@pytest.fixture
def fcm(httpserver: HTTPServer) -> Iterator[FCM]:
    server = FCM(httpserver)
    yield server
    for body in server.bodies:
        assert faults(body) == []


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:12]


def send(channel: PushChannel, *tokens: str, **fields: Any) -> Any:
    return channel.send(make_message(to=tokens, **fields))


def test_a_push_goes_to_every_device_and_shows_once_on_each(push_channel: PushChannel, fcm: FCM) -> None:
    before = int(time.time())
    message = make_message(to=("phone", "tablet"), valid_for_seconds=600)
    accepted = push_channel.send(message)
    assert accepted.provider_message_id == "projects/jyotiflow-test/messages/phone"
    assert accepted.details == {hashed("phone"): "accepted", hashed("tablet"): "accepted"}
    assert not accepted.delivered
    assert {sent["token"] for sent in fcm.messages} == {"phone", "tablet"}
    tag = str(message.follow_up_id)
    for sent in fcm.messages:
        assert sent["notification"] == {"title": message.subject, "body": TAMIL}
        assert sent["data"] == {"follow_up_id": tag}
        assert sent["android"] == {"collapse_key": tag, "ttl": "600s", "notification": {"tag": tag}}
        assert sent["webpush"] == {"headers": {"TTL": "600"}, "notification": {"tag": tag}}
        headers = sent["apns"]["headers"]
        assert headers["apns-collapse-id"] == tag
        assert len(headers["apns-collapse-id"]) <= 64
        assert before + 600 <= int(headers["apns-expiration"]) <= time.time() + 600


def test_every_attempt_at_a_follow_up_replaces_the_one_before(push_channel: PushChannel, fcm: FCM) -> None:
    first = make_message(to=("phone",))
    push_channel.send(first)
    push_channel.send(make_message(to=("phone",), follow_up_id=first.follow_up_id))
    one, two = fcm.messages
    assert one["android"]["notification"] == two["android"]["notification"]
    assert one["webpush"]["notification"] == two["webpush"]["notification"]
    assert push_channel.repeat_is_harmless


@pytest.mark.parametrize(("seconds", "ttl"), [(None, "2419200s"), (0, "1s"), (-1, "1s"), (10**9, "2419200s")])
def test_a_push_lives_no_longer_than_fcm_keeps_it(
    push_channel: PushChannel, fcm: FCM, seconds: int | None, ttl: str
) -> None:
    send(push_channel, "phone", valid_for_seconds=seconds)
    assert fcm.messages[0]["android"]["ttl"] == ttl


NO_DEVICE = "No device of yours takes pushes any more."
MALFORMED = "The push was refused as malformed."
KEY = "Firebase refused FIREBASE_SERVICE_ACCOUNT_KEY_PATH's account."
THIRD_PARTY = "Firebase can't sign in to Apple's or the browser's push service."
NO_PROJECT = "Firebase knows no such project."
ERRORS: list[tuple[int, str, str, Exception]] = [
    # HTTP status, FCM's code, the general code, the word.
    (404, "UNREGISTERED", "NOT_FOUND", Rejected("UNREGISTERED", NO_DEVICE)),
    (403, "SENDER_ID_MISMATCH", "PERMISSION_DENIED", Rejected("SENDER_ID_MISMATCH", NO_DEVICE)),
    (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", Rejected("INVALID_ARGUMENT", MALFORMED)),
    (429, "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", NotProcessed("QUOTA_EXCEEDED", 60, counts=False)),
    (429, "", "RESOURCE_EXHAUSTED", NotProcessed("RESOURCE_EXHAUSTED", 60, counts=False)),
    (503, "UNAVAILABLE", "UNAVAILABLE", NotProcessed("UNAVAILABLE", 10)),
    (500, "INTERNAL", "INTERNAL", OutcomeUnknown("INTERNAL")),
    (504, "", "DEADLINE_EXCEEDED", OutcomeUnknown("DEADLINE_EXCEEDED")),
    (502, "", "", OutcomeUnknown("UNKNOWN")),
    (401, "THIRD_PARTY_AUTH_ERROR", "", Misconfigured("THIRD_PARTY_AUTH_ERROR", THIRD_PARTY)),
    (401, "", "UNAUTHENTICATED", Misconfigured("UNAUTHENTICATED", KEY)),
    (403, "", "PERMISSION_DENIED", Misconfigured("PERMISSION_DENIED", KEY)),
    (404, "", "NOT_FOUND", Misconfigured("NOT_FOUND", NO_PROJECT)),
]


@pytest.mark.parametrize(("status", "code", "rpc", "word"), ERRORS)
def test_an_error_means_its_word(
    push_channel: PushChannel, fcm: FCM, status: int, code: str, rpc: str, word: Exception
) -> None:
    fcm.refuse("phone", status, code, rpc)
    with pytest.raises(type(word)) as raised:
        send(push_channel, "phone")
    assert raised.value == word
    assert raised.value.__cause__ is None
    if status != 401:  # there the SDK fetches a new access token and asks again: nothing was sent before
        assert len(fcm.bodies) == 1


@pytest.mark.parametrize(
    ("status", "code", "header", "wait"),
    [
        (503, "UNAVAILABLE", "90", 90.0),
        (429, "QUOTA_EXCEEDED", "90", 90.0),
        (429, "QUOTA_EXCEEDED", "5", 60.0),
    ],
)
def test_a_wait_that_fcm_names_is_kept(
    push_channel: PushChannel, fcm: FCM, status: int, code: str, header: str, wait: float
) -> None:
    fcm.refuse("phone", status, code, **{"Retry-After": header})
    with pytest.raises(NotProcessed) as word:
        send(push_channel, "phone")
    assert word.value.retry_after == wait


@pytest.mark.parametrize("body", ["", "<html>", "{}", "[]"])
def test_an_unreadable_yes_is_unknown(push_channel: PushChannel, fcm: FCM, body: str) -> None:
    fcm.answers["phone"] = Response(body)
    with pytest.raises(OutcomeUnknown):
        send(push_channel, "phone")


@pytest.mark.parametrize("code", ["UNREGISTERED", "SENDER_ID_MISMATCH"])
def test_a_dead_token_is_dropped_and_the_others_still_get_it(
    push_channel: PushChannel, fcm: FCM, user: User, code: str
) -> None:
    for token in ("dead", "alive"):
        Device.objects.create(user=user, token=token, platform=Device.Platform.ANDROID)
    fcm.refuse("dead", 404, code)
    accepted = send(push_channel, "dead", "alive")
    assert accepted.details == {hashed("dead"): code, hashed("alive"): "accepted"}
    assert accepted.provider_message_id.endswith("/alive")
    assert push_channel.addresses(user) == ("alive",)


def test_a_refusal_for_another_reason_keeps_the_device(
    push_channel: PushChannel, fcm: FCM, user: User
) -> None:
    Device.objects.create(user=user, token="phone", platform=Device.Platform.IOS)
    fcm.refuse("phone", 400, "INVALID_ARGUMENT")
    with pytest.raises(Rejected):
        send(push_channel, "phone")
    assert push_channel.addresses(user) == ("phone",)


def test_when_no_device_takes_it_the_gravest_answer_counts(push_channel: PushChannel, fcm: FCM) -> None:
    fcm.refuse("dead", 404, "UNREGISTERED")
    fcm.refuse("later", 503, "UNAVAILABLE")
    fcm.refuse("doubt", 500, "INTERNAL")
    fcm.refuse("ours", 403, rpc="PERMISSION_DENIED")
    for tokens, kind in (
        (("dead",), Rejected),
        (("dead", "later"), NotProcessed),
        (("dead", "later", "doubt"), OutcomeUnknown),
        (("dead", "later", "doubt", "ours"), Misconfigured),
    ):
        with pytest.raises(kind):
            send(push_channel, *tokens)


def test_a_message_without_a_device_is_refused(push_channel: PushChannel, fcm: FCM) -> None:
    with pytest.raises(Rejected):
        send(push_channel)
    assert fcm.bodies == []


def test_firebase_being_away_is_tried_later(
    key_path: str, push_channel: PushChannel, black_hole_port: int
) -> None:
    for port in (closed_port(), black_hole_port):
        with pytest.raises(NotProcessed) as word:
            send(PushChannel(key_path=key_path, base_url=f"http://127.0.0.1:{port}"), "phone")
        assert word.value == NotProcessed("no_connection", answered=False)


def test_silence_after_the_request_is_unknown(
    push_channel: PushChannel, httpserver: HTTPServer, slow: Any
) -> None:
    httpserver.expect_request(SEND).respond_with_handler(slow(Response()))
    with pytest.raises(OutcomeUnknown) as word:
        send(push_channel, "phone")
    assert word.value == OutcomeUnknown("timeout")


def test_a_connection_broken_after_the_request_is_unknown(
    key_path: str, push_channel: PushChannel, broken_http_port: int
) -> None:
    with pytest.raises(OutcomeUnknown) as word:
        send(PushChannel(key_path=key_path, base_url=f"http://127.0.0.1:{broken_http_port}"), "phone")
    assert word.value == OutcomeUnknown("connection_broken")


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [(400, "invalid_grant", Misconfigured), (401, "invalid_client", Misconfigured), (503, "", NotProcessed)],
)
def test_a_sign_in_that_fails_sends_nothing(
    httpserver: HTTPServer,
    key_path: str,
    fcm: FCM,
    status: int,
    error: str,
    kind: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # the SDK's pauses between its tries to sign in
    httpserver.expect_request("/token").respond_with_json({"error": error}, status=status)
    channel = PushChannel(key_path=key_path, base_url=httpserver.url_for("").rstrip("/"))
    with pytest.raises(kind) as word:
        send(channel, "phone", "tablet")
    assert word.value.code == "no_access_token"  # type: ignore[attr-defined]
    assert fcm.bodies == []


def test_a_token_endpoint_that_is_away_is_tried_later(
    key_path: str, fcm: FCM, httpserver: HTTPServer
) -> None:
    with open(key_path) as file:
        key = json.load(file)
    with open(key_path, "w") as file:
        json.dump(key | {"token_uri": f"http://127.0.0.1:{closed_port()}/token"}, file)
    with pytest.raises(NotProcessed):
        send(PushChannel(key_path=key_path, base_url=httpserver.url_for("").rstrip("/")), "phone")


@pytest.mark.parametrize("content", [None, "", "{}", '{"type": "authorized_user"}'])
def test_a_key_file_that_is_none_is_misconfigured_and_named(tmp_path: Any, content: str | None) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    channel = PushChannel(key_path=str(path))
    with pytest.raises(Misconfigured):
        send(channel, "phone")
    (fault,) = channel.check()
    assert "FIREBASE_SERVICE_ACCOUNT_KEY_PATH" in fault.msg


def test_a_good_key_file_passes(key_path: str) -> None:
    assert PushChannel(key_path=key_path).check() == []


def test_without_another_address_it_is_googles(key_path: str) -> None:
    app = push._start(key_path, "")
    service = messaging._get_messaging_service(app)
    assert service._fcm_url == f"https://fcm.googleapis.com{SEND}"
    adapter = service._client.session.get_adapter(service._fcm_url)
    assert (adapter.max_retries.total, adapter.max_retries.read) == (0, False)


def test_nothing_of_a_message_is_logged(
    push_channel: PushChannel, fcm: FCM, caplog: pytest.LogCaptureFixture
) -> None:
    fcm.refuse("a-token", 400, "INVALID_ARGUMENT")
    with pytest.raises(Rejected) as word:
        send(push_channel, "a-token", text="a secret")
    assert "a-token" not in caplog.text + repr(word.value)
    assert "secret" not in caplog.text


def test_where_a_user_is_reached_are_their_own_devices(key_path: str, user: User, staff: User) -> None:
    Device.objects.create(user=user, token="one", platform=Device.Platform.IOS)
    Device.objects.create(user=staff, token="another's", platform=Device.Platform.IOS)
    Device.objects.create(user=user, token="two", platform=Device.Platform.WEB)
    assert PushChannel(key_path=key_path).addresses(user) == ("one", "two")
