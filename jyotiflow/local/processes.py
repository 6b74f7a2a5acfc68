"""Child processes that do not outlive this one, on any kind of end. What they run is not known here."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Account:
    """The operating-system account a child runs under."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Child:
    """A running child, the leader of its own process group; `quit_signal` asks it to end in order."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    quit_signal: signal.Signals

    @property
    def is_running(self) -> bool:
        """Whether the child itself (not its own children) is still there."""
        return self.process.poll() is None


def start_child(
    *,
    name: str,
    command: Sequence[str | Path],
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    account: Account | None = None,
    quit_signal: signal.Signals = signal.SIGTERM,
    orphan_signal: signal.Signals = signal.SIGKILL,
) -> Child:
    """Start `command` with its output appended to `log`, in a session of its own so that Ctrl-C reaches only us.

    On Linux the kernel sends it `orphan_signal` should this process die, even by `kill -9`. The kernel watches the
    *thread* that started the child, so call this from the main thread.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,
            preexec_fn=bound_to_parent(orphan_signal),
        )
    return Child(name=name, process=process, log=log, quit_signal=quit_signal)


def bound_to_parent(orphan_signal: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn` that ties the new process to this one; none where the kernel cannot do it.

    subprocess runs it after it changed the account, which matters: changing the account clears the tie.
    """
    if _LIBC is None:
        return None
    libc, parent = _LIBC, os.getpid()

    def bind() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
        if os.getppid() != parent:  # The parent died before the tie was made.
            os._exit(1)

    return bind


def die_with_parent() -> None:
    """Ask the kernel to send this process SIGTERM when the process that started it goes away (Linux only)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def stop_children(children: Sequence[Child], *, grace_seconds: float) -> None:
    """Ask all of them to end, wait together, then kill what is left along with everything they started."""
    for child in children:
        if child.is_running:
            child.process.send_signal(child.quit_signal)
    deadline = time.monotonic() + grace_seconds
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()


def log_tail(log: Path, *, lines: int) -> str:
    """The last lines of a log, for an error message; empty when there is none."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
