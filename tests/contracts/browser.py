"""A browser's ``fetch()`` from another origin, byte by byte over one socket."""

import json
import re
import socket
from dataclasses import dataclass
from typing import Any, Final

from django.core.servers.basehttp import WSGIRequestHandler

HOST: Final = "api.jyotiflow.test"
ORIGIN: Final = "https://app.jyotiflow.test"


class Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@dataclass(frozen=True)
class Answer:
    """What came back over the wire."""

    status: int
    headers: dict[str, str]
    body: Any


class Browser:
    """One tab of the front end: one connection, kept open, and the token it was given."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.socket.makefile("rb")
        self.token = ""

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def fetch(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """``fetch()``, and what the front end relies on in every answer."""
        answer = self.exchange(method, path, body, **headers)
        assert isinstance(answer.body, dict)
        assert answer.body["success"] is (answer.status < 400)
        return answer

    def exchange(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """``fetch()`` as a browser sends it; with the sign-in's header where there is a token."""
        # JSON.stringify: no spaces, letters as they are.
        text = "" if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        sent = text.encode()
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {HOST}",
            "Connection: keep-alive",
            *([f"Content-Length: {len(sent)}"] if method != "GET" else []),
            'sec-ch-ua-platform: "Android"',
            *([f"Authorization: Bearer {self.token}"] if self.token else []),
            "User-Agent: Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Mobile",
            "Accept: application/json, text/plain, */*",
            "Content-Type: application/json; charset=utf-8",
            *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
            f"Origin: {ORIGIN}",
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Mode: cors",
            "Sec-Fetch-Dest: empty",
            f"Referer: {ORIGIN}/",
            "Accept-Encoding: gzip, deflate, br, zstd",
            "Accept-Language: ta-IN,ta;q=0.9,en;q=0.8",
        ]
        answer = self._exchange(lines, sent)
        assert answer.headers["access-control-allow-origin"] == ORIGIN, "the page may not read it"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["content-type"].startswith("application/json")
        return answer

    def preflight(self, method: str, path: str, *headers: str) -> Answer:
        """The question a browser asks before it sends such a call to another origin."""
        return self._exchange(
            [
                f"OPTIONS {path} HTTP/1.1",
                f"Host: {HOST}",
                "Connection: keep-alive",
                "Accept: */*",
                f"Access-Control-Request-Method: {method}",
                f"Access-Control-Request-Headers: {','.join(headers)}",
                f"Origin: {ORIGIN}",
                "Sec-Fetch-Mode: cors",
                f"Referer: {ORIGIN}/",
            ],
            b"",
        )

    def read(self, path: str) -> Any:
        """A GET that works; the whole body."""
        answer = self.fetch("GET", path)
        assert answer.status == 200, answer
        return answer.body

    def act(self, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        """An action that works: it says so in a sentence."""
        answer = self.fetch(method, path, body, **headers)
        assert answer.status == status, answer
        assert answer.body["message"]
        return answer.body

    def is_refused(self, status: int, method: str, path: str, body: Any = None) -> Any:
        """A call that is refused, in words a page can show."""
        answer = self.fetch(method, path, body)
        assert answer.status == status, answer
        assert answer.body["message"]
        assert re.fullmatch(r"[a-z_]+", answer.body["code"])
        return answer.body

    def _exchange(self, lines: list[str], body: bytes) -> Answer:
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        status = int(self.file.readline().split()[1])
        headers = {}
        while (line := self.file.readline().decode("latin-1").strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        raw = self.file.read(int(headers.get("content-length", 0)))
        return Answer(status, headers, json.loads(raw) if raw else None)
