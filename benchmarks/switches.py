"""`switches`: the same messages with each of the engine's tricks turned off in turn: what it buys."""

from collections.abc import Mapping
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
WARM_UP = 500
ALL_ON = "all_on"
SWITCHES: Mapping[str, Mapping[str, str]] = {
    ALL_ON: {},
    "no_group_commit": {"FOLLOWUP_GROUP_COMMIT": "false"},
    "no_hint_transport": {"HINT_TRANSPORT": "false"},
    "no_hint_batch": {"HINT_BATCH": "0"},
    "no_prepared": {"DATABASE_PREPARE_AFTER": "0"},
    "no_trust": {"DATABASE_TRUST_SECONDS": "0"},
    "no_catalogue_cache": {"CATALOGUE_CACHE": "false"},
}


def measure(stage: Stage, options: Options) -> Report:
    """Workers anew for each in each round, all on the same tables."""
    report, count = Report(), options.messages or MESSAGES
    sink, world = Sink(stage.ports["control"]), World(readers=max(count, WARM_UP))
    for number in range(options.rounds):
        runs = {name: _run(name, stage, world, sink, count) for name in turned(list(SWITCHES), number)}
        say(f"  round {number + 1}: {line(runs)}")
        for name, run in runs.items():
            report.add(f"switches.{name}.msgs_per_s", run.per_second, "messages/s")
            report.add(f"switches.{name}.cpu_ms_per_message", run.cpu_ms(), "ms")
            report.add(f"switches.{name}.peak_mb", run.memory["processes"], "MB")
            if name != ALL_ON:
                dearer = run.cpu_ms() / runs[ALL_ON].cpu_ms()
                report.add(f"switches.cpu_{name}", dearer, "×")
    return report


def _run(name: str, stage: Stage, world: World, sink: Sink, count: int) -> Run:
    setup = replace(OURS, environment={**OURS.environment, **SWITCHES[name]})
    ours = OurContender(stage, world, setup, name=name.replace("_", "-"))
    try:
        ours.workers.wait_until_ready()
        race(ours, stage, sink, count=WARM_UP)
        return race(ours, stage, sink, count=count)
    finally:
        ours.close()
