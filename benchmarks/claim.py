"""`claim`: what a tick takes, with 500 follow-ups due and with none, however many lie behind them."""

import json
from typing import Any, Final

from benchmarks.ages import aged, p95, run, sizes_of
from benchmarks.parts import Options, Report, say
from benchmarks.stage import Stage

TIMES: Final = 40  # ticks of each kind, in a round


def measure(stage: Stage, options: Options) -> Report:
    """The ages in turn, in every round."""
    report = Report()
    ages = {name: aged(stage, rows) for name, rows in sizes_of(options).items()}
    for number in range(options.rounds):
        full: dict[str, float] = {}
        for name, own in ages.items():
            found: dict[str, Any] = json.loads(run(own, "benchmarks.ticks", str(TIMES), quietly=True))
            full[name] = p95(found["full"])
            report.add(f"claim.p95_ms_{name}", full[name], "ms")
            report.add(f"claim.empty_p95_ms_{name}", p95(found["empty"]), "ms")
            report.add(f"claim.first_empty_p95_ms_{name}", p95(found["first_empty"]), "ms")
        report.add("claim.p95_10m_over_100k", full["10m"] / full["100k"], "×")
        report.add("claim.empty_p95_ms", p95(found["empty"]), "ms")
        say(f"  round {number + 1}: " + ", ".join(f"{name} {ms:.1f} ms" for name, ms in full.items()))
    return report
