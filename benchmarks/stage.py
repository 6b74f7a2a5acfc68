"""What every part runs on: durable PostgreSQL, Valkey and the sink, in a temporary place."""

import contextlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from jyotiflow.local.binaries import server_account
from jyotiflow.local.postgres import DATABASE_NAME
from jyotiflow.local.processes import log_tail, start_child, stop_children
from jyotiflow.local.servers import local_servers, open_temporary_directory

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 120.0
SENDER = "JyotiFlow <followups@jyotiflow.example>"
TWILIO_ACCOUNT = f"AC{1:032x}"
TWILIO_TOKEN = "the-sinks-auth-token"
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Stage:
    """Where everything answers. ``pids`` are of ``PostgreSQL``, ``Valkey`` and ``sink``.

    ``environment`` is that of the product's processes; its ``DATABASE_URL`` names the part's own database.
    """

    home: str
    environment: Mapping[str, str]
    pids: Mapping[str, int]
    ports: Mapping[str, int]  # smtp, twilio, control

    @property
    def logs(self) -> Path:
        """Where the processes of a part may write their logs."""
        return Path(self.home)

    def url_of(self, database: str) -> str:
        """The URL of another database on the same server."""
        return urlsplit(self.environment["DATABASE_URL"])._replace(path=f"/{database}").geturl()

    def redis_url_of(self, number: int) -> str:
        """The URL of another of Valkey's databases."""
        return urlsplit(self.environment["REDIS_URL"])._replace(path=f"/{number}").geturl()

    def on(self, database: str) -> "Stage":
        """The same with another database for the product."""
        return replace(self, environment={**self.environment, "DATABASE_URL": self.url_of(database)})

    def dump(self) -> str:
        """As text, for another process."""
        return json.dumps(asdict(self))

    @staticmethod
    def load(text: str) -> "Stage":
        """From text."""
        return Stage(**json.loads(text))


@contextlib.contextmanager
def built_stage(*, preload: str = "") -> Iterator[Stage]:
    """Both servers, the sink, and the product's empty tables in the database parts are copied from.

    ``preload`` is a library PostgreSQL is to load at its start.
    """
    if not sys.platform.startswith("linux"):
        raise SystemExit("The benchmark reads what processes cost from /proc: it runs on Linux only.")
    home = Path(tempfile.mkdtemp(prefix="jyotiflow-bench-", dir=open_temporary_directory()))
    home.chmod(0o711 if server_account() else 0o700)
    base = {name: os.environ[name] for name in _KEPT if name in os.environ}
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        if preload:
            with local_servers(home=home, logs=home, environment={}) as servers:
                setting = sql.SQL("ALTER SYSTEM SET shared_preload_libraries = {}")
                _execute(servers.database_url, setting.format(sql.Literal(preload)))
        servers = stack.enter_context(local_servers(home=home, logs=home, environment={}))
        sink_pid, ports = stack.enter_context(_running_sink(home, base))
        postgres, valkey = servers.children
        environment = {
            **base,
            "ENV_FILES": "off",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "JWT_SECRET": secrets.token_urlsafe(50),
            "PUBLIC_BASE_URL": "http://127.0.0.1:8000",
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(ports["smtp"]),
            "SMTP_SECURITY": "none",
            "EMAIL_FROM": SENDER,
            "TWILIO_ACCOUNT_SID": TWILIO_ACCOUNT,
            "TWILIO_AUTH_TOKEN": TWILIO_TOKEN,
            "TWILIO_SMS_NUMBER": "+15005550006",
            "TWILIO_API_BASE_URL": f"http://127.0.0.1:{ports['twilio']}",
            "SANDBOX_CHANNELS": "whatsapp,push",
        }
        run_to_end(
            "migrate", [sys.executable, "manage.py", "migrate", "--verbosity=0"], environment, logs=home
        )
        yield Stage(
            home=str(home),
            environment=environment,
            pids={"PostgreSQL": postgres.process.pid, "Valkey": valkey.process.pid, "sink": sink_pid},
            ports=ports,
        )


@contextlib.contextmanager
def own_database(stage: Stage, name: str, *, template: str = DATABASE_NAME) -> Iterator[Stage]:
    """A copy of the product's empty tables, or of another ``template``; dropped afterwards."""
    quoted = sql.Identifier(name)
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(quoted, sql.Identifier(template))
    _execute(stage.url_of("postgres"), create)
    try:
        yield stage.on(name)
    finally:
        _execute(stage.url_of("postgres"), sql.SQL("DROP DATABASE {} WITH (FORCE)").format(quoted))


def run_to_end(name: str, command: list[str], environment: Mapping[str, str], *, logs: Path) -> None:
    """Run one command. Raises ``RuntimeError`` with the end of its log when it fails."""
    child = start_child(name=name, command=command, log=logs / f"{name}.log", env=environment, cwd=ROOT)
    try:
        if child.process.wait(START_SECONDS):
            raise RuntimeError(f"{name} failed.\n{log_tail(child.log, lines=20)}")
    finally:
        stop_children([child], grace_seconds=0)


def _execute(url: str, statement: LiteralString | sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


@contextlib.contextmanager
def _running_sink(home: Path, environment: Mapping[str, str]) -> Iterator[tuple[int, dict[str, int]]]:
    places = home / "sink.json"
    child = start_child(
        name="sink",
        command=[sys.executable, "-m", "benchmarks.sink", str(places)],
        log=home / "sink.log",
        env=environment,
        cwd=ROOT,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not places.exists():
            if not child.is_running or time.monotonic() > deadline:
                raise RuntimeError(f"The sink did not start.\n{log_tail(child.log, lines=20)}")
            time.sleep(0.02)
        yield child.process.pid, json.loads(places.read_text())
    finally:
        stop_children([child], grace_seconds=0)
