"""Far ends that misbehave on purpose: a scripted SMTP server, a port that never answers."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import takewhile

HANG_UP = None  # as a reply: close the connection without one
SILENCE = "silence"  # as a reply: say nothing and keep the connection


@dataclass(frozen=True)
class After:
    """As a reply: the same, some seconds later."""

    seconds: float
    reply: str


Reply = str | After | None

POLITE: dict[str, Reply] = {
    "banner": "220 ready",
    "ehlo": "250 hello",
    "mail": "250 2.1.0 ok",
    "rcpt": "250 2.1.5 ok",
    "data": "354 go on",
    "dot": "250 2.0.0 taken",
}


@dataclass
class ScriptedSMTP:
    """Answers each stage as the script says; counts connections and the mails whose final dot arrived."""

    script: dict[str, Reply]
    connections: int = 0
    mails: list[bytes] = field(default_factory=list)
    port: int = 0
    tls: ssl.SSLContext | None = None
    _over: threading.Event = field(default_factory=threading.Event)
    _peers: list[socket.socket] = field(default_factory=list)

    def accept(self, listener: socket.socket) -> None:
        """Talk to each caller in a thread of its own until the listener is shut."""
        with ThreadPoolExecutor() as threads:
            while not self._over.is_set():
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                self.connections += 1
                threads.submit(self._meet, peer)

    def _meet(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the other side may hang up at any point
            ours = self.tls.wrap_socket(peer, server_side=True) if self.tls else peer
            self._peers.append(ours)
            self.converse(ours)

    def converse(self, peer: socket.socket) -> None:
        with peer, peer.makefile("rb") as lines:
            if not self._reply(peer, "banner"):
                return
            for line in lines:
                verb = line.split()[0].lower().decode()
                if verb == "quit":
                    peer.sendall(b"221 bye\r\n")
                    return
                if verb == "rset":
                    peer.sendall(b"250 ok\r\n")
                    continue
                if not self._reply(peer, "ehlo" if verb == "helo" else verb):
                    return
                if verb == "data" and self.script["data"] == POLITE["data"]:
                    mail = list(takewhile(lambda line: line != b".\r\n", iter(lines.readline, b"")))
                    if not mail:  # nothing was said before the dot, or nobody is there any more
                        return
                    self.mails.append(b"".join(mail))
                    if not self._reply(peer, "dot"):
                        return

    def _reply(self, peer: socket.socket, stage: str) -> bool:
        text = self.script[stage]
        if isinstance(text, After):
            self._over.wait(text.seconds)
            text = text.reply
        if text is HANG_UP:
            return False
        if text == SILENCE:
            self._over.wait(10)
            return False
        peer.sendall(text.encode() + b"\r\n")
        return True

    def stop(self) -> None:
        """Hang up on everybody."""
        self._over.set()
        for peer in self._peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def scripted_smtp(
    script: Mapping[str, Reply] | None = None, *, tls: ssl.SSLContext | None = None
) -> Iterator[ScriptedSMTP]:
    """A server on a port of this machine that is polite but for what the script says."""
    server = ScriptedSMTP({**POLITE, **(script or {})}, tls=tls)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]

        thread = threading.Thread(target=server.accept, args=[listener])
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            thread.join(timeout=5)


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port where a connection is never made: its queue is full and nobody takes from it."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            knocker = stack.enter_context(socket.socket())
            knocker.setblocking(False)
            knocker.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextlib.contextmanager
def breaking_http() -> Iterator[int]:
    """A port that reads a request and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                peer, _ = listener.accept()
                with peer:
                    peer.recv(65_536)

        thread = threading.Thread(target=hang_up)
        thread.start()
        yield listener.getsockname()[1]
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)


def closed_port() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
