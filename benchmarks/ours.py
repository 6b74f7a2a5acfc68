"""The product as a contender: due rows, the beat's tick, workers, providers, durable outcomes."""

import time
from collections.abc import Sequence

from django.db import connection

from benchmarks.parts import Invalid
from benchmarks.setup import Ours
from benchmarks.sink.control import Sink
from benchmarks.stage import Stage
from benchmarks.workers import Workers
from benchmarks.world import World
from celery_app import app
from followups.models import FollowUpSchedule
from jyotiflow.local.app import QUEUES

TICK = "followups.tasks.dispatch_due"
TICK_SECONDS = float(app.conf.beat_schedule["dispatch due follow-ups"]["schedule"])


class OurContender:
    """The product on workers as ``setup`` says, sending by one channel."""

    sends = True

    def __init__(
        self,
        stage: Stage,
        world: World,
        setup: Ours,
        *,
        name: str = "ours",
        channel: str = "email",
        runner: str = "celery",
        workers: Workers | None = None,
    ) -> None:
        """``workers`` that run already are shared; a contender that shares them does not end them."""
        self.name = name
        self._world = world
        self._channel = channel
        self._ticked = 0.0
        self._sink = Sink(stage.ports["control"])
        self._is_owner = workers is None
        self.workers = workers or Workers(
            app,
            name=name,
            module="celery_app",
            processes=setup.processes,
            threads=setup.threads,
            queues=",".join(QUEUES.values()),
            environment={**stage.environment, **setup.environment},
            logs=stage.logs,
            runner=runner,
        )

    @property
    def pids(self) -> Sequence[int]:
        return self.workers.pids

    def load(self, count: int) -> None:
        self._world.fill(count, channel=self._channel)

    def wake(self) -> None:
        self.workers.thaw()

    def start(self) -> None:
        self._tick()

    def is_done(self, count: int) -> bool:
        if time.monotonic() - self._ticked >= TICK_SECONDS:
            self.workers.require_running()
            self._tick()
        if self._sink.count()["messages"] < count:
            return False
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM follow_up_schedules WHERE status = 'sending')"
                " OR EXISTS (SELECT FROM follow_up_schedules WHERE status = 'pending')"
            )
            return not cursor.fetchone()[0]

    def verify(self, count: int) -> None:
        sent = FollowUpSchedule.objects.filter(status="sent", attempts__state="accepted").count()
        if sent != count:
            raise Invalid(f"{self.name}: {sent} of {count} are sent.\n{self.workers.tail()}")

    def rest(self) -> None:
        self.workers.freeze()

    def close(self, *, grace_seconds: float = 0.0) -> None:
        if self._is_owner:
            self.workers.close(grace_seconds=grace_seconds)
        self._sink.close()

    def _tick(self) -> None:
        """What beat sends, as often as beat sends it."""
        self._ticked = time.monotonic()
        app.send_task(TICK, queue="default")
