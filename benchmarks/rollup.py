"""`rollup`: the figures of a day of a million messages, recomputed from them."""

from benchmarks.ages import aged, run, sizes_of
from benchmarks.parts import Options, Report, say
from benchmarks.stage import Stage


def measure(stage: Stage, options: Options) -> Report:
    """A million were booked within a day and sent within another: all the days they touch are recomputed."""
    own = aged(stage, sizes_of(options)["1m"] * 10 // 9, days=1)
    report = Report()
    for number in range(options.rounds):
        seconds = float(run(own, "benchmarks.figuring", "4", quietly=True))
        report.add("rollup.seconds_1m", seconds, "s")
        say(f"  round {number + 1}: {seconds:.1f} s")
    return report
