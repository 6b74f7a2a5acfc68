"""PostgreSQL for the local run: its data directory, and the server on it."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from jyotiflow.local.binaries import SERVER_ENV, find_postgres, major_version, run_program, server_account
from jyotiflow.local.exceptions import ServerFailed
from jyotiflow.local.locks import sole_use
from jyotiflow.local.processes import (
    STOP_GRACE_SECONDS,
    Child,
    start_child,
    start_on_free_port,
    stop_children,
)

DATABASE_NAME = "jyotiflow"

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path may be no longer than 107 bytes; a clone's often is
    "max_connections": "200",
    "log_checkpoints": "off",
    # A failed statement holds people's data; its kind is enough.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# What a crash of the machine could cost does not matter to a database that lives for one test run.
_FAST_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@contextlib.contextmanager
def running_postgres(*, home: Path, logs: Path, fast: bool) -> Iterator[tuple[Child, str]]:
    """A server on the data under `home` and its URL. One process at a time may use a `home`."""
    busy = ServerFailed(f"Another run is using {home}: stop it first.")
    with sole_use(home / "postgres.lock", otherwise=busy):
        data, programs = home / "postgres", find_postgres()
        if not data.exists():
            _create_cluster(data, programs=programs, fast=fast)
        made_by, version = (data / "PG_VERSION").read_text().strip(), major_version(programs / "postgres")
        if made_by != version:
            raise ServerFailed(
                f"{data} was made by PostgreSQL {made_by} and this is {version}: "
                "`make clean` removes the old data."
            )
        _end_earlier_server(data)
        child, port = _start(data, programs=programs, log=logs / "postgres.log", fast=fast)
        try:
            yield child, f"postgres://postgres@127.0.0.1:{port}/{DATABASE_NAME}"
        finally:
            stop_children([child])


def _create_cluster(data: Path, *, programs: Path, fast: bool) -> None:
    """Make the data directory whole or not at all, the product's empty database in it."""
    _require_a_named_account()
    fresh = data.with_name(f"{data.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    account = server_account()
    if account:
        os.chown(fresh, account.uid, account.gid)
    initdb: list[str | Path] = [programs / "initdb", "-D", fresh, "-U", "postgres", "-A", "trust"]
    initdb += ["-E", "UTF8", "--no-locale", *(["--no-sync"] if fast else [])]
    single: list[str | Path] = [programs / "postgres", "--single", "-D", fresh]
    single += [*(["-c", "fsync=off"] if fast else []), "postgres"]
    for command, words in ((initdb, ""), (single, f"CREATE DATABASE {DATABASE_NAME}\n")):
        done = run_program(command, words=words)
        if done.returncode:
            shutil.rmtree(fresh, ignore_errors=True)
            raise ServerFailed(f"{command[0]} could not create the database:\n{done.stderr.strip()}")
    fresh.rename(data)


def _require_a_named_account() -> None:
    """initdb refuses a user number without a name, as `docker run --user 4321` makes one."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise ServerFailed(
            f"PostgreSQL needs an account with a name and user {os.geteuid()} has none: "
            "run as another account, or set DATABASE_URL."
        ) from None


def _start(data: Path, *, programs: Path, log: Path, fast: bool) -> tuple[Child, int]:
    options = [f"--{name}={value}" for name, value in (_SETTINGS | (_FAST_SETTINGS if fast else {})).items()]
    # PostgreSQL's words: SIGINT is a clean shutdown that waits for no client, SIGQUIT one that saves nothing.
    end = signal.SIGQUIT if fast else signal.SIGINT

    def start(port: int) -> Child:
        return start_child(
            name="PostgreSQL",
            command=[programs / "postgres", "-D", data, f"--port={port}", *options],
            log=log,
            env=SERVER_ENV,
            cwd=Path("/"),
            account=server_account(),
            quit_signal=end,
            orphan_signal=end,
        )

    return start_on_free_port(start, is_ready=lambda child, _: _is_ready(data, child.process.pid))


def _is_ready(data: Path, pid: int) -> bool:
    """Whether the server `pid` says so in its lock file, which is how pg_ctl knows."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _end_earlier_server(data: Path) -> None:
    """Wait out a server left by a run that was killed; drop its lock file when it is long gone.

    We hold `home`, so no live run owns this data. PostgreSQL itself looks only at the process number,
    which another program may have by now (in a fresh container it almost certainly does).
    """
    lock = data / "postmaster.pid"
    deadline = time.monotonic() + STOP_GRACE_SECONDS
    while lock.exists():
        pid = int((lock.read_text().split() or ["0"])[0])
        if not _is_postgres_on(pid, data):
            lock.unlink(missing_ok=True)
        elif time.monotonic() > deadline:
            os.kill(pid, signal.SIGQUIT)
            deadline = time.monotonic() + STOP_GRACE_SECONDS
        time.sleep(0.05)


def _is_postgres_on(pid: int, data: Path) -> bool:
    """Whether process `pid` was started as a server on the directory `data`."""
    if Path("/proc/self/cmdline").exists():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return str(data).encode() in words
    listing = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    return f" {data} " in listing.stdout
