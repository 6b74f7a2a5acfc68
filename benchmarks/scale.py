"""`scale`: the same messages with one, two and four worker processes."""

from dataclasses import replace

from benchmarks.contenders import Run, race
from benchmarks.ours import OurContender
from benchmarks.parts import Options, Report, say
from benchmarks.send import line, turned
from benchmarks.setup import OURS
from benchmarks.sink.control import Sink
from benchmarks.stage import Stage
from benchmarks.world import World

MESSAGES = 3_000
WARM_UP = 300
PROCESSES = {"one": 1, "two": 2, "four": 4}


def measure(stage: Stage, options: Options) -> Report:
    """Each number of processes anew in each round: together they would hold too many connections."""
    report, count = Report(), options.messages or MESSAGES
    sink, world = Sink(stage.ports["control"]), World(readers=max(count, WARM_UP))
    for number in range(options.rounds):
        runs = {name: _run(name, stage, world, sink, count) for name in turned(list(PROCESSES), number)}
        say(f"  round {number + 1}: {line(runs)}")
        for name, run in runs.items():
            report.add(f"scale.{name}.msgs_per_s", run.per_second, "messages/s")
            report.add(f"scale.{name}.cpu_ms_per_message", run.cpu_ms(), "ms")
            report.add(f"scale.{name}.peak_mb", run.memory["processes"], "MB")
        report.add("scale.two_over_one", runs["two"].per_second / runs["one"].per_second, "×")
        report.add("scale.four_over_one", runs["four"].per_second / runs["one"].per_second, "×")
    return report


def _run(name: str, stage: Stage, world: World, sink: Sink, count: int) -> Run:
    ours = OurContender(stage, world, replace(OURS, processes=PROCESSES[name]), name=name)
    try:
        ours.workers.wait_until_ready()
        race(ours, stage, sink, count=WARM_UP)
        return race(ours, stage, sink, count=count)
    finally:
        ours.close()
