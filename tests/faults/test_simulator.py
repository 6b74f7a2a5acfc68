"""The simulator itself: what it takes is logged, and its faults are what a client of ours understands."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import requests
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from twilio.request_validator import RequestValidator
from werkzeug import Request, Response

from followups.channels.base import Accepted, Channel, Message
from followups.channels.email import EmailChannel
from followups.channels.push import PushChannel
from followups.channels.sms import SmsChannel
from followups.exceptions import NotProcessed, OutcomeUnknown, Rejected
from tests.faults.simulator.client import Simulator, running_simulator
from tests.faults.simulator.resend import KEY
from tests.faults.simulator.script import Fate, Fault
from tests.faults.simulator.twilio import ACCOUNT, TOKEN

pytestmark = pytest.mark.django_db  # what a provider's code means is looked up there

SENDER = "JyotiFlow <followups@jyotiflow.example>"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running_simulator(home=tmp_path_factory.mktemp("simulator"), env=os.environ) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def _short_waits(settings: Settings, simulator: Simulator) -> Iterator[None]:
    settings.FOLLOWUP_READ_TIMEOUT_SECONDS = settings.EMAIL_TIMEOUT = 1
    yield
    simulator.script(rate=0)


def message(to: str) -> Message:
    attempt_id = uuid4()
    return Message(
        attempt_id=attempt_id,
        callback_url=f"http://localhost:1/receipts?a={attempt_id}",
        follow_up_id=uuid4(),
        user_id=1,
        to=(to,),
        language="en",
        subject="A word",
        text="How are you? ref-41",
    )


@pytest.fixture
def sms(simulator: Simulator) -> SmsChannel:
    return SmsChannel(
        account_sid=ACCOUNT, auth_token=TOKEN, base_url=simulator.url("twilio"), sender="+15005550006"
    )


@pytest.fixture
def channels(simulator: Simulator, settings: Settings, sms: SmsChannel) -> dict[str, Callable[[], Channel]]:
    """Builds each channel on its provider."""

    def resend() -> Channel:
        settings.EMAIL_ESP, settings.EMAIL_BACKEND = "resend", "anymail.backends.resend.EmailBackend"
        settings.ANYMAIL = {"RESEND_API_KEY": KEY, "RESEND_API_URL": simulator.url("resend")}
        return EmailChannel(sender=SENDER)

    def smtp() -> Channel:
        settings.EMAIL_ESP, settings.EMAIL_BACKEND = "", "followups.channels.smtp.PhasedEmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", simulator.places["smtp"]
        settings.EMAIL_USE_TLS = False
        return EmailChannel(sender=SENDER)

    def push() -> Channel:
        return PushChannel(key_path=str(simulator.home / "firebase.json"), base_url=simulator.url("fcm"))

    return {"twilio": lambda: sms, "resend": resend, "smtp": smtp, "fcm": push}


ADDRESSES = {
    "twilio": "+919840012345",
    "resend": "reader@example.test",
    "smtp": "reader@example.test",
    "fcm": "token-1",
}


def taken(simulator: Simulator, sent: Message) -> list[dict[str, Any]]:
    """What the log says of one message: by its attempt or by its follow-up."""
    ids = {str(sent.attempt_id), str(sent.follow_up_id)}
    return [line for line in simulator.records() if {line.get("attempt"), line.get("follow_up")} & ids]


@pytest.mark.parametrize("provider", ADDRESSES)
def test_what_a_provider_takes_is_in_the_log(
    simulator: Simulator, channels: dict[str, Callable[[], Channel]], provider: str
) -> None:
    sent = message(ADDRESSES[provider])
    assert isinstance(channels[provider]().send(sent), Accepted)
    (line,) = taken(simulator, sent)
    assert (line["what"], line["provider"], line["ref"]) == ("accepted", provider, "ref-41")


CASES = {
    Fault.HANG_UP: (OutcomeUnknown, 0),
    Fault.REFUSE: (Rejected, 0),
    Fault.BUSY: (NotProcessed, 0),
    Fault.FAIL: (OutcomeUnknown, 0),
    Fault.BLACK_HOLE: (OutcomeUnknown, 0),
    Fault.FAIL_DONE: (OutcomeUnknown, 1),
    Fault.HANG_UP_DONE: (OutcomeUnknown, 1),
    Fault.SILENT_DONE: (OutcomeUnknown, 1),
    Fault.LATE: (OutcomeUnknown, 1),
    Fault.SLOW: (None, 1),
}
# Before the dot a mail server's silence proves that it has nothing.
SMTP_CASES = CASES | {Fault.HANG_UP: (NotProcessed, 0), Fault.FAIL: (NotProcessed, 0)}


@pytest.mark.parametrize("provider", ["twilio", "resend", "smtp"])
@pytest.mark.parametrize("fault", CASES)
def test_a_fault_is_what_it_says(
    simulator: Simulator, channels: dict[str, Callable[[], Channel]], provider: str, fault: Fault
) -> None:
    simulator.script(provider, rate=1, weights={fault: 1}, slow_seconds=[0.1, 0.2], late_seconds=[1.2, 1.4])
    word, times = (SMTP_CASES if provider == "smtp" else CASES)[fault]
    sent = message(ADDRESSES[provider])
    if word is None:
        channels[provider]().send(sent)
    else:
        with pytest.raises(word):
            channels[provider]().send(sent)
    simulator.wait_until_quiet(seconds=60)
    assert len(taken(simulator, sent)) == times


def test_a_closed_door_refuses_connections_until_it_is_opened(simulator: Simulator, sms: SmsChannel) -> None:
    simulator.close("twilio")
    with pytest.raises(NotProcessed):
        sms.send(message("+919840012345"))
    simulator.open("twilio")
    assert sms.send(message("+919840012345")).provider_message_id


def test_twilio_lists_what_it_took_for_a_number(simulator: Simulator, sms: SmsChannel) -> None:
    number = "+919840099999"
    assert requests.get(simulator.url("twilio"), timeout=30).status_code == 401
    sent = sms.send(message(number))
    (listed,) = sms._client.messages.list(to=number)
    assert (listed.sid, listed.body) == (sent.provider_message_id, "How are you? ref-41")
    assert sms._client.messages(listed.sid).fetch().status in ("delivered", "undelivered")


def test_a_key_makes_one_mail_of_two_and_none_of_two_different_ones(simulator: Simulator) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": str(uuid4())}
    mail = {"from": SENDER, "to": ["a@example.test"], "subject": "A", "text": "ref-7", "headers": {}}

    def post(value: dict[str, Any]) -> requests.Response:
        return requests.post(f"{simulator.url('resend')}/emails", json=value, headers=headers, timeout=30)

    first, again, other = post(mail), post(mail), post({**mail, "subject": "B"})
    assert first.json()["id"] == again.json()["id"]
    assert other.status_code == 409
    kinds = [line["what"] for line in simulator.records() if line.get("key") == headers["Idempotency-Key"]]
    assert kinds == ["accepted", "repeated", "key_reused"]


def test_callbacks_are_signed_and_forged_ones_are_not(
    simulator: Simulator, sms: SmsChannel, httpserver: HTTPServer
) -> None:
    heard: list[tuple[bool, str]] = []

    def hear(request: Request) -> Response:
        signature = request.headers["X-Twilio-Signature"]
        url = httpserver.url_for("/receipts?a=x")
        is_real = RequestValidator(TOKEN).validate(url, request.form.to_dict(), signature)
        heard.append((is_real, request.form["MessageStatus"]))
        return Response(status=200 if is_real else 403)

    httpserver.expect_request("/receipts").respond_with_handler(hear)
    simulator.script("twilio", report_rate=1)
    for _ in range(30):
        sms.send(replace(message("+919840012345"), callback_url=httpserver.url_for("/receipts?a=x")))
    deadline = time.monotonic() + 60
    while simulator.counts()["pending"] and time.monotonic() < deadline:
        time.sleep(0.1)
    simulator.script("twilio", report_rate=0)
    faults = simulator.counts()["faults"]["twilio"]
    assert {"report_drop", "report_repeat", "report_shuffle", "report_forge"} <= set(faults)
    assert [status for is_real, status in heard if not is_real] == ["failed"] * faults["report_forge"]
    assert len({status for is_real, status in heard if is_real}) >= 2


def test_the_same_seed_draws_the_same_faults() -> None:
    def drawn(seed: int) -> list[Fault]:
        fate = Fate("twilio", seed=seed)
        fate.script.rate = 0.5
        return [fate.draw() for _ in range(50)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert set(drawn(1)) > {Fault.NONE}
