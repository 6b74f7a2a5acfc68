"""What a scenario is, and which there are.

A scenario's module has ``play(fleet, options)``, which returns a ``Verdict``. It runs in a process of its own
and may import models and services: Django is set up on the fleet's database before the module is loaded.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Scenario:
    """Where it is played, and on what fleet: how email goes out, and variables of its own."""

    module: str
    email: str = "resend"  # or smtp
    environment: Mapping[str, str] = field(default_factory=dict)
    is_short: bool = False  # whether the short run plays it


# By name, in the order they run.
SCENARIOS: Final[Mapping[str, Scenario]] = {
    "points": Scenario(
        "tests.faults.points",
        environment={
            "FOLLOWUP_READ_TIMEOUT_SECONDS": "1",
            "FOLLOWUP_LEASE_SECONDS": "10",
            "FOLLOWUP_SETTLE_DELAY_SECONDS": "20",  # longer than a freeze: what remains, in docs/delivery.md
            "FOLLOWUP_LOOK_INTERVAL_SECONDS": "1",
            "DATABASE_POOL_SIZE": "4",
        },
        is_short=True,
    ),
    "blackhole": Scenario("tests.faults.blackhole"),
    "acknowledging": Scenario("tests.faults.acknowledging"),
    "dead-provider": Scenario(
        "tests.faults.dead_provider",
        environment={"FOLLOWUP_SETTLE_DELAY_SECONDS": "10", "FOLLOWUP_LOOK_INTERVAL_SECONDS": "10"},
    ),
    "storm": Scenario("tests.faults.storm", is_short=True),
    "storm-smtp": Scenario("tests.faults.storm", email="smtp"),
    "erasure": Scenario("tests.faults.erasure"),
}


@dataclass(frozen=True)
class Options:
    """What the command line asks for; ``None`` leaves the choice to the scenario."""

    seed: int
    short: bool = False  # a few minutes for all that the short run plays
    messages: int | None = None
    kills: int | None = None
    keep: bool = False  # leave the logs of all processes


@dataclass
class Verdict:
    """What a scenario found. Every problem fails the run."""

    rows: Sequence[Mapping[str, object]] = ()  # the table: one mapping a line, equal keys
    notes: list[str] = field(default_factory=list)  # what happened, for people
    problems: list[str] = field(default_factory=list)


class Progress:
    """Says what goes on, with the seconds since the start."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._began = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"[{self._name} {time.monotonic() - self._began:6.1f} s] {text}", flush=True)


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as aligned columns."""
    if not rows:
        return ""
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
