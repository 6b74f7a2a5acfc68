"""The whole local run, as a newcomer sees it: started, used over HTTP, stopped."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection

from jyotiflow.local import app
from jyotiflow.local.app import QUEUES, ROOT, require_running
from jyotiflow.local.exceptions import CannotRun
from jyotiflow.local.processes import start_child

LAST_LINE = re.compile(
    r"^Ready: (?P<address>http://localhost:\d+)"
    r" — admin: (?P<admin>\S+) / (?P<password>\S+) — user: (?P<user>\S+) / (?P=password)$"
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for left processes in /proc")


class Started:
    """A command, and every process that comes of it: they carry its mark or its web port."""

    def __init__(self, command: list[str], *, port: int, mark: Path, environment: dict[str, str]) -> None:
        self.port = port
        self.marks = (str(mark).encode(), b"PORT=%d\0" % port)
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environment, "PORT": str(port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def line_with(self, text: str) -> str:
        """Read the run's output up to a line that contains `text`."""
        seen = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            seen.append(line)
            if text in line:
                return line.rstrip("\n")
        raise AssertionError("".join(seen))

    def processes(self) -> set[int]:
        """Every process that has this run's mark or port in its environment, command line or directory."""
        found = set()
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                where = os.readlink(place / "cwd").encode()
                text = (place / "cmdline").read_bytes() + (place / "environ").read_bytes() + where
                if any(mark in text for mark in self.marks):
                    found.add(int(place.name))
        return found - {os.getpid()}

    def wait_until_gone(self, *, seconds: float) -> set[int]:
        deadline = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def call(self, method: str, path: str, *, token: str = "", body: Any = None) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        with contextlib.closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, body=json.dumps(body) if body else None, headers=headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.wait_until_gone(seconds=10)


def start_local_run(home: Path, *, port: int | None = None, **variables: str) -> Started:
    """`python -m jyotiflow.local.run` in an environment that gives it nothing but `variables`."""
    given = ("DATABASE_URL", "REDIS_URL", "PUBLIC_BASE_URL", "ALLOWED_HOSTS", "SECRET_KEY", "JWT_SECRET")
    environment = {name: value for name, value in os.environ.items() if name not in given} | variables
    command = [sys.executable, "-m", "jyotiflow.local.run", "--home", str(home)]
    return Started(command, port=port or free_port(), mark=home, environment=environment)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def home() -> Iterator[Path]:
    """Not pytest's own directory: that one is closed to the account the servers run under."""
    place = Path(tempfile.mkdtemp(prefix="jyotiflow-run-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


def test_a_run_sends_the_demo_follow_ups_and_ctrl_c_leaves_nothing(home: Path) -> None:
    run = start_local_run(home)
    try:
        found = LAST_LINE.match(run.line_with("Ready"))
        assert found, "the last line names the address and both sign-ins"
        assert found["address"] == f"http://localhost:{run.port}"
        status, health = run.call("GET", "/readyz")
        assert (status, health["status"]) == (200, "healthy")
        for role in ("admin", "user"):
            status, signed_in = run.call(
                "POST", "/api/auth/login", body={"email": found[role], "password": found["password"]}
            )
            assert (status, signed_in.get("user", {}).get("role")) == (200, role)
        token = signed_in["access_token"]
        deadline = time.monotonic() + 20
        while True:
            status, mine = run.call("GET", "/api/followup/my-followups?limit=200", token=token)
            assert status == 200
            read = [item for item in mine["data"] if item["status"] == "read"]
            if read or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        assert read, "a demo follow-up is read within 20 seconds of the last line"
        assert read[0]["sent_at"] <= read[0]["delivered_at"] <= read[0]["read_at"]
        charged = -read[0]["credits_charged"]
        _, statement = run.call("GET", "/api/user/credits/history", token=token)
        assert charged < 0
        assert charged in [entry["amount"] for entry in statement["data"]]

        run.process.send_signal(signal.SIGINT)
        run.process.send_signal(signal.SIGINT)  # an impatient second Ctrl-C must not cut the cleaning short
        rest, _ = run.process.communicate(timeout=15)
        assert rest.endswith("Stopped.\n")
        assert run.process.returncode == 0
        assert run.processes() == set()
        assert not (home / "run.env").exists()
    finally:
        run.end()


@pytest.mark.django_db(transaction=True)  # tables for beat, emptied afterwards of what it writes
def test_web_worker_and_beat_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys, time\n"
        "from jyotiflow.local.app import Place, require_running, running_app\n"
        "logs = pathlib.Path(sys.argv[1])\n"
        "place = Place(environment=os.environ, logs=logs, port=int(os.environ['PORT']), servers=[])\n"
        "with running_app(place) as app:\n"
        "    while True:\n"
        "        require_running(app)\n"
        "        time.sleep(0.1)\n"
    )
    redis_url = os.environ["REDIS_URL"].rsplit("/", 1)[0] + "/63"  # away from what this process's tests queue
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    environment = {**os.environ, "REDIS_URL": redis_url, "DATABASE_URL": database.geturl()}
    command = [sys.executable, "-c", script, str(tmp_path)]
    run = Started(command, port=free_port(), mark=tmp_path, environment=environment)
    try:
        deadline = time.monotonic() + 120
        web, workers = "", [""]
        while web.count("Booting worker") < 2 or not all("ready." in worker for worker in workers):
            assert run.process.poll() is None, run.process.communicate()[0]
            assert time.monotonic() < deadline, [web, *workers]
            time.sleep(0.05)
            web, workers = read(tmp_path / "web.log"), [read(tmp_path / f"{name}.log") for name in QUEUES]
        assert len(run.processes()) == 5 + len(QUEUES), "the parent, gunicorn with two workers, beat, workers"
        run.process.kill()
        assert run.wait_until_gone(seconds=15) == set()
    finally:
        run.end()


def test_a_step_that_fails_stops_all_and_shows_why(home: Path) -> None:
    run = start_local_run(home, SMTP_PORT="twenty-five")
    try:
        rest, _ = run.process.communicate(timeout=60)
        assert run.process.returncode == 1
        assert f"`migrate` failed. The end of {home}/logs/migrate.log:\n" in rest
        assert "twenty-five" in rest
        assert run.processes() == set()
    finally:
        run.end()


def test_a_process_that_dies_ends_the_run_with_the_end_of_its_log(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "echo the reason; exit 3"]
    child = start_child(name="worker", command=command, log=tmp_path / "worker.log", env={}, cwd=tmp_path)
    child.process.wait()
    with pytest.raises(CannotRun, match=r"(?s)^worker ended \(3\), so all is stopped\..*the reason$"):
        require_running([child])


def test_a_busy_port_is_said_before_anything_is_started(home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        run = start_local_run(home, port=port)
        try:
            rest, _ = run.process.communicate(timeout=20)
            assert rest == f"Port {port} is in use: choose another, as in `PORT=9000 make run`.\n"
            assert run.process.returncode == 1
            assert not (home / "postgres").exists()
        finally:
            run.end()


def read(log: Path) -> str:
    return log.read_text() if log.exists() else ""


def test_a_killed_process_is_started_again_and_one_that_keeps_ending_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        app, "_commands", lambda place: {"worker": ["/bin/sh", "-c", "echo the reason; exit 3"]}
    )
    place = app.Place(environment={}, logs=tmp_path, port=1, servers=[])
    running = [
        start_child(name="worker", command=["/bin/true"], log=tmp_path / "worker.log", env={}, cwd=tmp_path)
    ]
    since: list[float] = []
    for _ in range(app.MAX_RESTARTS):
        running[0].process.wait()
        assert app.start_again(place, running, since=since) == ["worker"]
    running[0].process.wait()
    with pytest.raises(CannotRun, match="the reason"):
        app.start_again(place, running, since=since)


@pytest.mark.parametrize(("handler", "answer"), [("default_int_handler", "True"), ("SIG_DFL", "False")])
def test_an_interrupt_sent_to_make_alone_is_noticed(handler: str, answer: str) -> None:
    child = "from jyotiflow.local.processes import parent_catches_interrupts as p; print(p())"
    parent = (
        f"import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.{handler}); "
        f"subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    )
    asked = subprocess.run(
        [sys.executable, "-c", parent], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert asked.stdout.strip() == answer
