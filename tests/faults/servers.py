"""PostgreSQL and Valkey that can be brought down and up again in place: same data, same port."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis

from jyotiflow.local.binaries import SERVER_ENV, server_account
from jyotiflow.local.processes import Child, log_tail, start_child, stop_children
from jyotiflow.local.servers import local_servers

START_SECONDS = 120.0


class Server:
    """One of the two; `answers` tells whether it is up."""

    def __init__(self, child: Child, *, url: str, answers: Callable[[str], bool]) -> None:
        self.url = url
        self._child = child
        self._answers = answers

    def end(self, how: signal.Signals) -> None:
        """End it by a signal and wait: SIGKILL, or PostgreSQL's immediate shutdown, SIGQUIT."""
        self._child.process.send_signal(how)
        self._child.process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.process.pid, signal.SIGKILL)

    def start(self) -> None:
        """Start it again and wait until it answers."""
        old = self._child
        command = old.process.args
        assert isinstance(command, list)
        deadline = time.monotonic() + START_SECONDS
        while True:
            self._child = start_child(
                name=old.name,
                command=command,
                log=old.log,
                env=SERVER_ENV,
                cwd=Path("/"),
                account=server_account(),
                quit_signal=old.quit_signal,
                orphan_signal=old.quit_signal,
            )
            while self._child.is_running:
                if self._answers(self.url):
                    return
                time.sleep(0.02)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{old.name} did not start again.\n{log_tail(old.log, lines=20)}")
            time.sleep(0.1)

    def close(self) -> None:
        """End it for good."""
        stop_children([self._child])


@dataclass(frozen=True)
class Pair:
    """Both servers, durable as in production."""

    postgres: Server
    valkey: Server


@contextlib.contextmanager
def restartable_servers(*, home: Path) -> Iterator[Pair]:
    """PostgreSQL with fsync on, and Valkey, on an empty `home` the server account can reach."""
    with local_servers(home=home, logs=home, environment={}) as servers:
        postgres, valkey = servers.children
        pair = Pair(
            Server(postgres, url=servers.database_url, answers=_postgres_answers),
            Server(valkey, url=servers.redis_url, answers=_valkey_answers),
        )
        try:
            yield pair
        finally:
            pair.postgres.close()
            pair.valkey.close()


def _postgres_answers(url: str) -> bool:
    with contextlib.suppress(psycopg.Error), psycopg.connect(url, connect_timeout=2):
        return True
    return False


def _valkey_answers(url: str) -> bool:
    with contextlib.suppress(redis.RedisError), redis.Redis.from_url(url, socket_timeout=1) as client:
        return bool(client.ping())
    return False
