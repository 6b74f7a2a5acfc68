"""The processes of a fleet: one of them, and what starts them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jyotiflow.local.processes import Child, log_tail
from tests.faults.simulator.client import ROOT


@dataclass
class Member:
    """A process of the product, the leader of its own process group."""

    name: str
    command: Sequence[str]
    log: Path
    pid: int
    clock: float = 0.0  # seconds its clock is ahead
    environment: Mapping[str, str] = field(default_factory=dict)
    child: Child | None = None  # when it was started directly, not forked

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and to all it started; nothing when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """kill -9, at once."""
        self.signal(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it in its tracks, as a stalled machine would."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen one go on as if nothing had happened."""
        self.signal(signal.SIGCONT)


class ForkServer:
    """Our end of `forkserver.py`, which is started at its first use."""

    def __init__(self, *, environment: Mapping[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def load(self) -> None:
        """Start, at the first call."""
        if self._process is None:
            self._process = self._launch()
            self._answer()

    def start(self, name: str, command: Sequence[str], *, log: Path, clock: float) -> int:
        """Have a command started; returns its process."""
        wish = {"name": name, "command": list(command), "log": str(log), "clock": clock}
        return int(self._ask({"start": wish})["pid"])

    def is_running(self, pid: int) -> bool:
        """Whether a process it started is still there."""
        return bool(self._ask({"running": pid})["running"])

    def close(self) -> None:
        """End it, and with it whatever it started."""
        if self._process is not None:
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.load()
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The fork server ended.\n{log_tail(self._log, lines=20)}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _launch(self) -> subprocess.Popen[str]:
        with self._log.open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.faults.forkserver"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=dict(self._environment),
                cwd=ROOT,
                start_new_session=True,
            )
