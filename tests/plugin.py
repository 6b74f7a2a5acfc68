"""Runs before Django's settings load: the tests' own environment, and real servers for the whole test run."""

import contextlib
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from jyotiflow.local.servers import throwaway_servers

_TEST_ENVIRONMENT = {
    "ENV_FILES": "off",  # a developer's .env must not change what a test sees
    "DEBUG": "false",
    "TESTING": "true",
    "SECRET_KEY": "test-secret-key-that-is-long-enough-for-every-check",
    "JWT_SECRET": "test-jwt-secret-that-is-long-enough-for-hs256",
    "PUBLIC_BASE_URL": "http://testserver",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
}
# Configuration a developer may have in the shell; a test that wants a provider names it itself.
_PROVIDER_PREFIXES = ("SMTP_", "TWILIO_", "FIREBASE_", "SENTRY_", "ANYMAIL_", "EMAIL_")

_servers = contextlib.ExitStack()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Iterator[None]:
    """Wraps the hook in which pytest-django reads the settings, so it comes before them."""
    for name in [name for name in os.environ if name.startswith(_PROVIDER_PREFIXES)]:
        del os.environ[name]
    os.environ.update(_TEST_ENVIRONMENT)
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        # The servers are the controller's, inherited; pytest-django gives each process its own database.
        os.environ["REDIS_URL"] = redis_url_of(worker, os.environ["REDIS_URL"])
    else:
        servers = _servers.enter_context(throwaway_servers())
        os.environ["DATABASE_URL"] = servers.database_url
        os.environ["REDIS_URL"] = servers.redis_url
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Stop what this process started."""
    _servers.close()


def redis_url_of(worker: str, url: str) -> str:
    """The Redis database of one test process: gw0 takes the one after the given one, and so on."""
    parts = urlsplit(url)
    given = int(parts.path.lstrip("/") or 0)
    return parts._replace(path=f"/{given + 1 + int(worker.removeprefix('gw'))}").geturl()
