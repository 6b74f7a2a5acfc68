"""The sink takes what the product and its peer say, however it is cut up, and holds nobody up."""

import contextlib
import json
import smtplib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from benchmarks.sink.control import Sink
from benchmarks.sink.ledger import Ledger
from benchmarks.sink.smtp import Smtp
from benchmarks.sink.twilio import Twilio

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="epoll is Linux's")
MAIL = b"Subject: a\r\n\r\n..\r\nb\r\n..c\r\n.\r\n"  # its dots are doubled, as on the wire


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[dict[str, int]]:
    places = tmp_path / "sink.json"
    with subprocess.Popen([sys.executable, "-m", "benchmarks.sink", str(places)]) as process:
        while not places.exists():
            assert process.poll() is None
            time.sleep(0.01)
        yield json.loads(places.read_text())
        process.kill()


@pytest.fixture
def sink(ports: dict[str, int]) -> Iterator[Sink]:
    with contextlib.closing(Sink(ports["control"])) as sink:
        yield sink


def test_mails_are_counted_and_the_last_is_kept(ports: dict[str, int], sink: Sink) -> None:
    with smtplib.SMTP("127.0.0.1", ports["smtp"]) as client:
        for number in range(3):
            client.sendmail("a@example.test", f"{number % 2}@example.test", f"Subject: {number}\r\n\r\nHi")
    told = sink.count()
    assert (told["messages"], told["recipients"]) == (3, 2)
    assert 0 < told["first"] <= told["last"] <= time.monotonic()
    assert sink.last().startswith(b"Subject: 2\r\n\r\nHi")
    sink.forget()
    assert sink.count()["messages"] == 0


def test_a_wait_for_one_is_no_wait_for_another(ports: dict[str, int], sink: Sink) -> None:
    sink.forget(delay=0.3)
    began = time.monotonic()

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", ports["smtp"]) as client:
            client.sendmail("a@example.test", ["b@example.test"], "Subject: c\r\n\r\nd")

    threads = [threading.Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.3 <= time.monotonic() - began < 1.5
    assert sink.count()["messages"] == 10


def test_messages_are_created_over_one_connection(ports: dict[str, int], sink: Sink) -> None:
    with requests.Session() as session:
        for number in range(2):
            answer = session.post(
                f"http://127.0.0.1:{ports['twilio']}/2010-04-01/Accounts/AC1/Messages.json",
                data={"To": f"+1500555000{number}", "Body": "நலமா?"},
                timeout=5,
            )
            assert answer.status_code == 201
            assert answer.json()["body"] == "நலமா?"
    told = sink.count()
    assert (told["messages"], told["recipients"]) == (2, 2)


def test_a_mail_may_come_in_pieces() -> None:
    for size in (1, 2, 5, 7, 100):
        ledger = Ledger()
        talk = Smtp(ledger)
        talk.hear(b"RCPT TO:<a@b>\r\n")
        assert talk.hear(b"DATA\r\n")[0][0].startswith(b"354")
        pieces = [MAIL[start : start + size] for start in range(0, len(MAIL), size)]
        answers = [talk.hear(piece) for piece in pieces]
        assert answers[-1] == [(b"250 2.0.0 Queued\r\n", 0.0)]
        if size == 100:
            assert (ledger.messages, ledger.whole, ledger.recipients) == (1, MAIL, {b"<a@b>"})


def test_commands_sent_together_are_answered_together() -> None:
    ledger = Ledger()
    talk = Smtp(ledger)
    [(answer, _)] = talk.hear(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n")
    assert [line[:3] for line in answer.splitlines()] == [b"250", b"250", b"354"]
    talk.hear(MAIL)
    assert ledger.recipients == {b"<c@d>"}
    assert talk.hear(b"NOOP\r\nQUIT\r\n") == [(b"250 2.0.0 Ok\r\n", 0.0), (b"", 0.0)]


def test_a_request_may_come_in_pieces() -> None:
    ledger = Ledger()
    talk = Twilio(ledger)
    request = b"POST /x HTTP/1.1\r\ncontent-length: 8\r\n\r\nTo=%2B12"
    answers = [answer for byte in request * 2 for answer in talk.hear(bytes([byte]))]
    assert len(answers) == 2
    assert (ledger.messages, ledger.recipients) == (2, {b"+12"})


def test_who_hangs_up_is_forgotten(ports: dict[str, int], sink: Sink) -> None:
    sink.forget(delay=0.2)
    with socket.create_connection(("127.0.0.1", ports["twilio"])) as guest:
        guest.sendall(b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    time.sleep(0.4)
    assert sink.count()["messages"] == 1
