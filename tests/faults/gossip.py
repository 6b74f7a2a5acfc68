"""Providers that refuse, and repeat the address and the words they were given in every refusal."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote_plus

from tests.followups.channels.servers import scripted_smtp


class _Gossip(BaseHTTPRequestHandler):
    """Twilio, FCM and a mail service at once: 400 with all that was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path == "/token":
            self._answer(200, {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"})
            return
        heard = f"refused: {unquote_plus(body)} for {self.headers.get('Authorization')}"
        self._answer(
            400,
            {
                "code": 21612,  # refused for this once: the number itself is not blamed
                "status": 400,
                "statusCode": 400,
                "name": heard,
                "message": heard,
                "more_info": heard,
                "error": {"code": 400, "status": "INVALID_ARGUMENT", "message": heard},
            },
        )

    def _answer(self, status: int, value: object) -> None:
        raw = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Says nothing on our own terminal."""


@contextlib.contextmanager
def gossiping_http() -> Iterator[str]:
    """Its address, as long as the block lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Gossip) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(timeout=10)


@contextlib.contextmanager
def gossiping_smtp(address: str) -> Iterator[int]:
    """The port of a mail server that knows nobody, and says whom it doesn't know."""
    with scripted_smtp({"rcpt": f"550 5.7.1 <{address}>: we don't want mail for {address}"}) as server:
        yield server.port
