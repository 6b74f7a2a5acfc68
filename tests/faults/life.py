"""The life of one lane: its processes start, one breaks at its place, the others recover. Beat is played."""

import contextlib
import threading
import time
from collections.abc import Mapping
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final

import psycopg
import requests
from celery import Celery
from django.conf import settings

from jyotiflow.local.app import QUEUES
from tests.faults.fleet import Fleet
from tests.faults.lane import Lane
from tests.faults.members import Member
from tests.faults.people import Order

PATIENCE_SECONDS: Final = 180.0
STEP_SECONDS: Final = 0.5
PAST_LEASE_SECONDS: Final = 2.0  # how much longer than the lease one is frozen
AFTER_THAW_SECONDS: Final = 3.0  # for the one that was frozen to do its worst
TASKS: Final = ("dispatch_due", "rescue_expired", "reconcile", "apply_waiting_receipts")

_HURRY: Final = """
    UPDATE follow_up_schedules SET due_at = now()
     WHERE status = 'pending' AND due_at > scheduled_at AND due_at > now()
"""
_UNFINISHED: Final = """
    SELECT (SELECT count(*) FROM follow_up_schedules WHERE status IN ('pending', 'sending', 'in_doubt'))
         + (SELECT count(*) FROM follow_up_events WHERE applied_at IS NULL)
"""
_COME: Final = """
    UPDATE follow_up_schedules SET due_at = now(), scheduled_at = now()
     WHERE id = %s AND status = 'pending' AND scheduled_at > now()
"""
_EXPIRE: Final = """
    UPDATE follow_up_schedules
       SET status = 'sending', claim_token = gen_random_uuid(), lease_until = now() - interval '1 second'
     WHERE channel = 'sms' AND status = 'pending'
"""
_UNREPORTED: Final = """
    SELECT count(*) FROM follow_up_schedules WHERE channel = 'sms' AND status = 'sent'
"""


class Wish(Enum):
    """What is asked of a lane's web process."""

    BOOKING = auto()
    CANCEL = auto()
    REPORTS = auto()  # the simulator's callbacks come to it


class Life:
    """One fail point and one action, from the start of the lane's processes to their end."""

    def __init__(
        self,
        fleet: Fleet,
        lane: Lane,
        *,
        point: str,
        action: str,
        wish: Wish | None,
        port: int | None,
        extra: Order,
        token: str,
        told: dict[str, str],
        asked: set[str],
        turn: threading.Lock,
    ) -> None:
        self.lane = lane
        self.point = point
        self.action = action
        self.told = told
        self.asked = asked
        self.problems: list[str] = []
        self.seconds = 0.0
        self._fleet = fleet
        self._wish = wish
        self._port = port
        self._extra = extra
        self._token = token
        self._turn = turn  # the fork server takes one request at a time
        self._broker = Celery(broker=lane.redis_url, set_as_current=False)
        self._broker.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
        self._names: list[str] = []
        self._frozen_at: float | None = None
        self._thawed_at: float | None = None
        self._asking: threading.Thread | None = None

    def play(self) -> None:
        """Until all has come to rest; what didn't is a problem."""
        began = time.monotonic()
        url = self._fleet.postgres.url
        try:
            with psycopg.connect(url, dbname=self.lane.database, autocommit=True) as database:
                self._start(database)
                while not self._is_over(database):
                    if time.monotonic() - began > PATIENCE_SECONDS:
                        self.problems.append(
                            f"not at rest after {PATIENCE_SECONDS:.0f} s{self._why(database)}"
                        )
                        break
                    self._play_beat()
                    database.execute(_HURRY)
                    if self._wish == Wish.BOOKING and self._extra.mark in self.told:
                        database.execute(_COME, [self.told[self._extra.mark]])
                    self._tend()
                    time.sleep(STEP_SECONDS)
        finally:
            with self._turn:
                for name in self._names:
                    self._fleet.end(name)
            self.seconds = time.monotonic() - began

    def _start(self, database: psycopg.Connection[Any]) -> None:
        if self.point == "in_rescue":  # as if a worker had died before the gate
            database.execute(_EXPIRE)
        if self._wish is None:
            self._start_worker("first", self.lane)
            return
        self._start_web()
        self._start_worker("second", self._sound_lane())
        if self._wish != Wish.REPORTS:
            self._asking = threading.Thread(target=self._ask, daemon=True)
            self._asking.start()

    def _sound_lane(self) -> Lane:
        return Lane(self.lane.database, self.lane.redis_url, self.lane.public_url)

    def _start_worker(self, name: str, lane: Lane) -> None:
        command = ["celery", "-A", "celery_app", "worker", "--pool=threads", "--concurrency=2"]
        command += [
            f"--queues={','.join(QUEUES.values())}",
            "--loglevel=INFO",
            f"--hostname={name}-{lane.database}@%h",
        ]
        self._run(name, lane.command(*command, "--without-gossip", "--without-mingle", "--without-heartbeat"))

    def _start_web(self) -> None:
        command = ["gunicorn", "jyotiflow.wsgi:application", f"--bind=127.0.0.1:{self._port}"]
        self._run("web", self.lane.command(*command, "--workers=1", "--threads=4"))

    def _run(self, name: str, command: list[str]) -> None:
        full = f"{self.lane.database}-{name}"
        with self._turn:
            self._fleet.start(full, command)
        self._names.append(full)

    def _play_beat(self) -> None:
        with contextlib.suppress(OSError):
            for task in TASKS:
                self._broker.send_task(f"followups.tasks.{task}", queue="default", expires=3)

    def _tend(self) -> None:
        """As a supervisor would: a worker gone or stuck gets company. A frozen one thaws in the end."""
        main = self._fleet.members[self._names[0]]
        is_stopped = "T" in _states(main)
        if is_stopped and self._frozen_at is None:
            self._frozen_at = time.monotonic()
        if (is_stopped or not _states(main)) and len(self._names) == 1:
            self._start_worker("second", self._sound_lane())
        lease = settings.FOLLOWUP_LEASE_SECONDS
        if (
            self._frozen_at
            and not self._thawed_at
            and time.monotonic() - self._frozen_at > lease + PAST_LEASE_SECONDS
        ):
            main.thaw()
            self._thawed_at = time.monotonic()

    def _is_over(self, database: psycopg.Connection[Any]) -> bool:
        if not (Path(self.lane.failpoints_dir) / self.point).exists():
            return False
        if self.action == "stop" and (
            self._thawed_at is None or time.monotonic() - self._thawed_at < AFTER_THAW_SECONDS
        ):
            return False
        if self._asking and self._asking.is_alive():
            return False
        if self._wish == Wish.REPORTS and _count(database, _UNREPORTED):
            return False
        return _count(database, _UNFINISHED) == 0

    def _why(self, database: psycopg.Connection[Any]) -> str:
        states = database.execute("SELECT channel, status, failure_code FROM follow_up_schedules").fetchall()
        was_met = (Path(self.lane.failpoints_dir) / self.point).exists()
        return f"; the place was {'' if was_met else 'not '}reached; {states}"

    def _ask(self) -> None:
        """Ask the web process until it has answered well, under one key."""
        api = f"http://127.0.0.1:{self._port}/api/followup"
        body: Mapping[str, Any] | None = None
        if self._wish == Wish.CANCEL:
            url, good = f"{api}/cancel/{self.told[self._extra.mark]}", {200, 409}
        else:
            url, good = f"{api}/schedule", {201}
            body = {
                "template_id": str(self._extra.template.pk),
                "scheduled_at": self._extra.at.isoformat(),
                "custom_variables": {"mark": self._extra.mark},
            }
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException):
                answer = requests.post(
                    url,
                    json=body,
                    headers={"Authorization": f"Bearer {self._token}", "Idempotency-Key": self._extra.mark},
                    timeout=60,
                )
                if answer.status_code in good:
                    if self._wish == Wish.BOOKING:
                        self.told[self._extra.mark] = answer.json()["followup_id"]
                    return
                if answer.status_code < 500:
                    self.problems.append(f"answered {answer.status_code}: {answer.text[:200]}")
                    return
            time.sleep(0.5)
        self.problems.append("no good answer")


def _count(database: psycopg.Connection[Any], query: str) -> int:
    row = database.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def _states(member: Member) -> set[str]:
    """The states of a member's living processes, as the kernel tells them: S, R, T for stopped."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(group) == member.pid and state not in "ZX":
                found.add(state)
    return found
