"""The first implementation had 80 known faults. Each has tests of its number, or can't be here."""

import ast
import re
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parent / "followups" / "first_implementation"
FAULTS = range(1, 81)
IMPOSSIBLE = {
    42: "No text is written by a language model: a message is its template's words and values.",
    55: "There is no database layer of our own that could lack a method: Django's is the only one.",
    56: "No SQL is rewritten on its way: parameters go to the driver beside the text, as Django sends them.",
}


def numbers_tested() -> Counter[int]:
    """How many test modules hold tests of each number."""
    found: set[tuple[int, str]] = set()
    for path in TESTS.glob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                match = re.fullmatch(r"test_orig_(\d\d)_[a-z0-9_]+", node.name)
                assert match, f"{path.name}: {node.name} names no fault"
                found.add((int(match[1]), path.name))
    return Counter(number for number, _ in found)


def test_every_fault_is_covered_exactly_once() -> None:
    tested = numbers_tested()
    assert {number: times for number, times in tested.items() if times > 1} == {}
    assert sorted([*tested, *IMPOSSIBLE]) == list(FAULTS)
    assert all(reason.endswith(".") for reason in IMPOSSIBLE.values())
