"""Databases with years of history behind them, made once a run."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from benchmarks.parts import Invalid, Options, say
from benchmarks.stage import ROOT, Stage
from jyotiflow.local.postgres import DATABASE_NAME

SIZES: Final[Mapping[str, int]] = {"100k": 100_000, "1m": 1_000_000, "10m": 10_000_000}


def sizes_of(options: Options) -> Mapping[str, int]:
    """How many follow-ups each age has: a hundredth of ``messages`` and so on for a quick look."""
    if not options.messages:
        return SIZES
    return {"100k": options.messages, "1m": options.messages * 10, "10m": options.messages * 100}


def aged(stage: Stage, rows: int, *, days: int | None = None) -> Stage:
    """The stage on a database of so many follow-ups, which later parts find again."""
    name = f"history_{rows}" + (f"_{days}" if days else "")
    with psycopg.connect(stage.url_of("postgres"), autocommit=True) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
        if known is None:
            # Loading writes some 30 GB: as it is, the server would spend its time on checkpoints.
            connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
            connection.execute("SELECT pg_reload_conf()")
            create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(create.format(sql.Identifier(name), sql.Identifier(DATABASE_NAME)))
    own = stage.on(name)
    if known is None:
        say(f"  {rows:,} follow-ups are made …")
        run(own, "benchmarks.history", str(rows), *([str(days)] if days else []))
    return own


def run(stage: Stage, module: str, *words: str, quietly: bool = False) -> str:
    """A module of ours in a process of its own, on the stage's database; returns what it wrote, if quiet."""
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        env={
            **stage.environment,
            "DJANGO_SETTINGS_MODULE": "jyotiflow.settings",
            "PUBLIC_BASE_URL": "http://testserver",
            "ALLOWED_HOSTS": "testserver",
        },
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE if quietly else None,
        stderr=subprocess.PIPE if quietly else None,
    )
    if done.returncode:
        raise Invalid(f"{module} failed.\n{(done.stderr or '')[-2000:]}")
    return done.stdout or ""


def p95(values: Sequence[float]) -> float:
    """The value that 95 of 100 stay below."""
    ordered: list[Any] = sorted(values)
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))])
