"""The parts of the benchmark, and what one gives back. A new part is a module and a line in `PARTS`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.stage import Stage


@dataclass(frozen=True)
class Part:
    """A module with ``measure(stage, options) -> Report``; parts that name the same database share it."""

    module: str
    database: str = ""  # its own unless named


# In the order they are played: those with the most rows come last.
PARTS = {
    "send": Part("benchmarks.send"),
    "send-latency": Part("benchmarks.send_latency"),
    "schedule": Part("benchmarks.schedule"),
    "receipts": Part("benchmarks.receipts"),
    "lateness": Part("benchmarks.lateness"),
    "scale": Part("benchmarks.scale"),
    "switches": Part("benchmarks.switches"),
    # These share what they make: databases with years of history.
    "rollup": Part("benchmarks.rollup", database="bench_history"),
    "claim": Part("benchmarks.claim", database="bench_history"),
    "read": Part("benchmarks.read", database="bench_history"),
}
DEFAULT_ROUNDS = 5


@dataclass(frozen=True)
class Options:
    """What the command line asks of every part."""

    rounds: int = DEFAULT_ROUNDS
    messages: int = 0  # fewer than usual, for a quick look; 0: the usual number


@dataclass
class Samples:
    """One figure, a value a round."""

    unit: str
    values: list[float] = field(default_factory=list)


@dataclass
class Report:
    """What a part measured."""

    figures: dict[str, Samples] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str) -> None:
        """One round's value of the figure ``name``, such as ``send.msgs_per_s``."""
        self.figures.setdefault(name, Samples(unit)).values.append(value)


class Module(Protocol):
    """A part's module. It runs in a process of its own, with Django set up on a database of its own."""

    measure: Callable[[Stage, Options], Report]


class Invalid(RuntimeError):
    """A measurement that doesn't count; the text says what was wrong."""


def say(text: str) -> None:
    """Progress for the person who waits."""
    print(text, flush=True)
