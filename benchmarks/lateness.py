"""`lateness`: how long after their time messages pass the gate, at a steady flow, with everything running."""

import contextlib
import sys
import time
from collections.abc import Iterator

from django.db import connection

from benchmarks.figures import percentile
from benchmarks.ours import OurContender
from benchmarks.parts import Invalid, Options, Report, say
from benchmarks.setup import OURS
from benchmarks.sink.control import Sink
from benchmarks.stage import ROOT, Stage
from benchmarks.world import World
from jyotiflow.local.processes import start_child, stop_children

RATES = (20, 100)  # messages a second
SECONDS = 20  # of each flow
WARM_UP = 200
LEAD_SECONDS = 5.0  # from loading to the first message's time
PATIENCE_SECONDS = 120.0
_WAITS = """
    SELECT extract(epoch FROM min(attempt.gate_at) - follow_up.scheduled_at)::float
      FROM follow_up_schedules AS follow_up
      JOIN follow_up_attempts AS attempt ON attempt.follow_up_id = follow_up.id
     GROUP BY follow_up.id, follow_up.scheduled_at
"""


def measure(stage: Stage, options: Options) -> Report:
    """Each flow in each round."""
    report, sink = Report(), Sink(stage.ports["control"])
    world = World(readers=max(RATES) * SECONDS)
    with _running(stage, world):
        _flow(world, sink, max(RATES), WARM_UP)
        for number in range(options.rounds):
            for rate in RATES if number % 2 == 0 else RATES[::-1]:
                waits = _flow(world, sink, rate, options.messages or rate * SECONDS)
                if min(waits) < 0:
                    raise Invalid(f"A message passed the gate {-min(waits):.3f} s before its time.")
                for share in (50, 95, 99):
                    name = f"lateness.p{share}_s_at_{rate}"
                    report.add(name, percentile(waits, share / 100), "s")
                report.add(f"lateness.longest_s_at_{rate}", max(waits), "s")
                say(f"  round {number + 1}, {rate}/s: p99 {percentile(waits, 0.99):.2f} s")
    return report


@contextlib.contextmanager
def _running(stage: Stage, world: World) -> Iterator[None]:
    """Workers and beat, as in production."""
    with contextlib.ExitStack() as stack:
        ours = OurContender(stage, world, OURS)
        stack.callback(ours.close)
        ours.workers.wait_until_ready()
        command = [sys.executable, "-m", "celery", "-A", "celery_app", "beat", "--pidfile="]
        beat = start_child(
            name="beat",
            command=[*command, "--scheduler=django_celery_beat.schedulers:DatabaseScheduler"],
            log=stage.logs / "beat.log",
            env=stage.environment,
            cwd=ROOT,
        )
        stack.callback(stop_children, [beat], grace_seconds=0.0)
        yield


def _flow(world: World, sink: Sink, rate: int, count: int) -> list[float]:
    """The seconds each of ``count`` messages waited after its time."""
    sink.forget()
    first = time.time() + LEAD_SECONDS
    world.fill(count, due=f"to_timestamp({first!r}) + n * interval '1 s' / {rate}")
    if time.time() > first:
        raise Invalid("Loading took so long that the first messages were due before they were there.")
    deadline = first + count / rate + PATIENCE_SECONDS
    while (taken := sink.count()["messages"]) < count:
        if time.time() > deadline:
            raise Invalid(f"Only {taken:.0f} of {count} messages arrived.")
        time.sleep(0.1)
    with connection.cursor() as cursor:
        cursor.execute(_WAITS)
        waits = [row[0] for row in cursor.fetchall()]
    if len(waits) != count:
        raise Invalid(f"{len(waits)} of {count} messages passed the gate.")
    return waits
