"""`python -m benchmarks`: every part one after the other; its exit status is 0 when each could be measured.

--only send,claim     these parts; the figures of the others stay as they were published
--rounds 3            fewer rounds than five
--messages 1000       smaller ones, for a quick look; nothing is published then
profile send          what the workers and the database spend their time on, instead
"""

import argparse
import contextlib
import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.figures import machine, merged, page, publish, published, summary
from benchmarks.parts import DEFAULT_ROUNDS, PARTS, Options, say
from benchmarks.stage import ROOT, Stage, built_stage, own_database

RESULTS = ROOT / "benchmarks" / "results"


def main() -> int:
    """Do what the command line asks for."""
    asked = _arguments()
    options = Options(rounds=asked.rounds, messages=asked.messages)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    say("PostgreSQL (durable), Valkey and the sink …")
    if asked.what == "profile":
        with built_stage(preload="pg_stat_statements") as stage:
            return 0 if _play("benchmarks.profiling", stage, options) else 1
    with built_stage() as stage, Databases(stage) as databases:
        about = machine(Path(stage.home))
        failed = [name for name in asked.only or PARTS if not _measure(name, databases, options, about)]
    if failed:
        say(f"\nFailed: {', '.join(failed)}")
    return 1 if failed else 0


def _measure(part: str, databases: "Databases", options: Options, about: Mapping[str, Any]) -> bool:
    """Play one part, show what it found and publish that; ``False`` when it failed."""
    say(f"\n== {part}")
    began = time.monotonic()
    try:
        report = _play(PARTS[part].module, databases.of(part), options)
    except psycopg.Error as problem:  # the others may still be measured
        say(str(problem))
        report = None
    seconds = time.monotonic() - began
    if report is None:
        say(f"{part}: FAILED after {seconds:.0f} s")
        return False
    figures = {name: summary(each["values"], each["unit"]) for name, each in report["figures"].items()}
    say("\n".join(["", page(figures), *report["notes"], f"{part}: {seconds:.0f} s"]))
    if not options.messages:
        known = merged(published(RESULTS), figures, part=part)
        publish(RESULTS, machine=about, figures=known)
    return True


class Databases(contextlib.ExitStack):
    """A part's database is made when it begins, and dropped when another one does that has another."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage
        self._name = ""
        self._own = stage

    def of(self, part: str) -> Stage:
        """The stage with that part's database."""
        name = PARTS[part].database or f"bench_{part.replace('-', '_')}"
        if name != self._name:
            self.close()
            self._own = self.enter_context(own_database(self._stage, name))
            self._name = name
        return self._own


def _play(module: str, stage: Stage, options: Options) -> dict[str, Any] | None:
    """One part in a process of its own; nothing when it failed."""
    result = Path(stage.home) / f"{module}.json"
    command = [sys.executable, "-m", "benchmarks.play", module, stage.dump()]
    command += [json.dumps(dataclasses.asdict(options)), str(result)]
    player = subprocess.Popen(command, cwd=ROOT)
    try:
        player.wait()
    except BaseException:
        player.terminate()
        player.wait()
        raise
    if player.returncode or not result.exists():
        return None
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def _parts(text: str) -> list[str]:
    names = [name for name in text.replace(",", " ").split() if name]
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description="What the product costs, beside its peers."
    )
    parser.add_argument("what", nargs="?", choices=["parts", "profile"], default="parts")
    parser.add_argument("part", nargs="?", choices=["send"], help="what is profiled")
    parser.add_argument("--only", type=_parts, help="parts, with commas between them")
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS, help="of every part")
    parser.add_argument("--messages", type=int, default=0, help="a smaller run; nothing is published")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
