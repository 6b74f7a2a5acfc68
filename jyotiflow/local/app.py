"""The product's own processes in a local run: the commands that prepare it, then web, worker and beat."""

import contextlib
import http.client
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jyotiflow.local.exceptions import CannotRun
from jyotiflow.local.processes import Child, log_tail, start_child, stop_children

ROOT = Path(__file__).resolve().parents[2]
# A worker a provider: one that hangs holds up only its own. Beat's ticks share one with what needs none.
QUEUES = {
    "worker": "default,in_app",
    "worker-email": "email",
    "worker-sms": "sms",
    "worker-whatsapp": "whatsapp",
    "worker-push": "push",
}
MAX_RESTARTS = 5  # within the window; more than that is a fault, not an accident
RESTART_WINDOW_SECONDS = 60.0
READY_TIMEOUT_SECONDS = 90.0
APP_GRACE_SECONDS = 4.0

_CELERY = (sys.executable, "-m", "celery", "-A", "celery_app")
_LOG_TAIL_LINES = 25


@dataclass(frozen=True)
class Place:
    """What every process of one run shares."""

    environment: Mapping[str, str]
    logs: Path
    port: int
    servers: Sequence[Child]


@contextlib.contextmanager
def manage(place: Place, *arguments: str, **variables: str) -> Iterator[Child]:
    """A command of `manage.py` with `variables` added to its environment; killed if the block ends first."""
    child = _start(
        replace(place, environment={**place.environment, **variables}),
        name=arguments[0],
        command=[sys.executable, "manage.py", *arguments],
    )
    try:
        yield child
    finally:
        stop_children([child], grace_seconds=0)


def finish(place: Place, command: Child) -> None:
    """Until `command` is done. Raises CannotRun when it failed, or when a server it needs ended."""
    while command.is_running:
        require_running(place.servers)
        time.sleep(0.05)
    if command.process.returncode:
        raise CannotRun(f"`{command.name}` failed. {_end_of(command)}")


def _commands(place: Place) -> dict[str, list[str]]:
    web = [sys.executable, "-m", "gunicorn", "jyotiflow.wsgi:application", f"--bind=127.0.0.1:{place.port}"]
    web += [f"--graceful-timeout={int(APP_GRACE_SECONDS) - 1}"]
    worker = [*_CELERY, "worker", "--pool=threads", "--concurrency=8", "--loglevel=INFO"]
    worker += ["--without-gossip", "--without-mingle"]
    workers = {
        name: [*worker, f"--queues={queues}", f"--hostname={name}@%h"] for name, queues in QUEUES.items()
    }
    beat = [*_CELERY, "beat", "--scheduler=django_celery_beat.schedulers:DatabaseScheduler", "--pidfile="]
    return {"web": web, "beat": beat, **workers}


@contextlib.contextmanager
def running_app(place: Place) -> Iterator[list[Child]]:
    """Web, workers, beat. All are asked to end together and have the same time to finish what they hold."""
    children: list[Child] = []
    try:
        for name, command in _commands(place).items():
            children.append(_start(place, name=name, command=command))
        yield children
    finally:
        stop_children(children, grace_seconds=APP_GRACE_SECONDS)


def start_again(place: Place, app: list[Child], *, since: list[float]) -> list[str]:
    """Start anew what has ended, as a process manager would, and return the names.

    `since` remembers the moments of earlier calls' restarts. Raises CannotRun when something keeps ending.
    """
    names = []
    for number, child in enumerate(app):
        if not child.is_running:
            since.append(time.monotonic())
            if sum(moment > since[-1] - RESTART_WINDOW_SECONDS for moment in since) > MAX_RESTARTS:
                require_running([child])
            app[number] = _start(place, name=child.name, command=_commands(place)[child.name])
            names.append(child.name)
    return names


def require_running(children: Sequence[Child]) -> None:
    """Raises CannotRun, with the end of its log, for a child that is gone."""
    for child in children:
        if not child.is_running:
            code = child.process.returncode
            raise CannotRun(f"{child.name} ended ({code}), so all is stopped. {_end_of(child)}")


def wait_until_ready(place: Place, app: Sequence[Child]) -> None:
    """Until /readyz answers 200: web, worker and beat are all up. Raises CannotRun."""
    deadline, answer = time.monotonic() + READY_TIMEOUT_SECONDS, "no answer"
    while time.monotonic() < deadline:
        require_running([*place.servers, *app])
        connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/readyz", headers={"Host": f"localhost:{place.port}"})
            response = connection.getresponse()
            if response.status == 200:
                return
            answer = f"{response.status} {response.read(500).decode(errors='replace')}"
        time.sleep(0.2)
    ends = "\n".join(_end_of(child) for child in app)
    raise CannotRun(f"Not ready after {READY_TIMEOUT_SECONDS:.0f} s; /readyz says: {answer}\n{ends}")


def _start(place: Place, *, name: str, command: Sequence[str]) -> Child:
    return start_child(
        name=name,
        command=command,
        log=place.logs / f"{name}.log",
        env=place.environment,
        cwd=ROOT,
        # gunicorn's own workers end with it when it is asked, not when it is killed.
        orphan_signal=signal.SIGQUIT if name == "web" else signal.SIGKILL,
    )


def _end_of(child: Child) -> str:
    return f"The end of {child.log}:\n{log_tail(child.log, lines=_LOG_TAIL_LINES)}"
