"""What goes wrong at a provider, how often, and what it does about it. Chosen by a seeded generator."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.faults.simulator.wire import Answer

HANG_SECONDS = 60.0  # longer than any client waits


class Fault(StrEnum):
    """One thing that goes wrong with one call. "Done": the message was taken all the same."""

    NONE = "none"
    HANG_UP = "hang_up"  # the connection breaks, nothing was done
    REFUSE = "refuse"  # a clear refusal for good
    BUSY = "busy"  # 429 with Retry-After; SMTP: 451 before the mail
    FAIL = "fail"  # 500, nothing was done; SMTP: 451 after the mail
    BLACK_HOLE = "black_hole"  # never an answer, nothing was done
    FAIL_DONE = "fail_done"  # 500
    HANG_UP_DONE = "hang_up_done"  # the connection breaks
    SILENT_DONE = "silent_done"  # never an answer
    LATE = "late"  # never an answer; done after the client gave up
    SLOW = "slow"  # done at once, answered late, perhaps too late
    REPORT_FIRST = "report_first"  # the status callback overtakes the answer


# Taken, but the client was not told: only proof can tell it from what was not taken.
UNTOLD = {Fault.FAIL_DONE, Fault.HANG_UP_DONE, Fault.SILENT_DONE, Fault.LATE}
# What may go wrong where nothing is done anyway.
FOR_LOOKS = (Fault.HANG_UP, Fault.BUSY, Fault.FAIL, Fault.BLACK_HOLE, Fault.SLOW)

DEFAULT_WEIGHTS: Mapping[Fault, float] = {
    Fault.HANG_UP: 1,
    Fault.REFUSE: 1,
    Fault.BUSY: 2,
    Fault.FAIL: 2,
    Fault.BLACK_HOLE: 1,
    Fault.FAIL_DONE: 2,
    Fault.HANG_UP_DONE: 1,
    Fault.SILENT_DONE: 1,
    Fault.LATE: 1,
    Fault.SLOW: 1,
    Fault.REPORT_FIRST: 1,
}


@dataclass
class Script:
    """One provider's: how often something goes wrong (0 to 1), and how often what."""

    rate: float = 0.0
    weights: dict[Fault, float] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    slow_seconds: tuple[float, float] = (0.2, 1.0)
    late_seconds: tuple[float, float] = (3.0, 8.0)  # after the client has given up, before the settle delay
    reports: bool = True  # whether it calls back at all
    report_rate: float = 0.0  # of its callbacks: dropped, repeated, out of order or forged

    def change(self, wishes: Mapping[str, Any]) -> None:
        """Take over what a control request asks for. Raises ``KeyError`` for what there is not."""
        for name, value in wishes.items():
            if name == "weights":
                self.weights = {Fault(fault): float(weight) for fault, weight in value.items()}
            elif name in ("slow_seconds", "late_seconds"):
                setattr(self, name, (float(value[0]), float(value[1])))
            elif name in ("rate", "report_rate", "reports"):
                setattr(self, name, value)
            else:
                raise KeyError(name)


class Fate:
    """Draws what befalls the calls to one provider, and carries it out; ``impossible`` is never drawn."""

    def __init__(self, provider: str, *, seed: int, impossible: Collection[Fault] = ()) -> None:
        self.provider = provider
        self._impossible = impossible
        self.script = Script()
        self.random = random.Random(f"{seed}:{provider}")
        self.injected: Counter[str] = Counter()
        self.calls = 0
        self.looks = 0  # of the calls, those that only read
        self._later: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        """Messages that will be taken later."""
        return len(self._later)

    def draw(self, *, looks: bool = False) -> Fault:
        """What befalls the next call; ``looks`` for one that only reads."""
        self.calls += 1
        self.looks += looks
        if self.random.random() >= self.script.rate:
            return Fault.NONE
        weights = {
            fault: weight
            for fault, weight in self.script.weights.items()
            if weight > 0 and fault not in self._impossible and (not looks or fault in FOR_LOOKS)
        }
        if not weights:
            return Fault.NONE
        (fault,) = self.random.choices(list(weights), list(weights.values()))
        self.injected[fault] += 1
        return fault

    def between(self, bounds: tuple[float, float]) -> float:
        """A moment within bounds, in seconds."""
        return self.random.uniform(*bounds)

    def later(self, act: Callable[[], object]) -> None:
        """Do something once the client has given up."""

        async def wait() -> None:
            await asyncio.sleep(self.between(self.script.late_seconds))
            act()

        task = asyncio.get_running_loop().create_task(wait())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def answer(
        self,
        fault: Fault,
        *,
        take: Callable[[], Answer],
        refusal: Answer,
        busy: Answer,
        failure: Answer,
        report: Callable[[], Awaitable[None]] | None = None,
    ) -> Answer | None:
        """Carry a fault out over HTTP: ``take`` does what was asked for and tells the good answer."""
        match fault:
            case Fault.HANG_UP:
                return None
            case Fault.REFUSE:
                return refusal
            case Fault.BUSY:
                return busy
            case Fault.FAIL:
                return failure
            case Fault.LATE:
                self.later(take)
            case Fault.BLACK_HOLE:
                pass
            case _:
                good = take()
                match fault:
                    case Fault.FAIL_DONE:
                        return failure
                    case Fault.HANG_UP_DONE:
                        return None
                    case Fault.SLOW:
                        await asyncio.sleep(self.between(self.script.slow_seconds))
                    case Fault.REPORT_FIRST if report is not None:
                        await report()
                if fault != Fault.SILENT_DONE:
                    return good
        await asyncio.sleep(HANG_SECONDS)
        return None
