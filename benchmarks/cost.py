"""What groups of processes cost: processor time, with that of all they started, and memory. Linux only."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    """One line of the process table. ``seconds`` is its own time and that of children it has buried."""

    pid: int
    parent: int
    seconds: float
    resident: int  # bytes


def parse_stat(text: str) -> Process:
    """`/proc/<pid>/stat`; the name in it may hold spaces and brackets."""
    pid, _, rest = text.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    # From the state on: ppid is 1; utime, stime, cutime, cstime are 11 to 14; rss is 21.
    return Process(int(pid), int(fields[1]), sum(map(int, fields[11:15])) / _TICK, int(fields[21]) * _PAGE)


def processes() -> list[Process]:
    """All of this machine that may be looked at."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                found.append(parse_stat((path / "stat").read_text()))
            except (OSError, IndexError):
                continue  # it has ended meanwhile
    return found


def trees(roots: Iterable[int], table: Iterable[Process]) -> list[Process]:
    """These processes and everything below them that still runs."""
    table = list(table)
    wanted, size = set(roots), -1
    while len(wanted) != size:
        size = len(wanted)
        wanted |= {each.pid for each in table if each.parent in wanted}
    return [each for each in table if each.pid in wanted]


def machine_seconds() -> tuple[float, float]:
    """What all processors have been busy for since the machine started, and with what they were idle."""
    first = Path("/proc/stat").read_text().partition("\n")[0]
    # user, nice, system, idle, iowait, irq, softirq, steal; what guests use is in user already.
    spent = [int(field) / _TICK for field in first.split()[1:9]]
    return sum(spent) - spent[3] - spent[4], sum(spent)


class Meter:
    """What groups of processes use from now on.

    A process that ends is counted by the one that buries it, so nothing is lost and nothing counted twice.
    """

    def __init__(self, groups: Mapping[str, Iterable[int]]) -> None:
        self._groups = {name: tuple(pids) for name, pids in groups.items()}
        self._peaks = dict.fromkeys(self._groups, 0)
        self._before = self._seconds()
        self._busy_before, self._all_before = machine_seconds()
        self.look()

    def look(self) -> None:
        """Note the memory of this moment; to be called now and then."""
        table = processes()
        for name, pids in self._groups.items():
            resident = sum(each.resident for each in trees(pids, table))
            self._peaks[name] = max(self._peaks[name], resident)

    def seconds(self) -> dict[str, float]:
        """Processor seconds of each group since the start."""
        now = self._seconds()
        return {name: now[name] - self._before[name] for name in self._groups}

    def elsewhere(self) -> float:
        """The share of the machine's processor time, 0 to 1, that others used; ourselves among them."""
        busy, everything = machine_seconds()
        others = busy - self._busy_before - sum(self.seconds().values())
        return max(0.0, others / max(everything - self._all_before, 1 / _TICK))

    def peaks(self) -> dict[str, float]:
        """The most memory of each group at any look, in MB (what processes share counts in each)."""
        return {name: peak / 1e6 for name, peak in self._peaks.items()}

    def _seconds(self) -> dict[str, float]:
        table = processes()
        return {name: sum(each.seconds for each in trees(pids, table)) for name, pids in self._groups.items()}
