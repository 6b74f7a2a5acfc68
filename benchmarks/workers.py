"""Celery workers as contenders: started once, frozen while others run."""

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from celery import Celery

from benchmarks.parts import Invalid
from benchmarks.stage import ROOT
from jyotiflow.local.processes import Child, log_tail, start_child, stop_children

READY_SECONDS = 90.0


class Workers:
    """A number of worker processes of one Celery app."""

    def __init__(
        self,
        app: Celery,
        *,
        name: str,
        module: str,
        processes: int,
        threads: int,
        queues: str,
        environment: Mapping[str, str],
        logs: Path,
        loglevel: str = "INFO",
        runner: str = "celery",
    ) -> None:
        """``runner`` is the Python module that is run with celery's arguments."""
        self._app = app
        command = [sys.executable, "-m", runner, "-A", module, "worker", "--pool=threads"]
        command += [f"--concurrency={threads}", f"--queues={queues}", f"--loglevel={loglevel}"]
        command += ["--without-gossip", "--without-mingle"]
        self._children: list[Child] = []
        for number in range(processes):
            self._children.append(
                start_child(
                    name=f"{name}-{number}",
                    command=[*command, f"--hostname={name}-{number}@%h"],
                    log=logs / f"{name}-{number}.log",
                    env=environment,
                    cwd=ROOT,
                )
            )

    @property
    def pids(self) -> list[int]:
        """Of the workers themselves."""
        return [child.process.pid for child in self._children]

    def wait_until_ready(self) -> None:
        """Until each answers. Raises ``Invalid``."""
        deadline = time.monotonic() + READY_SECONDS
        while len(self._app.control.ping(timeout=0.5) or ()) < len(self._children):
            self.require_running()
            if time.monotonic() > deadline:
                raise Invalid(f"The workers did not start.\n{self.tail()}")

    def require_running(self) -> None:
        """Raises ``Invalid`` when one has ended."""
        if not all(child.is_running for child in self._children):
            raise Invalid(f"A worker ended.\n{self.tail()}")

    def tail(self) -> str:
        """The end of their logs."""
        return "\n".join(log_tail(child.log, lines=15) for child in self._children)

    def freeze(self) -> None:
        """No processor time until ``thaw``: others are measured meanwhile."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        self._signal(signal.SIGCONT)

    def close(self, *, grace_seconds: float = 0.0) -> None:
        """End them."""
        self.thaw()
        stop_children(self._children, grace_seconds=grace_seconds)

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.is_running:
                os.killpg(child.process.pid, number)
