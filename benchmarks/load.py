"""HTTP clients that cost next to nothing: requests written beforehand, all connections in one thread."""

import json
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LONGEST_WAIT_SECONDS = 60.0


@dataclass
class Answers:
    """What came back: seconds of each call, statuses, the first body of each status, seconds in all."""

    waits: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    bodies: dict[int, bytes] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return len(self.waits) / self.seconds


def request(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """One POST, ready for the wire."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def json_request(path: str, value: Any, headers: Mapping[str, str]) -> bytes:
    """One POST of JSON."""
    return request(path, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


class _Client:
    """One connection with one call under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LONGEST_WAIT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began = 0.0
        self._heard = b""

    def say(self, data: bytes) -> None:
        self._heard, self.began = b"", time.perf_counter()
        self.socket.sendall(data)

    def hear(self) -> tuple[int, bytes] | None:
        """The status and body of a whole answer. Raises ``ConnectionError`` when the server hangs up."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("The server hung up.")
        self._heard += data
        head, found, body = self._heard.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return None
        return int(head.split(b" ", 2)[1]), body


def call(port: int, requests: Sequence[bytes], *, clients: int) -> Answers:
    """Send all ``requests`` over ``clients`` connections, each the next one when it has its answer."""
    answers, waiting, epoll = Answers(), deque(requests), select.epoll()
    crew = [_Client(port) for _ in range(min(clients, len(requests)))]
    by_number = {client.socket.fileno(): client for client in crew}
    began = time.perf_counter()
    try:
        for number, client in by_number.items():
            epoll.register(number, select.EPOLLIN)
            client.say(waiting.popleft())
        while len(answers.waits) < len(requests):
            ready = epoll.poll(LONGEST_WAIT_SECONDS)
            if not ready:
                raise TimeoutError("The server did not answer.")
            for number, _ in ready:
                client = by_number[number]
                answer = client.hear()
                if answer is None:
                    continue
                answers.waits.append(time.perf_counter() - client.began)
                answers.statuses[answer[0]] += 1
                answers.bodies.setdefault(*answer)
                if waiting:
                    client.say(waiting.popleft())
        answers.seconds = time.perf_counter() - began
    finally:
        epoll.close()
        for client in crew:
            client.socket.close()
    return answers


def _length(head: bytes) -> int:
    lower = head.lower()
    start = lower.find(b"content-length:")
    if start < 0:
        raise ValueError(f"An answer without a length: {head!r}")
    return int(lower[start + 15 :].split(b"\r\n", 1)[0])
