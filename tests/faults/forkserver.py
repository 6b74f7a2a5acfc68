"""`python -m tests.faults.forkserver`: starts the product's processes without loading Django each time.

It loads the product once and forks; a child then runs a command (`celery`, `gunicorn`) from its beginning, as
`python -m` would. What is killed is such a process, by a real signal. One JSON request a line on standard
input, one answer a line on standard output.
"""

import contextlib
import datetime as dt
import gc
import json
import os
import runpy
import signal
import sys
import threading
from typing import Any

import celery.bin.celery  # noqa: F401  loaded for the children
import django
import gunicorn.app.wsgiapp  # noqa: F401
import time_machine

from jyotiflow.local.processes import die_with_parent


def main() -> None:
    """Serve until standard input ends, then leave nothing behind."""
    die_with_parent()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jyotiflow.settings")
    django.setup()
    runpy.run_module("followups.tasks")  # and with it the channels and their SDKs
    if threading.active_count() != 1:
        raise RuntimeError("A thread was started while loading: forking is not safe.")
    gc.freeze()
    children: set[int] = set()
    _say({"ready": True})
    for line in sys.stdin:
        match json.loads(line):
            case {"start": request}:
                pid = os.fork()
                if pid == 0:
                    _become(request)
                children.add(pid)
                _say({"pid": pid})
            case {"running": int(pid)}:
                if pid in children and os.waitpid(pid, os.WNOHANG)[0]:
                    children.discard(pid)
                _say({"running": pid in children})
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _become(request: dict[str, Any]) -> None:
    """Turn this child into the command that was asked for; never returns."""
    os.setsid()
    die_with_parent(signal.SIGKILL)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    sys.argv = list(request["command"])
    os.environ["PGAPPNAME"] = request["name"]  # tells its database sessions from the others'
    if request["clock"]:
        wrong = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=request["clock"])
        time_machine.travel(wrong, tick=True).start()
    status = 1
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            os.write(2, f"{end.code}\n".encode())
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
