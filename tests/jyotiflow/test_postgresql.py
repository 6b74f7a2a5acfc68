"""Pooled connections: trusted while they were just used, asked when in doubt, never handed out broken."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings as in_force
from django.db import OperationalError, connections
from django.db.utils import load_backend
from django.test.utils import CaptureQueriesContext
from psycopg_pool import PoolTimeout
from pytest_django import Settings

from tests.faults.proxy import STEP_SECONDS, Mode, Proxy, running_proxy

ALIAS = "by way of the proxy"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    port = urlsplit(os.environ["DATABASE_URL"]).port
    assert port
    with running_proxy(to=port) as running:
        yield running


@pytest.fixture
def database(proxy: Proxy) -> Iterator[Any]:
    """A wrapper with a pool of its own, by way of the proxy."""
    options = {**in_force.DATABASES["default"]["OPTIONS"], "connect_timeout": 2}
    options["prepare_threshold"] = 2
    options["pool"] = {"min_size": 0, "max_size": 4, "timeout": 3}
    place = {"HOST": "127.0.0.1", "PORT": str(proxy.port), "OPTIONS": options}
    wrapper = load_backend(in_force.DATABASES["default"]["ENGINE"]).DatabaseWrapper(
        {**connections["default"].settings_dict, **place}, alias=ALIAS
    )
    connections[ALIAS] = wrapper  # where whoever hears of a new connection looks for it
    yield wrapper
    wrapper.close()
    wrapper.close_pool()
    del connections[ALIAS]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The connections that were asked whether they live."""
    found: list[Any] = []
    ask = psycopg.Connection.execute

    def execute(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if query == "":
            found.append(self)
        return ask(self, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    return found


def backend_of(database: Any) -> int:
    """Use the connection, and give it back; its server process."""
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        ((pid,),) = cursor.fetchall()
    database.close()
    return int(pid)


def end(pid: int) -> None:
    """As an administrator, or a server that shuts down, ends a session; until it is gone."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def test_a_connection_used_a_moment_ago_is_not_asked(database: Any, asked: list[Any]) -> None:
    first = backend_of(database)
    asked.clear()
    assert [backend_of(database) for _ in range(5)] == [first] * 5
    assert asked == []


def test_a_connection_that_lay_idle_for_longer_is_asked(
    database: Any, asked: list[Any], settings: Settings
) -> None:
    settings.DATABASE_TRUST_SECONDS = 0.05
    first = backend_of(database)
    time.sleep(0.1)
    asked.clear()
    assert [backend_of(database), backend_of(database)] == [first] * 2
    assert len(asked) == 1


def test_each_is_asked_when_trust_is_switched_off(
    database: Any, asked: list[Any], settings: Settings
) -> None:
    settings.DATABASE_TRUST_SECONDS = 0
    first = backend_of(database)
    asked.clear()
    assert [backend_of(database), backend_of(database)] == [first] * 2
    assert len(asked) == 2


def test_a_session_that_was_ended_is_not_handed_out(database: Any) -> None:
    first = backend_of(database)
    end(first)
    assert backend_of(database) != first


def test_none_of_many_ended_sessions_is_handed_out(database: Any) -> None:
    held = [database.pool.getconn() for _ in range(4)] if database.pool.open() is None else []
    pids = {each.info.backend_pid for each in held}
    for each in held:
        database._given_back[each] = float("inf")  # all were used just now
        database.pool.putconn(each)
    for pid in pids:
        end(pid)
    assert pids.isdisjoint({backend_of(database) for _ in range(8)})


def test_a_connection_cut_by_the_network_is_not_handed_out(database: Any, proxy: Proxy) -> None:
    first = backend_of(database)
    proxy.mode = Mode.DROP
    time.sleep(4 * STEP_SECONDS)
    with pytest.raises((OperationalError, PoolTimeout)):
        backend_of(database)
    proxy.mode = Mode.PASS
    deadline, second = time.monotonic() + 60, first
    while second == first:
        with contextlib.suppress(OperationalError, PoolTimeout):  # until the pool has tried anew
            second = backend_of(database)
        assert time.monotonic() < deadline


def test_one_cut_while_it_is_used_fails_once(database: Any) -> None:
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        ((first,),) = cursor.fetchall()
    with socket.socket(fileno=os.dup(database.connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)
    with pytest.raises(OperationalError), database.cursor() as cursor:
        cursor.execute("SELECT 1")
    database.close()
    assert backend_of(database) != first


def test_what_the_server_said_unasked_is_no_reason_to_drop_it(database: Any, asked: list[Any]) -> None:
    with database.cursor() as cursor:
        cursor.execute("LISTEN tests")
        cursor.execute("SELECT pg_backend_pid()")
        ((first,),) = cursor.fetchall()
    database.close()
    with connections["default"].cursor() as cursor:
        cursor.execute("NOTIFY tests")
    time.sleep(0.2)  # on its way
    asked.clear()
    assert backend_of(database) == first
    assert len(asked) == 1


def prepared_of(database: Any, cursor: Any) -> list[str]:
    """Execute a statement three times by a cursor; what the server has prepared afterwards."""
    for number in range(3):
        cursor.execute("SELECT %s::int + 1", [number])
        assert cursor.fetchall() == [(number + 1,)]
    cursor.close()
    with database.cursor() as other:
        other.execute("SELECT statement FROM pg_prepared_statements")
        return [statement for (statement,) in other.fetchall()]


def test_a_prepared_cursors_statement_is_planned_once_a_connection(database: Any) -> None:
    assert prepared_of(database, database.prepared_cursor()) == ["SELECT $1::int + 1"]
    database.close()  # to the pool, which gives it out again
    assert prepared_of(database, database.prepared_cursor()) == ["SELECT $1::int + 1"]


def test_other_cursors_prepare_nothing(database: Any) -> None:
    database.prepared_cursor().close()
    assert prepared_of(database, database.cursor()) == []


def test_nothing_is_prepared_when_that_is_switched_off(database: Any) -> None:
    database.settings_dict["OPTIONS"]["prepare_threshold"] = None
    assert prepared_of(database, database.prepared_cursor()) == []


def test_no_trigger_is_ignored_and_that_is_said_beforehand(database: Any) -> None:
    with database.cursor() as cursor:
        cursor.execute("SHOW pgtrigger.ignore")
        assert cursor.fetchone() == ("{}",)


def test_a_prepared_statement_is_told_of_by_its_text(database: Any) -> None:
    with CaptureQueriesContext(database) as captured:
        for _ in range(4):
            with database.prepared_cursor() as cursor:
                cursor.execute("SELECT %s::int", [1])
    assert [query["sql"] for query in captured][-1] == "SELECT %s::int"
