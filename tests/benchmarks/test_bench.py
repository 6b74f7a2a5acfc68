"""`make bench` itself, as small as it gets: every contender sends, and it is gone afterwards."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST_SECONDS = 240

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")


def bench(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run it with its temporary place in ``home``."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(home)},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
    )


def test_every_contender_sends_every_mail_once(tmp_path: Path) -> None:
    results = ROOT / "benchmarks" / "results" / "latest.json"
    before = results.read_bytes() if results.exists() else None
    others = set(Path("/var/tmp").glob("jyotiflow-bench-*"))
    done = bench("--only", "send", "--rounds", "1", "--messages", "20", home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("ours", "noop_floor", "post_office_default", "post_office_threads", "post_office_best"):
        assert f"{name} " in done.stdout
    assert "`send.vs_post_office_best`" in done.stdout
    left = {path for place in (tmp_path, Path("/var/tmp")) for path in place.glob("jyotiflow-bench-*")}
    assert left <= others
    assert (results.read_bytes() if results.exists() else None) == before


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = bench("--only", "sned", home=tmp_path)
    assert done.returncode == 2
    assert "there is no sned" in done.stderr
