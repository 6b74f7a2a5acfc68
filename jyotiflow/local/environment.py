"""The environment of a local run: what is given, what `.env` adds, and what the run makes up for the rest."""

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import environ

from jyotiflow.local.exceptions import CannotRun

SECRETS = ("SECRET_KEY", "JWT_SECRET")
DEFAULT_PORT = 8000


def given_environment(env_file: Path) -> dict[str, str]:
    """The real environment, then `.env` for what it leaves unset: the settings' own parser and switch."""
    if os.environ.get("ENV_FILES", "on") != "off" and env_file.is_file():
        environ.Env.read_env(str(env_file))
    return dict(os.environ)


def web_port(given: Mapping[str, str]) -> int:
    """The port named by PORT, 8000 when none is."""
    text = given.get("PORT") or str(DEFAULT_PORT)
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise CannotRun(f"PORT={text} is not a port: name a number from 1 to 65535.")
    return int(text)


def kept_secrets(store: Path, given: Mapping[str, str]) -> dict[str, str]:
    """The secrets nobody gave: made once and kept in `store`, which only its owner may read."""
    known = dict(line.split("=", 1) for line in _lines(store))
    made = {name: secrets.token_urlsafe(50) for name in SECRETS if not known.get(name)}
    if made:
        _write_private(store, known | made)
    return {name: value for name, value in (known | made).items() if name in SECRETS and not given.get(name)}


@contextlib.contextmanager
def published(env_file: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """While the block runs, `env_file` tells `manage.py` in another terminal how to reach this run."""
    _write_private(env_file, variables)
    try:
        yield
    finally:
        env_file.unlink(missing_ok=True)


def _lines(store: Path) -> list[str]:
    return [line for line in store.read_text().splitlines() if "=" in line] if store.exists() else []


def _write_private(path: Path, variables: Mapping[str, str]) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in variables.items())
    fresh.rename(path)
