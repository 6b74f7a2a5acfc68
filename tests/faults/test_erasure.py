"""The proof that an erasure leaves no trace, with every process of the product running."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from tests.faults.scenario import Verdict
from tests.faults.simulator.client import ROOT
from tests.faults.traces import hits, tables_with


def test_nothing_is_said_before_and_nothing_is_left_after_an_erasure(tmp_path: Path) -> None:
    result = tmp_path / "verdict.json"
    command = [sys.executable, "-m", "tests.faults.play", "erasure", json.dumps({"seed": 1}), str(result)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=900)
    verdict = Verdict(**json.loads(result.read_text()))
    assert verdict.problems == []
    assert {row["place"]: row["after"] for row in verdict.rows} == {
        "PostgreSQL": 0,
        "Redis and tasks": 0,
        "logs": 0,
    }
    assert next(row["before"] for row in verdict.rows if row["place"] == "PostgreSQL") != 0


def test_a_trace_is_found_however_it_is_written() -> None:
    words = {"email": "a@b.test", "name": "குயில்"}
    for text in (
        "To: A@B.test",
        f"?q={quote('a@b.test')}",
        json.dumps({"name": "குயில்"}),
        json.dumps({"name": "குயில்"}).replace("\\", "\\\\"),
        f"{{'name': 'குயில்'}} {quote('குயில்')}",
    ):
        assert hits(text, words), text
    assert hits("a b test", words) == {}
    dump = "\nCOPY public.one (id) FROM stdin;\n1\n\\.\n\nCOPY public.two (x) FROM stdin;\na@b.test\n\\.\n"
    assert tables_with(dump, words) == ["two: {'email': 1}"]
