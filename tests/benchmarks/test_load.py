"""The clients send every request once, whatever pieces the answers come in."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.load import call, json_request


class Server(ThreadingHTTPServer):
    """Answers 201 with what it got, in two pieces, except to every fifth, which gets 503."""

    daemon_threads = True
    bodies: list[bytes]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        self.send_response(503 if len(self.server.bodies) % 5 == 0 else 201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:1])
        self.wfile.flush()
        time.sleep(0.01)
        self.wfile.write(body[1:])

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.bodies = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_request_is_answered_once(server: Server) -> None:
    requests = [json_request("/x", {"number": number}, {"X-Key": "y"}) for number in range(20)]
    answers = call(server.server_address[1], requests, clients=3)
    assert sorted(server.bodies) == sorted(b'{"number": %d}' % number for number in range(20))
    assert answers.statuses == {201: 16, 503: 4}
    assert len(answers.waits) == 20
    assert min(answers.waits) >= 0.01
    assert answers.seconds >= max(answers.waits)
    assert answers.bodies[201].startswith(b'{"number": ')


def test_a_server_that_hangs_up_is_an_error(server: Server) -> None:
    refusal = b"POST /x HTTP/1.0\r\nContent-Length: x\r\n\r\n"
    with pytest.raises((ConnectionError, ValueError)):
        call(server.server_address[1], [refusal], clients=1)
