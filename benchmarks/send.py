"""`send`: due rows become mails with a durable outcome, beside the no-op floor and django-post-office."""

import contextlib
from collections.abc import Iterator
from typing import TypeVar

from benchmarks.contenders import Contender, Run, race
from benchmarks.floor import FloorContender
from benchmarks.ours import OurContender
from benchmarks.parts import Invalid, Options, Report, say
from benchmarks.peer.contender import PostOfficeContender, words_of
from benchmarks.setup import OURS, POST_OFFICE
from benchmarks.sink.control import Sink
from benchmarks.stage import Stage, own_database
from benchmarks.world import World

Racer = TypeVar("Racer")
MESSAGES = 5_000
WARM_UP = 500
PEERS = "post_office"  # the database of all of them
ALIKE = 0.15  # how far apart the sizes of two contenders' mails may be


def measure(stage: Stage, options: Options) -> Report:
    """Race them all, each first once: who is first after which other changes from round to round."""
    report, count = Report(), options.messages or MESSAGES
    with contenders(stage, count) as (sink, racers):
        for number in range(options.rounds):
            runs = {racer.name: race(racer, stage, sink, count=count) for racer in turned(racers, number)}
            add_runs(report, "send", runs)
            say(f"  round {number + 1}: " + line(runs))
            require_alike(runs)
    return report


@contextlib.contextmanager
def contenders(stage: Stage, readers: int) -> Iterator[tuple[Sink, list[Contender]]]:
    """All of them, started, warm and at rest."""
    warm_up = min(readers, WARM_UP)
    with contextlib.ExitStack() as stack:
        stack.enter_context(own_database(stage, PEERS, template="template0"))
        sink = stack.enter_context(contextlib.closing(Sink(stage.ports["control"])))
        world = World(readers=readers)
        say("  starting and warming up …")
        ours = stack.enter_context(contextlib.closing(OurContender(stage, world, OURS)))
        ours.workers.wait_until_ready()
        race(ours, stage, sink, count=warm_up)
        words = words_of(sink.last())
        others: list[Contender] = [FloorContender(stage, world, OURS)]
        stack.callback(others[0].close)
        for name, setup in POST_OFFICE.items():
            others.append(PostOfficeContender(stage, setup, name=name, database=PEERS, words=words))
            stack.callback(others[-1].close)
        for other in others:
            race(other, stage, sink, count=warm_up)
        yield sink, [ours, *others]


def turned(racers: list[Racer], by: int) -> list[Racer]:
    """The same, another one first."""
    start = by % len(racers)
    return racers[start:] + racers[:start]


def add_runs(report: Report, part: str, runs: dict[str, Run]) -> None:
    """One round's figures: ours under plain names, the others under their own, and ours beside each."""
    ours = runs["ours"]
    for name, run in runs.items():
        own = part if run is ours else f"{part}.{name}"
        report.add(f"{own}.msgs_per_s", run.per_second, "messages/s")
        report.add(f"{own}.cpu_ms_per_message", run.cpu_ms(), "ms")
        report.add(f"{own}.peak_mb", run.memory["processes"], "MB")
        for group in run.cpu:
            report.add(f"{own}.cpu_ms_{group.lower()}", run.cpu_ms(group), "ms")
        report.add(f"{own}.used_by_others", run.elsewhere * 100, "% of the machine")
        report.add(f"{own}.cpu_ms_with_sink", run.cpu_ms(*run.cpu), "ms")
        if name.startswith(PEERS) or name == FloorContender.name:
            report.add(f"{part}.vs_{name}", ours.per_second / run.per_second, "×")


def line(runs: dict[str, Run]) -> str:
    """One round in a line."""
    return ", ".join(f"{name} {run.per_second:.0f}/s {run.cpu_ms():.2f} ms" for name, run in runs.items())


def require_alike(runs: dict[str, Run]) -> None:
    """Raises ``Invalid`` when one sent far shorter mails than another."""
    sizes = {name: run.bytes / run.count for name, run in runs.items() if run.bytes}
    if max(sizes.values()) > min(sizes.values()) * (1 + ALIKE):
        raise Invalid(f"The mails differ in size: {sizes}")
