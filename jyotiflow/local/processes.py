"""Child processes that do not outlive this one, on any kind of end. What they run is not known here."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jyotiflow.local.exceptions import ServerFailed

START_TIMEOUT_SECONDS = 60.0
STOP_GRACE_SECONDS = 3.0
PORT_ATTEMPTS = 5

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
    env: Mapping[str, str],
    cwd: Path,
    account: Account | None = None,
    quit_signal: signal.Signals = signal.SIGTERM,
    orphan_signal: signal.Signals = signal.SIGKILL,
) -> Child:
    """Start `command`, its output appended to `log`, in a session of its own so that Ctrl-C reaches only us.

    On Linux the kernel sends it `orphan_signal` should this process die, even by `kill -9`. The kernel
    watches the *thread* that started the child, so call this from the main thread.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,
            preexec_fn=_bound_to_this_process(orphan_signal),
        )
    return Child(name=name, process=process, log=log, quit_signal=quit_signal)


def stop_children(children: Sequence[Child], *, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
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


def start_on_free_port(
    start: Callable[[int], Child], *, is_ready: Callable[[Child, int], bool]
) -> tuple[Child, int]:
    """Start a server and wait until it is ready. Should another program take the port first, try the next."""
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
            stop_children([child])
            raise
        has_ended = not child.is_running
        stop_children([child])
        tail = log_tail(child.log, lines=15)
        if not (has_ended and "address already in use" in tail.lower()):
            break
    raise ServerFailed(f"{child.name} did not start. The end of {child.log}:\n{tail}")


def log_tail(log: Path, *, lines: int) -> str:
    """The last lines of a log, for an error message; empty when there is none."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def die_with_parent(by: signal.Signals = signal.SIGTERM) -> None:
    """Have this process sent a signal when the process that started it goes away (Linux only)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(by), 0, 0, 0)


def parent_catches_interrupts() -> bool:
    """Whether the starting process would handle a SIGINT (Linux only).

    `make` resets its handler when it's interrupted and then waits for its children without telling them: an
    interrupt sent to `make` alone, not to the terminal's whole group, shows here only.
    """
    try:
        status = Path(f"/proc/{os.getppid()}/status").read_text()
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (signal.SIGINT - 1) & 1)


def _bound_to_this_process(orphan_signal: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn` that ties the child to us; none where the kernel cannot do it.

    subprocess runs it after changing the account, which matters: that change clears the tie.
    """
    if _LIBC is None:
        return None
    libc, parent = _LIBC, os.getpid()

    def bind() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
        if os.getppid() != parent:  # We died before the tie was made.
            os._exit(1)

    return bind


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
