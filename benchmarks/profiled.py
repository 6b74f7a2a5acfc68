"""`python -m benchmarks.profiled CELERY-ARGUMENTS`: celery, with the processor time of every function noted.

Threads have a profile each, by their own clock: waiting costs nothing in it. When the process ends they are
written together to the directory in ``BENCH_PROFILE``. Small functions are dearer under it than without.
"""

import atexit
import cProfile
import os
import pstats
import runpy
import sys
import threading
import time
from pathlib import Path


class Profile(cProfile.Profile):
    """Of one thread, read by another: the usual way would end its open calls by the reader's clock."""

    def create_stats(self) -> None:
        self.snapshot_stats()


_profiles: list[Profile] = []


def _begin(*_: object) -> None:
    """Called at the first event of a thread: from here on its own profile is called."""
    profile = Profile(time.thread_time)
    _profiles.append(profile)
    profile.enable()


def _write() -> None:
    threading.setprofile(None)
    sys.setprofile(None)
    stats = pstats.Stats(*_profiles)
    stats.dump_stats(Path(os.environ["BENCH_PROFILE"]) / f"{os.getpid()}.pstats")


if __name__ == "__main__":
    if sys.version_info >= (3, 12):
        sys.exit("From Python 3.12 on only one thread can be profiled at a time: use 3.11.")
    atexit.register(_write)
    threading.setprofile(_begin)
    sys.argv[0] = "celery"
    runpy.run_module("celery", run_name="__main__", alter_sys=True)
