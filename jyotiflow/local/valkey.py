"""Valkey (or Redis) for the local run: it keeps nothing, because nothing durable is ever put in it."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from jyotiflow.local.binaries import SERVER_ENV, find_valkey, server_account
from jyotiflow.local.processes import Child, start_child, start_on_free_port, stop_children

_SETTINGS = {
    "bind": "127.0.0.1",
    "save": "",
    "appendonly": "no",
    "maxmemory-policy": "noeviction",
    "databases": "64",  # one for each test process
}


@contextlib.contextmanager
def running_valkey(*, logs: Path) -> Iterator[tuple[Child, str]]:
    """An empty server and its URL."""
    program = find_valkey()

    def start(port: int) -> Child:
        options = [word for name, value in _SETTINGS.items() for word in (f"--{name}", value)]
        return start_child(
            name="Valkey",
            command=[program, "--port", str(port), *options],
            log=logs / "valkey.log",
            env=SERVER_ENV,
            cwd=Path("/"),
            account=server_account(),
        )

    child, port = start_on_free_port(
        start, is_ready=lambda child, port: _process_on(port) == child.process.pid
    )
    try:
        yield child, f"redis://127.0.0.1:{port}/0"
    finally:
        stop_children([child])


def _process_on(port: int) -> int | None:
    """The process number the server on `port` gives as its own; None when none answers yet."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(b"INFO server\r\n")
        for line in connection.recv(65536).decode(errors="replace").splitlines():
            if line.startswith("process_id:"):
                return int(line.removeprefix("process_id:"))
    return None
