"""``make mutants``: plants each bug in a copy of the tree and runs the tests that must notice it.

    python -m tests.mutants [PATTERN]    only the bugs whose names match this regular expression

Prints one table; ends with 1 when a bug survived, or when the tests fail without any.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit

from jyotiflow.local.servers import Servers, throwaway_servers
from tests.mutants.catalogue import MUTATIONS
from tests.mutants.mutation import Mutation

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.pyc")
AT_ONCE = 2
LONGEST_RUN_SECONDS = 600
FAILED, PASSED = 1, 0  # pytest's exit codes; any other means that the tests could not be run at all


@dataclass(frozen=True)
class Bench:
    """A copy of the tree with databases of its own, for one run of tests at a time."""

    number: int
    tree: Path
    servers: Servers

    def run(self, tests: Sequence[str], *, makes_schema: bool = False) -> tuple[int, str]:
        """Run tests up to the first failure; answers the exit code and the failing test, or what was said."""
        name = f"{'schema' if makes_schema else 'bench'}{self.number}"
        environment = {
            **os.environ,
            "DATABASE_URL": urlsplit(self.servers.database_url)._replace(path=f"/{name}").geturl(),
            "REDIS_URL": self.servers.redis_url,
            "PYTEST_XDIST_WORKER": f"gw{self.number}",  # so the servers are taken as they are given
            "PYTHONDONTWRITEBYTECODE": "1",  # a bug as long as the code it replaces must not be missed
        }
        how = ["-q", "-x", "-rfE", "--no-header", "--tb=no", "--durations=0", "-p", "no:cacheprovider"]
        how.append("--create-db" if makes_schema else "--reuse-db")
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", *how, *tests],
            cwd=self.tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_RUN_SECONDS,
        )
        lines = ran.stdout.splitlines()
        failures = [line.split(" ")[1] for line in lines if line.startswith(("FAILED ", "ERROR "))]
        said = failures[0] if failures else "\n".join(lines[-15:] + ran.stderr.splitlines()[-15:])
        return ran.returncode, said

    def plant(self, mutation: Mutation) -> tuple[int, str]:
        """Run a mutation's tests with its bug in the tree, and take it out again."""
        place = self.tree / mutation.file
        sound = place.read_text()
        place.write_text(mutation.applied(self.tree))
        try:
            return self.run(mutation.caught_by, makes_schema=mutation.is_of_schema)
        finally:
            place.write_text(sound)


@dataclass(frozen=True)
class Verdict:
    mutation: Mutation
    code: int
    said: str
    seconds: float

    @property
    def is_caught(self) -> bool:
        return self.code == FAILED

    def __str__(self) -> str:
        if self.is_caught:
            found = self.said
        else:
            found = "SURVIVED" if self.code == PASSED else f"COULD NOT BE RUN ({self.code})\n{self.said}"
        return f"{self.mutation.name:<58} {self.seconds:5.0f} s  {found}"


def main(pattern: str) -> int:
    chosen = [mutation for mutation in MUTATIONS if re.search(pattern, mutation.name)]
    for mutation in chosen:
        mutation.applied(ROOT)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="jyotiflow-mutants-") as home, throwaway_servers() as servers:
        benches: SimpleQueue[Bench] = SimpleQueue()
        for number in range(AT_ONCE):
            tree = Path(home) / str(number)
            shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
            benches.put(Bench(number, tree, servers))

        def judge(mutation: Mutation) -> Verdict:
            bench = benches.get()
            began = time.monotonic()
            try:
                code, said = bench.plant(mutation)
            finally:
                benches.put(bench)
            verdict = Verdict(mutation, code, said, time.monotonic() - began)
            print(verdict, flush=True)
            return verdict

        def is_sound(tests: Sequence[str]) -> bool:
            bench = benches.get()
            try:
                code, said = bench.run(tests)
            finally:
                benches.put(bench)
            if code != PASSED:
                print(f"Without any bug planted: {said}")
            return code == PASSED

        tests = sorted({test for mutation in chosen for test in mutation.caught_by})
        with ThreadPoolExecutor(AT_ONCE) as hands:
            print(f"{len(tests)} groups of tests, without any bug …", flush=True)
            halves = [half for half in (tests[::2], tests[1::2]) if half]  # no tests named would mean all
            if not all(list(hands.map(is_sound, halves))):
                return 1
            verdicts = list(hands.map(judge, chosen))
    caught = sum(verdict.is_caught for verdict in verdicts)
    print(f"{caught} of {len(verdicts)} planted bugs were caught, in {time.monotonic() - started:.0f} s.")
    return 0 if caught == len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
