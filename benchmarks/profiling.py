"""What workers and database spend their time on while they send: for whoever tunes them."""

import dataclasses
import io
import pstats
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.db import connection

from benchmarks.contenders import race
from benchmarks.ours import OurContender
from benchmarks.parts import Options, Report, say
from benchmarks.setup import OURS
from benchmarks.sink.control import Sink
from benchmarks.stage import Stage
from benchmarks.world import World

MESSAGES = 2_000
FUNCTIONS = 45
STATEMENTS = 25
END_SECONDS = 20.0
_TOP = """
    SELECT calls::float / %s, total_exec_time / %s, total_plan_time / %s, rows::float / %s,
           regexp_replace(query, '\\s+', ' ', 'g')
      FROM pg_stat_statements
     WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
     ORDER BY total_exec_time + total_plan_time DESC LIMIT %s
"""
_WORK = """
    SELECT xact_commit, wal_bytes, wal_fpi
      FROM pg_stat_database, pg_stat_wal WHERE datname = current_database()
"""


class Counted(OurContender):
    """Statements and commits are counted from its start: those that load its messages are not its own."""

    before: Sequence[Any] = ()

    def start(self) -> None:
        _ask("SELECT pg_stat_statements_reset()")
        self.before = _ask(_WORK)[0]
        super().start()


def measure(stage: Stage, options: Options) -> Report:
    """Send once as it is, for the statements, and once under the profiler, for the functions."""
    count = options.messages or MESSAGES
    sink, world = Sink(stage.ports["control"]), World(readers=count)
    _ask("CREATE EXTENSION pg_stat_statements")
    say("  as it is …")
    ours = Counted(stage, world, OURS)
    try:
        ours.workers.wait_until_ready()
        race(ours, stage, sink, count=min(count, 500))
        run = race(ours, stage, sink, count=count)
        after = _ask(_WORK)[0]
        statements = _ask(_TOP, count, count, count, count, STATEMENTS)
    finally:
        ours.close()
    say(f"\n{count} messages, {run.per_second:.0f}/s; a message, in ms of processor time:")
    say(", ".join(f"{group} {run.cpu_ms(group):.3f}" for group in run.cpu))
    commits, wal, images = (float(after[n] - ours.before[n]) / count for n in range(3))
    say(f"The database, a message: {commits:.2f} commits, {wal:.0f} bytes of log, {images:.2f} page images.")
    say("\nStatements, a message: calls, ms executing, ms planning, rows")
    for calls, executing, planning, rows, text in statements:
        say(f"{calls:7.3f} {executing:7.4f} {planning:7.4f} {rows:7.3f}  {text[:170]}")
    _profile(stage, world, sink, count)
    return Report()


def _profile(stage: Stage, world: World, sink: Sink, count: int) -> None:
    say("\n  under the profiler …")
    place = Path(stage.home) / "profile"
    place.mkdir()
    setup = dataclasses.replace(OURS, environment={**OURS.environment, "BENCH_PROFILE": str(place)})
    ours = OurContender(stage, world, setup, name="profiled", runner="benchmarks.profiled")
    try:
        ours.workers.wait_until_ready()
        race(ours, stage, sink, count=count)
    finally:
        ours.close(grace_seconds=END_SECONDS)
    text = io.StringIO()
    stats = pstats.Stats(*(str(file) for file in place.glob("*.pstats")), stream=text)
    for order, title in (("tottime", "in the function itself"), ("cumtime", "with what it calls")):
        stats.sort_stats(order).print_stats(FUNCTIONS)
        say(f"\nFunctions of the workers by processor time {title}; start and end of the process are in it:")
        lines = [line for line in text.getvalue().splitlines() if line.strip() and str(place) not in line]
        say("\n".join(line.replace(str(Path.cwd()) + "/", "") for line in lines))
        text.truncate(text.seek(0))


def _ask(statement: str, *values: float) -> Sequence[Sequence[Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []
