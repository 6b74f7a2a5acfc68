"""One process at a time."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from jyotiflow.local.exceptions import CannotRun


@contextlib.contextmanager
def sole_use(lock: Path, *, otherwise: CannotRun) -> Iterator[None]:
    """Hold the file `lock`, or raise `otherwise` if another living process does."""
    with lock.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise otherwise from None
        yield
