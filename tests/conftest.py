"""What every test may ask for."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test import Client
from hypothesis import settings as hypothesis_settings
from rest_framework.test import APIClient

from followups.services.settings import load_default_settings
from jyotiflow.accounts.models import User
from jyotiflow.throttling import SafeThrottle
from tests.factories import UserFactory


def pytest_configure() -> None:
    # The real hasher takes a third of a second on purpose; no test is about that.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Pages name their files as they lie in the tree: no collectstatic before a test run.
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    settings.STATIC_ROOT = None
    # The same examples in every run, however slow the machine: a failure is the code's, never the day's.
    hypothesis_settings.register_profile("suite", deadline=None, derandomize=True)
    hypothesis_settings.load_profile("suite")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """A test that leaves a transaction open fails itself, not whichever comes next."""
    yield
    if connection.in_atomic_block:
        pytest.fail("It left a transaction open.")


@pytest.fixture(autouse=True)
def _default_settings(request: pytest.FixtureRequest) -> None:
    """The settings table as every installation has it."""
    marker = request.node.get_closest_marker("django_db")
    if marker or {"db", "transactional_db"} & set(request.fixturenames):
        request.getfixturevalue("transactional_db" if marker and marker.kwargs.get("transaction") else "db")
        load_default_settings()


@pytest.fixture(autouse=True)
def _fresh_cache() -> Iterator[None]:
    """No test meets another's rate limits."""
    yield
    SafeThrottle._silent_until = 0.0
    cache.clear()


@pytest.fixture
def user(db: None) -> User:
    return UserFactory()


@pytest.fixture
def staff(db: None) -> User:
    """Staff without any permission."""
    return UserFactory(staff=True)


@pytest.fixture
def admin(db: None) -> User:
    """A superuser."""
    return UserFactory(admin=True)


@pytest.fixture
def anonymous() -> APIClient:
    """An API client nobody is signed in with."""
    return APIClient()


@pytest.fixture
def api(user: User) -> APIClient:
    """An API client signed in as ``user``."""
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def admin_site(admin: User) -> Client:
    """A browser signed in to the admin site as ``admin``."""
    client = Client()
    client.force_login(admin)
    return client


@pytest.fixture
def in_parallel() -> Any:
    """Runs calls at once in real threads; answers what each returned or raised."""

    def run(*calls: Any) -> list[Any]:
        def one(call: Any) -> Any:
            try:
                return call()
            except Exception as error:
                return error
            finally:
                connection.close()

        with ThreadPoolExecutor(max_workers=len(calls)) as threads:
            return list(threads.map(one, calls))

    return run
