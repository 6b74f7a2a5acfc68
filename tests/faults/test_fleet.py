"""The fleet: what it starts is real, can be killed, and is gone with it."""

import os
import time
from pathlib import Path

import psycopg
import pytest
import redis

from tests.faults.fleet import Fleet, running_fleet


def is_there(pid: int) -> bool:
    """Whether it runs; one that ended and waits for init to notice doesn't."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def wait_until_ended(fleet: Fleet, name: str) -> None:
    deadline = time.monotonic() + 60
    while fleet.is_running(name):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_fleet_outlives_kills_and_restarts_and_leaves_nothing_behind() -> None:
    with running_fleet(seed=1) as fleet:
        fleet.start_web()
        fleet.start_worker("w1")
        fleet.start_worker("w2", clock=600)
        fleet.start_beat("b1")
        fleet.wait_until_ready()
        first = fleet.members["w1"].pid
        fleet.members["w1"].kill()
        wait_until_ended(fleet, "w1")
        fleet.restart("w1")
        assert fleet.members["w1"].pid != first

        with psycopg.connect(fleet.postgres.url) as before:
            assert before.execute("SHOW fsync").fetchone() == ("on",)
            fleet.restart_postgres()
            with pytest.raises(psycopg.OperationalError):
                before.execute("SELECT 1")
        with redis.Redis.from_url(fleet.valkey.url) as client:
            client.set("a", 1)
            fleet.flush_valkey()
            assert client.get("a") is None
        fleet.restart_valkey()
        fleet.restart("web")
        fleet.wait_until_ready()
        pids = [member.pid for member in fleet.members.values()]
        assert all(is_there(pid) for pid in pids)
    deadline = time.monotonic() + 20  # a killed process is gone once the kernel has seen to it
    while any(is_there(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(is_there(pid) for pid in pids)
    assert not fleet.home.exists()
