"""What is done to the fleet, when, and to whom: drawn beforehand from a seed, carried out one by one."""

import heapq
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.fleet import Fleet

RESTARTED_AFTER_SECONDS = (0.1, 2.0)
DOOR_CLOSED_SECONDS = 3.0
SHARES = {"worker": 0.75, "web": 0.15, "beat": 0.10}  # of the kills


@dataclass(frozen=True)
class Plan:
    """How much of what happens within ``seconds``."""

    seconds: float
    kills: int
    database_restarts: int
    redis_faults: int
    freezes: int
    freeze_seconds: float
    closed_doors: int
    doors: tuple[str, ...]


class Chaos:
    """Carries a plan out; ``step`` does what is due."""

    def __init__(self, fleet: Fleet, plan: Plan, *, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self.frozen: set[str] = set()
        self._fleet = fleet
        self.plan = plan
        self._random = random.Random(f"{seed}:chaos")
        self._began = 0.0
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._missing: set[str] = set()
        self._draw()

    @property
    def planned(self) -> int:
        """How many faults there are to come in all."""
        plan = self.plan
        return plan.kills + plan.database_restarts + plan.redis_faults + plan.freezes + plan.closed_doors

    @property
    def is_over(self) -> bool:
        """Whether all was done and undone."""
        return not self._due

    def start(self) -> None:
        """From here the plan's times count."""
        self._began = time.monotonic()

    def step(self) -> None:
        """Do whatever is due by now."""
        while self._due and self._due[0][0] <= time.monotonic() - self._began:
            heapq.heappop(self._due)[2]()

    def _at(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (seconds, next(self._numbers), act))

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._at(time.monotonic() - self._began + seconds, act)

    def _draw(self) -> None:
        plan = self.plan
        kinds = self._random.choices(list(SHARES), list(SHARES.values()), k=plan.kills)
        acts: list[Callable[[], None]] = [lambda kind=kind: self._kill(kind) for kind in kinds]  # type: ignore[misc]
        acts += [self._restart_database] * plan.database_restarts
        redis = (self._flush_redis, self._kill_redis, self._restart_redis)
        acts += [redis[number % 3] for number in range(plan.redis_faults)]
        acts += [self._freeze] * plan.freezes
        doors = [plan.doors[number % len(plan.doors)] for number in range(plan.closed_doors)]
        acts += [lambda door=door: self._close(door) for door in doors]  # type: ignore[misc]
        for act in acts:
            self._at(self._random.uniform(0, plan.seconds), act)

    def _someone(self, kind: str) -> str | None:
        there = [
            name
            for name in self._fleet.members
            if name.startswith(kind) and name not in self.frozen | self._missing
        ]
        return self._random.choice(there) if there else None

    def _kill(self, kind: str) -> None:
        name = self._someone(kind)
        if name is None:  # all of them are down this moment
            self._later(0.2, lambda: self._kill(kind))
            return
        self._fleet.members[name].kill()
        self.done[f"kill -9 of {kind}"] += 1
        self._missing.add(name)
        self._later(self._random.uniform(*RESTARTED_AFTER_SECONDS), lambda: self._restart(name))

    def _restart(self, name: str) -> None:
        self._fleet.restart(name)
        self._missing.discard(name)

    def _freeze(self) -> None:
        name = self._someone("worker")
        if name is None:
            self._later(0.2, self._freeze)
            return
        self._fleet.members[name].freeze()
        self.frozen.add(name)
        self.done["SIGSTOP past the lease"] += 1
        self._later(self.plan.freeze_seconds, lambda: self._thaw(name))

    def _thaw(self, name: str) -> None:
        self._fleet.members[name].thaw()
        self.frozen.discard(name)

    def _restart_database(self) -> None:
        self.done["database restart"] += 1
        self._fleet.restart_postgres()

    def _flush_redis(self) -> None:
        self.done["Redis flush"] += 1
        self._fleet.flush_valkey()

    def _kill_redis(self) -> None:
        self.done["Redis killed, away for 5 s"] += 1
        self._fleet.restart_valkey(down_seconds=5)

    def _restart_redis(self) -> None:
        self.done["Redis killed, back at once"] += 1
        self._fleet.restart_valkey()

    def _close(self, provider: str) -> None:
        self.done["provider away"] += 1
        self._fleet.simulator.close(provider)
        self._later(DOOR_CLOSED_SECONDS, lambda: self._fleet.simulator.open(provider))
