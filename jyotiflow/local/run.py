"""`python -m jyotiflow.local.run`: everything on this machine with one command, until Ctrl-C.

Servers, tables, starter and demo data, then web, worker and beat; if one process dies, all are stopped.
"""

import argparse
import contextlib
import errno
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from jyotiflow.local.app import (
    ROOT,
    Place,
    finish,
    manage,
    require_running,
    running_app,
    start_again,
    wait_until_ready,
)
from jyotiflow.local.environment import given_environment, kept_secrets, published, web_port
from jyotiflow.local.exceptions import CannotRun
from jyotiflow.local.locks import sole_use
from jyotiflow.local.processes import die_with_parent, parent_catches_interrupts
from jyotiflow.local.servers import local_servers

ADMIN, USER = "admin@jyotiflow.test", "user@jyotiflow.test"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """A signal asked this run to end."""


def main() -> int:
    """Run until stopped; the answer is the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, default=ROOT / ".local", help="where data and logs are kept")
    parser.add_argument("--with-parent", action="store_true", help="end with the starting process (Linux)")
    options = parser.parse_args()
    if options.with_parent:
        die_with_parent()
    for number in STOP_SIGNALS:
        signal.signal(number, _stop_once)
    try:
        _run(options.home.resolve())
    except Stopped:
        _say("Stopped.")
        return 0
    except CannotRun as problem:
        _say(str(problem), to_errors=True)
    except PermissionError as problem:
        _say(f"{problem}. Was an earlier run started by another account?", to_errors=True)
    return 1


def _run(home: Path) -> None:
    os.chdir(ROOT)
    logs = home / "logs"
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    given = given_environment(ROOT / ".env")
    port = web_port(given)
    busy = CannotRun("`make run` is already running in this clone: stop it first.")
    with sole_use(home / "run.lock", otherwise=busy), contextlib.ExitStack() as stack:
        _require_free_port(port)
        for log in logs.glob("*.log"):
            log.unlink()
        with _timed("PostgreSQL and Valkey"):
            servers = stack.enter_context(local_servers(home=home, logs=logs, environment=given))
        made = {
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "PUBLIC_BASE_URL": given.get("PUBLIC_BASE_URL") or f"http://localhost:{port}",
            **kept_secrets(home / "secrets.env", given),
        }
        stack.enter_context(published(home / "run.env", made))
        place = Place(environment=given | made, logs=logs, port=port, servers=servers.children)
        password = given.get("DEMO_PASSWORD") or secrets.token_hex(8)
        _prepare(place, demo_password=password)
        app = stack.enter_context(running_app(place))
        stack.callback(_ignore_signals)
        with _timed("Web, worker and beat"):
            wait_until_ready(place, app)
        _say(_sign(made["PUBLIC_BASE_URL"], logs, password))
        restarts: list[float] = []
        told_by_parent = parent_catches_interrupts()
        while not (told_by_parent and not parent_catches_interrupts()):
            require_running(place.servers)
            for name in start_again(place, app, since=restarts):
                _say(f"{name} ended and was started again; see {logs}/{name}.log")
            time.sleep(0.2)
        _say("Stopping …")
        raise Stopped


def _prepare(place: Place, *, demo_password: str) -> None:
    """All there is to do before the first request; each step is safe to repeat."""
    with manage(place, "collectstatic", "--noinput", "--verbosity=0") as static:
        with _timed("Database tables"), manage(place, "migrate", "--noinput") as step:
            finish(place, step)
        with _timed("Starter templates, settings and groups"), manage(place, "load_starters") as step:
            finish(place, step)
        with _timed("Demo accounts and their sessions"):
            with manage(place, "load_demo", DEMO_PASSWORD=demo_password) as step:
                finish(place, step)
            finish(place, static)


def _require_free_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as problem:
            why = "is in use" if problem.errno == errno.EADDRINUSE else f"cannot be used ({problem.strerror})"
            raise CannotRun(f"Port {port} {why}: choose another, as in `PORT=9000 make run`.") from None


def _sign(address: str, logs: Path, password: str) -> str:
    return f"""
JyotiFlow Follow-ups is running; Ctrl-C stops it.
  FollowUpCenter  {address}/followups/
  Admin           {address}/admin/
  API             {address}/api/docs
  Logs            {logs}
Ready: {address} — admin: {ADMIN} / {password} — user: {USER} / {password}"""


def _stop_once(number: int, frame: FrameType | None) -> None:
    _ignore_signals()
    _say("\nStopping …")
    raise Stopped


def _ignore_signals() -> None:
    """Cleaning up must not be cut short by a second Ctrl-C; what hangs is killed within seconds anyway."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def _timed(what: str) -> Iterator[None]:
    _say(f"  {what} …", end="")
    begun = time.monotonic()
    try:
        yield
    except CannotRun:
        _say(" failed")
        raise
    _say(f" {time.monotonic() - begun:.1f} s")


def _say(text: str, *, end: str = "\n", to_errors: bool = False) -> None:
    # The terminal may be gone (a closed window, `| head`); that must not keep the run from ending in order.
    with contextlib.suppress(OSError, ValueError):
        print(text, end=end, file=sys.stderr if to_errors else sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
