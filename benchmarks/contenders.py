"""One race: load messages, start, wait for the last durable outcome, check, and say what it took."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.cost import Meter
from benchmarks.parts import Invalid
from benchmarks.sink.control import Sink
from benchmarks.stage import Stage

CALM_SECONDS = 0.3  # between waking a contender and its start
LOOK_SECONDS = 0.25
POLL_SECONDS = 0.01
SHARED = ("PostgreSQL", "Valkey", "sink")


class Contender(Protocol):
    """Something that sends messages to the sink, or does nothing with them. It is asleep unless it races."""

    name: str
    sends: bool  # to the sink; the floor does not

    @property
    def pids(self) -> Sequence[int]:
        """Of its own processes."""

    def load(self, count: int) -> None:
        """Replace what it has by ``count`` due messages."""

    def wake(self) -> None:
        """Get ready to start."""

    def start(self) -> None:
        """Begin to dispatch."""

    def is_done(self, count: int) -> bool:
        """Whether the last outcome is durable; asked many times a second, so it must cost next to nothing."""

    def verify(self, count: int) -> None:
        """Raises ``Invalid`` unless all are durably done."""

    def rest(self) -> None:
        """Use no processor time."""

    def close(self) -> None:
        """End."""


@dataclass(frozen=True)
class Run:
    """What one race took: seconds by the clock, processor seconds and peak memory in MB by group."""

    count: int
    seconds: float
    cpu: Mapping[str, float]
    memory: Mapping[str, float]
    bytes: float  # of the messages at the sink
    elsewhere: float  # the share of the machine that others used meanwhile, 0 to 1

    @property
    def per_second(self) -> float:
        """Messages a second."""
        return self.count / self.seconds

    def cpu_ms(self, *groups: str) -> float:
        """Processor milliseconds a message of some groups; of all but the sink when none is named."""
        wanted = groups or tuple(name for name in self.cpu if name != "sink")
        return sum(self.cpu[name] for name in wanted) / self.count * 1_000


def race(
    contender: Contender,
    stage: Stage,
    sink: Sink,
    *,
    count: int,
    delay: float = 0.0,
    longest: float = 600.0,
) -> Run:
    """Let one contender send ``count`` messages to a sink that answers after ``delay`` seconds.

    Raises ``Invalid`` unless each arrived exactly once and is durably done within ``longest`` seconds.
    """
    contender.load(count)
    sink.forget(delay=delay)
    contender.wake()
    try:
        time.sleep(CALM_SECONDS)
        meter = Meter({"processes": contender.pids, **{name: [stage.pids[name]] for name in SHARED}})
        began = looked = time.monotonic()
        contender.start()
        while not contender.is_done(count):
            time.sleep(POLL_SECONDS)
            moment = time.monotonic()
            if moment - looked > LOOK_SECONDS:
                looked = moment
                meter.look()
            if moment - began > longest:
                raise Invalid(f"{contender.name}: not done after {longest:.0f} s: {sink.count()}")
        seconds = time.monotonic() - began
        cpu, elsewhere = meter.seconds(), meter.elsewhere()
        meter.look()
        contender.verify(count)
    finally:
        contender.rest()
    taken = sink.count()
    if contender.sends and not taken["messages"] == taken["recipients"] == count:
        raise Invalid(f"{contender.name}: the sink has {taken}, not {count} messages to as many.")
    return Run(count, seconds, cpu, meter.peaks(), taken["bytes"], elsewhere)
