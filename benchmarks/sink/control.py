"""How a part asks the sink: a line of words in, a line of JSON out."""

import base64
import json
import socket
from typing import Any

from benchmarks.sink.ledger import Ledger
from benchmarks.sink.wire import Answers


class Control:
    """``forget <seconds of delay>``, ``count``, ``last``."""

    greeting = b""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def hear(self, data: bytes) -> Answers:
        """One line, one answer."""
        match data.decode().split():
            case ["forget", delay]:
                self._ledger.forget(delay=float(delay))
                answer: object = {}
            case ["last"]:
                answer = base64.b64encode(self._ledger.whole).decode()
            case _:
                answer = self._ledger.told()
        return [(json.dumps(answer).encode() + b"\n", 0.0)]


class Sink:
    """The sink as a part sees it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._answers = self._socket.makefile("rb")

    def forget(self, *, delay: float = 0.0) -> None:
        """Count from nothing; answer every message after ``delay`` seconds."""
        self._ask(f"forget {delay}")

    def count(self) -> dict[str, float]:
        """``messages``, distinct ``recipients``, ``bytes``, monotonic times of the ``first`` and ``last``."""
        told: dict[str, float] = self._ask("count")
        return told

    def last(self) -> bytes:
        """The message that came last, as it came."""
        return base64.b64decode(self._ask("last"))

    def close(self) -> None:
        """Hang up."""
        self._answers.close()
        self._socket.close()

    def _ask(self, words: str) -> Any:
        self._socket.sendall(words.encode() + b"\n")
        return json.loads(self._answers.readline())
