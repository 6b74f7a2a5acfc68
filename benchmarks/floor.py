"""The least a stock Celery design can cost: the same rows claimed and published, tasks that do nothing.

A Celery app of its own, without Django: `celery -A benchmarks.floor worker`.
"""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from celery import Celery

from benchmarks.parts import Invalid
from benchmarks.setup import Ours
from benchmarks.stage import Stage
from benchmarks.workers import Workers

BATCH = 500
_CLAIM = """
    UPDATE follow_up_schedules AS follow_up
       SET status = 'sending', claim_token = gen_random_uuid(), lease_until = statement_timestamp() + '90 s'
      FROM (SELECT id FROM follow_up_schedules
             WHERE status = 'pending' AND channel = 'email' AND due_at <= statement_timestamp()
             ORDER BY due_at, id LIMIT %s FOR UPDATE SKIP LOCKED) AS due
     WHERE follow_up.id = due.id
 RETURNING follow_up.id, follow_up.claim_token
"""

app = Celery("floor", broker=os.environ.get("FLOOR_BROKER", ""))
app.conf.update(
    task_ignore_result=True,
    task_acks_late=False,
    task_default_queue="floor",
    worker_prefetch_multiplier=4,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="floor.noop")
def noop(follow_up_id: str, token: str) -> None:
    """Nothing, and a byte in a file that says it was done."""
    os.write(_tally(), b".")


@app.task(name="floor.claim")
def claim() -> None:
    """Claim and publish all that is due."""
    while True:
        rows = _connection().execute(_CLAIM, [BATCH]).fetchall()
        with app.producer_or_acquire() as producer:
            for follow_up_id, token in rows:
                noop.apply_async((str(follow_up_id), str(token)), producer=producer)
        if len(rows) < BATCH:
            return


@cache
def _tally() -> int:
    return os.open(os.environ["FLOOR_TALLY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@cache
def _connection() -> "psycopg.Connection[Any]":
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


class FloorContender:
    """As many workers as ours, with as many threads; nothing is logged and no transport of ours is used."""

    name = "noop_floor"
    sends = False

    def __init__(self, stage: Stage, world: Any, setup: Ours) -> None:
        self._world = world
        self._tally = Path(stage.home) / "floor.tally"
        broker = stage.redis_url_of(1)
        app.conf.update(broker_url=broker)
        self._workers = Workers(
            app,
            name=self.name,
            module="benchmarks.floor",
            processes=setup.processes,
            threads=setup.threads,
            queues="floor",
            environment={**stage.environment, "FLOOR_BROKER": broker, "FLOOR_TALLY": str(self._tally)},
            logs=stage.logs,
            loglevel="WARNING",
        )
        self._workers.wait_until_ready()

    @property
    def pids(self) -> Sequence[int]:
        return self._workers.pids

    def load(self, count: int) -> None:
        self._world.fill(count)
        self._tally.write_bytes(b"")

    def wake(self) -> None:
        self._workers.thaw()

    def start(self) -> None:
        claim.apply_async()

    def is_done(self, count: int) -> bool:
        return self._tally.stat().st_size >= count

    def verify(self, count: int) -> None:
        done = self._tally.stat().st_size
        if done != count:
            raise Invalid(f"{self.name}: {done} of {count} were done.\n{self._workers.tail()}")

    def rest(self) -> None:
        self._workers.freeze()

    def close(self) -> None:
        self._workers.close()
