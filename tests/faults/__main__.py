"""`python -m tests.faults`: every scenario, one after the other; its exit status is 0 when all held.

--only storm --messages 2000 --kills 40 --seed 7     a part, replayed
--short                                              what CI runs
--json FILE                                          the tables for a machine
"""

import argparse
import dataclasses
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.scenario import SCENARIOS, Options, Verdict, table
from tests.faults.simulator.client import ROOT


def main() -> int:
    """Play what the command line asks for."""
    asked = _arguments()
    options = Options(
        seed=random.randrange(1, 1_000_000) if asked.seed is None else asked.seed,
        short=asked.short,
        messages=asked.messages,
        kills=asked.kills,
        keep=asked.keep,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = {}
    for name in asked.only or [name for name, each in SCENARIOS.items() if each.is_short or not asked.short]:
        print(f"\n== {name}, seed {options.seed}", flush=True)
        began = time.monotonic()
        verdict = _play(name, options)
        seconds = round(time.monotonic() - began)
        results[name] = {**dataclasses.asdict(verdict), "seconds": seconds}
        print("", table(verdict.rows), *verdict.notes, sep="\n", flush=True)
        for problem in verdict.problems:
            print(f"PROBLEM: {problem}", flush=True)
        print(f"{name}: {'FAILED' if verdict.problems else 'held'} after {seconds} s", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps({"seed": options.seed, "scenarios": results}, indent=2) + "\n")
    failed = [name for name, result in results.items() if result["problems"]]
    if failed:
        print(f"\nFailed: {', '.join(failed)}. Replay: --only {failed[0]} --seed {options.seed}", flush=True)
    return 1 if failed else 0


def _play(name: str, options: Options) -> Verdict:
    """One scenario in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        result = Path(place) / "verdict.json"
        command = [sys.executable, "-m", "tests.faults.play", name]
        command += [json.dumps(dataclasses.asdict(options)), str(result)]
        player = subprocess.Popen(command, cwd=ROOT)
        try:
            status = player.wait()
        except BaseException:
            player.terminate()
            player.wait()
            raise
        if status or not result.exists():
            return Verdict(problems=[f"it ended by itself, with status {status}"])
        return Verdict(**json.loads(result.read_text()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults", description="Kills, faults, and what became of it.")
    parser.add_argument("--only", action="append", choices=list(SCENARIOS), help="a scenario; repeatable")
    parser.add_argument("--short", action="store_true", help="a few minutes: some scenarios, smaller")
    parser.add_argument("--seed", type=int, help="of all that is drawn; random unless given, and printed")
    parser.add_argument("--messages", type=int, help="how many a storm sends")
    parser.add_argument("--kills", type=int, help="how many processes a storm kills")
    parser.add_argument("--json", type=Path, help="write the tables there, too")
    parser.add_argument("--keep", action="store_true", help="leave the logs of all processes, and say where")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
