"""Real workers on the hint transport: remote control, an orderly end, a broker that goes and comes back."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import redis
from celery import Celery
from django.conf import settings

from tests.faults.proxy import Mode, Proxy, running_proxy

ROOT = Path(__file__).parents[2]
PREFETCH = 2 * settings.CELERY_WORKER_PREFETCH_MULTIPLIER  # of a worker with two threads


class Worker:
    """A worker of two threads behind a proxy, under a key prefix of its own."""

    def __init__(self, prefix: str, proxy: Proxy, log: Path) -> None:
        place = urlsplit(settings.REDIS_URL)
        self.proxy, self.log = proxy, log
        self.noted_in, self.queue = f"{prefix}noted", f"{prefix}default"
        self.valkey = redis.Redis.from_url(settings.REDIS_URL, decode_responses=True)
        self.app = Celery(broker=settings.REDIS_URL, set_as_current=False)
        self.app.conf.broker_transport_options = {"global_keyprefix": prefix}
        command = [sys.executable, "-m", "celery", "-A", "tests.jyotiflow.noting_worker", "worker"]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "-P", "threads", "-c", "2", "-Q", "default", "--without-mingle"],
                cwd=ROOT,
                env={
                    **os.environ,
                    "REDIS_URL": place._replace(netloc=f"127.0.0.1:{proxy.port}").geturl(),
                    "CELERY_KEY_PREFIX": prefix,
                },
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_until(lambda: bool(self.app.control.ping(timeout=0.5)), log)

    def send(self, name: str, seconds: float = 0.0, **options: Any) -> str:
        arguments = (name, self.noted_in, seconds)
        return str(self.app.send_task("tests.note", arguments, queue="default", **options).id)

    @property
    def noted(self) -> list[str]:
        return [str(name) for name in self.valkey.lrange(self.noted_in, 0, -1)]

    def wait_for(self, *names: str, seconds: float = 30) -> None:
        wait_until(lambda: set(names) <= set(self.noted), self.log, seconds=seconds)


def wait_until(condition: Callable[[], bool], log: Path, *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    prefix, port = f"{uuid4().hex}:", urlsplit(settings.REDIS_URL).port
    assert port
    with running_proxy(to=port) as proxy:
        running = Worker(prefix, proxy, tmp_path / "worker.log")
        try:
            yield running
        finally:
            if running.process.poll() is None:
                os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()
            running.app.close()
            for key in running.valkey.scan_iter(f"{prefix}*"):
                running.valkey.delete(key)
            running.valkey.close()


def test_remote_control_expiry_and_revoking_hold(worker: Worker) -> None:
    answers = worker.app.control.inspect(timeout=5).ping() or {}
    assert list(answers.values()) == [{"ok": "pong"}]
    revoked = str(uuid4())
    worker.app.control.revoke(revoked, reply=True)
    worker.send("revoked", task_id=revoked)
    worker.send("expired", expires=-1)
    worker.send("good", expires=60)
    worker.wait_for("good")
    worker.send("last")
    worker.wait_for("last")
    assert worker.noted == ["good", "last"]


def test_an_orderly_end_finishes_what_began_and_gives_back_the_rest(worker: Worker) -> None:
    names = [f"{number:02}" for number in range(20)]
    for name in names:
        worker.send(name, 1.0)
    worker.wait_for("00", "01")
    wait_until(lambda: worker.valkey.llen(worker.queue) <= len(names) - PREFETCH, worker.log)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(timeout=30) == 0
    began = len(worker.noted)
    assert began < PREFETCH
    assert worker.valkey.llen(worker.queue) == len(names) - began


def test_it_goes_on_after_its_connections_were_cut(worker: Worker) -> None:
    worker.send("before")
    worker.wait_for("before")
    worker.proxy.mode = Mode.DROP
    time.sleep(1)
    worker.send("during")
    worker.proxy.mode = Mode.PASS
    worker.wait_for("during", seconds=20)


def test_it_leaves_a_broker_that_swallows_everything(worker: Worker) -> None:
    worker.send("before")
    worker.wait_for("before")
    worker.proxy.mode = Mode.BLACK_HOLE
    connections = worker.proxy.connections
    wait_until(lambda: worker.proxy.connections > connections, worker.log, seconds=40)  # it tries anew
    worker.send("during")
    worker.proxy.mode = Mode.PASS
    worker.wait_for("during", seconds=20)
    assert Counter(worker.noted)["before"] == 1
