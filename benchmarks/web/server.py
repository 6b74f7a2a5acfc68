"""gunicorn with the product's own settings, on a free port."""

import contextlib
import http.client
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.parts import Invalid
from benchmarks.stage import ROOT, Stage
from jyotiflow.local.processes import log_tail, start_child, stop_children

READY_SECONDS = 60.0
CLIENTS = 16
# The limits are for people; here one user calls as often as the machine lets it.
_WITHOUT_LIMITS = {"USER_RATE": "100000000/min", "MACHINE_RATE": "100000000/min"}


@dataclass(frozen=True)
class Web:
    """Where it answers."""

    port: int
    pid: int


@contextlib.contextmanager
def running_web(stage: Stage) -> Iterator[Web]:
    """As many processes and threads as `gunicorn.conf.py` says."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    child = start_child(
        name="web",
        command=[sys.executable, "-m", "gunicorn", "jyotiflow.wsgi:application", f"--bind=127.0.0.1:{port}"],
        log=stage.logs / "web.log",
        env={**stage.environment, **_WITHOUT_LIMITS, "DJANGO_SETTINGS_MODULE": "benchmarks.web.settings"},
        cwd=ROOT,
    )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not _answers(port):
            if not child.is_running or time.monotonic() > deadline:
                raise Invalid(f"The web process did not start.\n{log_tail(child.log, lines=20)}")
            time.sleep(0.1)
        yield Web(port, child.process.pid)
    finally:
        stop_children([child], grace_seconds=0)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/livez", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    return False
