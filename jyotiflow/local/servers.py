"""PostgreSQL and Valkey for development and tests, each started unless its URL is set in the environment.

Order per server: the URL in the environment, the wheel's programs, this machine's programs, else one line of error.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jyotiflow.local.binaries import OPEN_HOME, find_postgres, find_valkey, is_open_to_all, major_version, server_account
from jyotiflow.local.processes import Child, log_tail, start_child, stop_children

DATABASE_NAME = "jyotiflow"
START_TIMEOUT_SECONDS = 60.0
STOP_GRACE_SECONDS = 5.0
PORT_ATTEMPTS = 5
VALKEY_DATABASES = 64  # one for each test process

# The servers need nothing of the developer's environment, and PG* variables there would mislead them.
_SERVER_ENV = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}


class ServerFailed(RuntimeError):
    """A server program was found but did not start; the text carries the end of its log."""


@dataclass
class Servers:
    """Where the two servers answer, and the children behind them (none for a server that was given by URL)."""

    database_url: str
    redis_url: str
    children: list[Child] = field(default_factory=list)


@contextlib.contextmanager
def local_servers(
    *, home: Path, logs: Path, fast: bool = False, environment: Mapping[str, str] | None = None
) -> Iterator[Servers]:
    """Both servers, running until the block ends. Raises ServerMissing or ServerFailed.

    `home` keeps PostgreSQL's data; one run at a time may use it. `fast` gives up durability and checksums, for tests.
    """
    environment = os.environ if environment is None else environment
    with contextlib.ExitStack() as stack:
        database_url, redis_url = environment.get("DATABASE_URL", ""), environment.get("REDIS_URL", "")
        children: list[Child] = []
        if not redis_url:
            valkey, redis_url = _start_valkey(logs=logs)
            children.append(valkey)
            stack.callback(stop_children, [valkey], grace_seconds=STOP_GRACE_SECONDS)
        if not database_url:
            place = data_home(home)
            stack.enter_context(_only_run(place))
            postgres, database_url = _start_postgres(home=place, logs=logs, fast=fast)
            children.append(postgres)
            stack.callback(stop_children, [postgres], grace_seconds=STOP_GRACE_SECONDS)
        yield Servers(database_url=database_url, redis_url=redis_url, children=children)


@contextlib.contextmanager
def throwaway_servers(*, environment: Mapping[str, str] | None = None) -> Iterator[Servers]:
    """Fast servers on an empty database that leave nothing behind, for tests."""
    with contextlib.ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="jyotiflow-test-", dir=_open_temporary_directory()))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        home.chmod(0o711 if server_account() else 0o700)
        yield stack.enter_context(local_servers(home=home, logs=home, fast=True, environment=environment))


def data_home(home: Path) -> Path:
    """Where data that belongs under `home` is kept: `home`, or root's open place when `nobody` cannot reach it."""
    home = home.resolve()
    if server_account() is None or is_open_to_all(home):
        return home
    name = f"{home.parent.name}-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
    place = OPEN_HOME / "data" / name
    place.mkdir(mode=0o755, parents=True, exist_ok=True)
    return place


def _open_temporary_directory() -> str | None:
    """A directory for temporary data the server account can reach; None for Python's own choice."""
    if server_account() is None or is_open_to_all(Path(tempfile.gettempdir())):
        return None
    return "/var/tmp"


@contextlib.contextmanager
def _only_run(place: Path) -> Iterator[None]:
    """Hold `place` for this process; the lock goes with the process, however it ends."""
    with (place / "postgres.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServerFailed(f"Another run is using {place}: stop it first.") from None
        yield


def _start_postgres(*, home: Path, logs: Path, fast: bool) -> tuple[Child, str]:
    programs, data, log = find_postgres(), home / "postgres", logs / "postgres.log"
    if not data.exists():
        _create_cluster(programs=programs, data=data, fast=fast)
    made_by = (data / "PG_VERSION").read_text().strip()
    if made_by != major_version(programs / "postgres"):
        raise ServerFailed(
            f"{data} was made by PostgreSQL {made_by} and this is {major_version(programs / 'postgres')}: "
            "`make clean` removes the old data."
        )
    _end_earlier_postmaster(data)
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "log_checkpoints": "off",
    }
    if fast:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

    def start(port: int) -> Child:
        options = [f"--{name}={value}" for name, value in settings.items()]
        return start_child(
            name="PostgreSQL",
            command=[programs / "postgres", "-D", data, f"--port={port}", *options],
            log=log,
            env=_SERVER_ENV,
            cwd=Path("/"),
            account=server_account(),
            quit_signal=signal.SIGQUIT if fast else signal.SIGINT,  # immediate, or a clean shutdown that waits for nobody
            orphan_signal=signal.SIGQUIT if fast else signal.SIGINT,
        )

    child, port = _started(start, is_ready=lambda child, _: _postmaster_state(data, child.process.pid) == "ready")
    return child, f"postgres://postgres@127.0.0.1:{port}/{DATABASE_NAME}"


def _create_cluster(*, programs: Path, data: Path, fast: bool) -> None:
    """Make the data directory whole or not at all, with the product's empty database in it."""
    account = server_account()
    fresh = data.with_name(f"{data.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if account:
        os.chown(fresh, account.uid, account.gid)
    initdb = [programs / "initdb", "-D", fresh, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"]
    single = [programs / "postgres", "--single", "-D", fresh, "postgres"]
    for command, words in (
        ([*initdb, "--no-sync"] if fast else initdb, ""),
        ([*single, "-c", "fsync=off"] if fast else single, f"CREATE DATABASE {DATABASE_NAME}\n"),
    ):
        done = subprocess.run(
            command,
            input=words,
            capture_output=True,
            text=True,
            env=_SERVER_ENV,
            cwd="/",
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        if done.returncode:
            shutil.rmtree(fresh, ignore_errors=True)
            raise ServerFailed(f"{Path(command[0]).name} could not create the database:\n{done.stderr.strip()}")
    fresh.rename(data)


def _end_earlier_postmaster(data: Path) -> None:
    """Wait out a PostgreSQL left by a run that was killed; drop its lock file when it is long gone.

    We hold the run's lock, so no live run owns this data. PostgreSQL itself trusts only the process number, which
    another program may have by now (in a fresh container: almost certainly).
    """
    lock = data / "postmaster.pid"
    deadline = time.monotonic() + STOP_GRACE_SECONDS
    while lock.exists():
        pid = int(lock.read_text().split(maxsplit=1)[0])
        if not _is_postgres_on(pid, data):
            lock.unlink(missing_ok=True)
        elif time.monotonic() > deadline:
            os.kill(pid, signal.SIGQUIT)
            deadline = time.monotonic() + STOP_GRACE_SECONDS
        time.sleep(0.05)


def _is_postgres_on(pid: int, data: Path) -> bool:
    """Whether process `pid` was started as a server on the directory `data`."""
    if sys.platform == "linux":
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return str(data).encode() in words
    listing = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    return f" {data} " in listing.stdout


def _postmaster_state(data: Path, pid: int) -> str:
    """The state the server `pid` writes into its lock file: "starting", "ready" …; empty before it has one."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return ""
    return lines[7].strip() if len(lines) > 7 and lines[0] == str(pid) else ""


def _start_valkey(*, logs: Path) -> tuple[Child, str]:
    program, log = find_valkey(), logs / "valkey.log"

    def start(port: int) -> Child:
        options = {
            "bind": "127.0.0.1",
            "port": port,
            "save": "",
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
            "databases": VALKEY_DATABASES,
        }
        return start_child(
            name="Valkey",
            command=[program, *(word for name, value in options.items() for word in (f"--{name}", str(value)))],
            log=log,
            env=_SERVER_ENV,
            cwd=Path("/"),
            account=server_account(),
        )

    child, port = _started(start, is_ready=lambda child, port: _answering_process(port) == child.process.pid)
    return child, f"redis://127.0.0.1:{port}/0"


def _answering_process(port: int) -> int | None:
    """The process number the Redis-like server on `port` gives as its own; None when none answers."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(b"INFO server\r\n")
        for line in connection.recv(65536).decode(errors="replace").splitlines():
            if line.startswith("process_id:"):
                return int(line.removeprefix("process_id:"))
    return None


def _started(start: Callable[[int], Child], *, is_ready: Callable[[Child, int], bool]) -> tuple[Child, int]:
    """Start on a free port and wait until ready. Another program may take the port first; then try the next."""
    for _ in range(PORT_ATTEMPTS):
        port = _free_port()
        child = start(port)
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        try:
            while child.is_running and time.monotonic() < deadline:
                if is_ready(child, port):
                    return child, port
                time.sleep(0.01)
        except BaseException:
            stop_children([child], grace_seconds=STOP_GRACE_SECONDS)
            raise
        ended = not child.is_running
        stop_children([child], grace_seconds=STOP_GRACE_SECONDS)
        tail = log_tail(child.log, lines=15)
        if not (ended and "address already in use" in tail.lower()):
            break
    raise ServerFailed(f"{child.name} did not start. The end of {child.log}:\n{tail}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
