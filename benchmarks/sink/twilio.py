"""The part of Twilio's API that creates messages."""

import itertools
import json
from urllib.parse import parse_qsl

from benchmarks.sink.ledger import Ledger
from benchmarks.sink.wire import Answers


class Twilio:
    """One HTTP/1.1 connection, kept open."""

    greeting = b""
    _numbers = itertools.count(1)

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._heard = b""

    def hear(self, data: bytes) -> Answers:
        """One request after the other, each with its length."""
        self._heard += data
        answers: Answers = []
        while (end := self._heard.find(b"\r\n\r\n")) >= 0:
            head = self._heard[:end]
            length = _length(head)
            whole = end + 4 + length
            if len(self._heard) < whole:
                break
            body, self._heard = self._heard[end + 4 : whole], self._heard[whole:]
            answers.append((self._create(body), self._ledger.delay))
        return answers

    def _create(self, body: bytes) -> bytes:
        form = dict(parse_qsl(body.decode()))
        self._ledger.take(form.get("To", "").encode(), body)
        message = {
            "sid": f"SM{next(self._numbers):032x}",
            "to": form.get("To"),
            "from": form.get("From"),
            "body": form.get("Body"),
            "status": "queued",
            "direction": "outbound-api",
            "error_code": None,
            "date_created": None,
            "date_sent": None,
        }
        text = json.dumps(message).encode()
        head = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: "
        return head + str(len(text)).encode() + b"\r\n\r\n" + text


def _length(head: bytes) -> int:
    lower = head.lower()
    start = lower.find(b"content-length:")
    return int(lower[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
