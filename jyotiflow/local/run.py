"""`python -m jyotiflow.local.run`: everything on this machine with one command, until Ctrl-C.

Servers, tables, starter data, web, worker and beat; if one process dies, all are stopped.
"""

import argparse
import contextlib
import errno
import http.client
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from jyotiflow.local.environment import given_environment, kept_secrets, published, web_port
from jyotiflow.local.exceptions import CannotRun
from jyotiflow.local.locks import sole_use
from jyotiflow.local.processes import Child, die_with_parent, log_tail, start_child, stop_children
from jyotiflow.local.servers import local_servers

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / ".local"
LOGS = LOCAL / "logs"
ADMIN, USER = "admin@jyotiflow.test", "user@jyotiflow.test"
READY_TIMEOUT_SECONDS = 90.0
APP_GRACE_SECONDS = 4.0
LOG_TAIL_LINES = 25
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_MANAGE = (sys.executable, "manage.py")
_CELERY = (sys.executable, "-m", "celery", "-A", "celery_app")
QUEUES = "default,email,sms,whatsapp,push,in_app"


class Stopped(Exception):
    """A signal asked this run to end."""


def main() -> int:
    """Run until stopped; the answer is the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--with-parent", action="store_true", help="end when the starting process does (Linux)"
    )
    if parser.parse_args().with_parent:
        die_with_parent()
    for number in STOP_SIGNALS:
        signal.signal(number, _stop_once)
    try:
        _run()
    except Stopped:
        _say("Stopped.")
        return 0
    except CannotRun as problem:
        _say(str(problem), to_errors=True)
    except PermissionError as problem:
        _say(f"{problem}. Was an earlier run started by another account?", to_errors=True)
    return 1


def _stop_once(number: int, frame: FrameType | None) -> None:
    _ignore_signals()
    _say("\nStopping …")
    raise Stopped


def _ignore_signals() -> None:
    """Cleaning up must not be cut short by a second Ctrl-C; what hangs is killed within seconds anyway."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _run() -> None:
    os.chdir(ROOT)
    LOGS.mkdir(mode=0o700, parents=True, exist_ok=True)
    given = given_environment(ROOT / ".env")
    port = web_port(given)
    busy = CannotRun("`make run` is already running in this clone: stop it first.")
    with sole_use(LOCAL / "run.lock", otherwise=busy), contextlib.ExitStack() as stack:
        _require_free_port(port)
        for log in LOGS.glob("*.log"):
            log.unlink()
        with _timed("PostgreSQL and Valkey"):
            servers = stack.enter_context(local_servers(home=LOCAL, logs=LOGS, environment=given))
        made = {
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "PUBLIC_BASE_URL": given.get("PUBLIC_BASE_URL") or f"http://localhost:{port}",
            **kept_secrets(LOCAL / "secrets.env", given),
        }
        environment = given | made
        stack.enter_context(published(LOCAL / "run.env", made))
        password = given.get("DEMO_PASSWORD") or secrets.token_hex(8)
        _prepare(environment, demo_password=password, servers=servers.children)
        children = [*servers.children, *stack.enter_context(_app(environment, port=port))]
        with _timed("Web, worker and beat"):
            _wait_until_ready(port, children)
        _say(_sign(environment["PUBLIC_BASE_URL"], password))
        while True:
            _require_running(children)
            time.sleep(0.2)


def _prepare(environment: Mapping[str, str], *, demo_password: str, servers: Sequence[Child]) -> None:
    """Tables, pages' files, starter and demo data: all before the first request, each safe to repeat."""
    with _started("static", [*_MANAGE, "collectstatic", "--noinput", "--verbosity=0"], environment) as static:
        with _timed("Database tables"):
            _finish("migrate", [*_MANAGE, "migrate", "--noinput"], environment, servers)
        with _timed("Starter templates, settings and groups"):
            _finish("load_starters", [*_MANAGE, "load_starters"], environment, servers)
        with _timed("Demo accounts and their sessions"):
            demo = {**environment, "DEMO_PASSWORD": demo_password}
            _finish("load_demo", [*_MANAGE, "load_demo"], demo, servers)
        _wait_for(static, servers)


@contextlib.contextmanager
def _app(environment: Mapping[str, str], *, port: int) -> Iterator[list[Child]]:
    """Web, worker and beat; stopped in the order that lets each finish what it holds."""
    web = [sys.executable, "-m", "gunicorn", "jyotiflow.wsgi:application", f"--bind=127.0.0.1:{port}"]
    web += [f"--graceful-timeout={int(APP_GRACE_SECONDS) - 1}"]
    worker = [
        *_CELERY,
        "worker",
        "--pool=threads",
        "--concurrency=8",
        f"--queues={QUEUES}",
        "--loglevel=INFO",
    ]
    worker += ["--hostname=local@%h", "--without-gossip", "--without-mingle"]
    beat = [*_CELERY, "beat", "--scheduler=django_celery_beat.schedulers:DatabaseScheduler", "--pidfile="]
    children: list[Child] = []
    try:
        for name, command in (("beat", beat), ("worker", worker), ("web", web)):
            children.append(_start(name, command, environment))
        yield children
    finally:
        _ignore_signals()
        stop_children(children, grace_seconds=APP_GRACE_SECONDS)


def _start(name: str, command: Sequence[str], environment: Mapping[str, str]) -> Child:
    # gunicorn's own workers end with it when it is asked, not when it is killed.
    orphan = signal.SIGQUIT if name == "web" else signal.SIGKILL
    log = LOGS / f"{name}.log"
    return start_child(name=name, command=command, log=log, env=environment, cwd=ROOT, orphan_signal=orphan)


@contextlib.contextmanager
def _started(name: str, command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Child]:
    child = _start(name, command, environment)
    try:
        yield child
    finally:
        stop_children([child], grace_seconds=0)


def _finish(
    name: str, command: Sequence[str], environment: Mapping[str, str], servers: Sequence[Child]
) -> None:
    """Run one step to its end."""
    with _started(name, command, environment) as step:
        _wait_for(step, servers)


def _wait_for(step: Child, servers: Sequence[Child]) -> None:
    while step.is_running:
        _require_running(servers)
        time.sleep(0.05)
    if step.process.returncode:
        raise CannotRun(f"`{step.name}` failed. {_end_of(step)}")


def _require_running(children: Sequence[Child]) -> None:
    for child in children:
        if not child.is_running:
            raise CannotRun(
                f"{child.name} ended ({child.process.returncode}), so all is stopped. {_end_of(child)}"
            )


def _require_free_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as problem:
            why = "is in use" if problem.errno == errno.EADDRINUSE else f"cannot be used ({problem.strerror})"
            raise CannotRun(f"Port {port} {why}: choose another, as in `PORT={port + 1} make run`.") from None


def _wait_until_ready(port: int, children: Sequence[Child]) -> None:
    """Until /readyz answers 200: web, worker and beat are all up."""
    deadline, answer = time.monotonic() + READY_TIMEOUT_SECONDS, "no answer"
    while time.monotonic() < deadline:
        _require_running(children)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/readyz", headers={"Host": f"localhost:{port}"})
            response = connection.getresponse()
            if response.status == 200:
                return
            answer = f"{response.status} {response.read(500).decode(errors='replace')}"
        time.sleep(0.2)
    ends = "\n".join(
        _end_of(child) for child in children if child.log.name in ("web.log", "worker.log", "beat.log")
    )
    raise CannotRun(f"Not ready after {READY_TIMEOUT_SECONDS:.0f} s; /readyz says: {answer}\n{ends}")


def _end_of(child: Child) -> str:
    return f"The end of {child.log.relative_to(ROOT)}:\n{log_tail(child.log, lines=LOG_TAIL_LINES)}"


def _sign(address: str, password: str) -> str:
    return f"""
JyotiFlow Follow-ups is running; Ctrl-C stops it.
  FollowUpCenter  {address}/followups/
  Admin           {address}/admin/
  API             {address}/api/docs
  Logs            {LOGS.relative_to(ROOT)}/
Ready: {address} — admin: {ADMIN} / {password} — user: {USER} / {password}"""


@contextlib.contextmanager
def _timed(what: str) -> Iterator[None]:
    _say(f"  {what} …", end="")
    begun = time.monotonic()
    try:
        yield
    except BaseException:
        _say("")
        raise
    _say(f" {time.monotonic() - begun:.1f} s")


def _say(text: str, *, end: str = "\n", to_errors: bool = False) -> None:
    # The terminal may be gone (closed window, `| head`); that must not keep the run from ending in order.
    with contextlib.suppress(OSError, ValueError):
        print(text, end=end, file=sys.stderr if to_errors else sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
