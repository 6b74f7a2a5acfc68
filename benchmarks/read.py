"""`read`: every list and dashboard with ten million follow-ups behind it, beside a hundred thousand."""

import json
from collections import defaultdict
from typing import Any, Final

from benchmarks.ages import aged, p95, run, sizes_of
from benchmarks.parts import Options, Report, say
from benchmarks.stage import Stage

TIMES: Final = 12  # each page, in a round
SHOWN: Final = 8  # pages in the notes


def measure(stage: Stage, options: Options) -> Report:
    """Ask for each page in turn, few rows and many in turn; a page's figure is the p95 of all its times."""
    sizes = sizes_of(options)
    ages = {name: aged(stage, sizes[name]) for name in ("100k", "10m")}
    for own in ages.values():
        run(own, "benchmarks.figuring")
    times: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in ages}
    queries: dict[str, int] = defaultdict(int)
    for number in range(options.rounds):
        for name, own in ages.items():
            found: dict[str, Any] = json.loads(run(own, "benchmarks.pages", str(TIMES), quietly=True))
            for page, facts in found.items():
                times[name][page] += facts["ms"]
                queries[page] = max(queries[page], facts["queries"])
        say(f"  round {number + 1}: {len(queries)} pages")
    few, many = ({page: p95(values) for page, values in times[name].items()} for name in ("100k", "10m"))
    ratios = sorted(((many[page] / few[page], page) for page in few), reverse=True)
    report = Report()
    report.add("read.worst_p95_10m_over_100k", ratios[0][0], "×")
    report.add("read.median_p95_10m_over_100k", ratios[len(ratios) // 2][0], "×")
    report.add("read.most_queries", max(queries.values()), "queries")
    report.add("read.slowest_p95_ms_100k", max(few.values()), "ms")
    report.add("read.slowest_p95_ms_10m", max(many.values()), "ms")
    report.notes += [
        f"{page}: p95 {few[page]:.0f} ms, with 10 M {many[page]:.0f} ms ({ratio:.2f} ×), "
        f"{queries[page]} queries"
        for ratio, page in ratios[:SHOWN]
    ]
    return report
