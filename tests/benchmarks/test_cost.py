"""Whose processor time it was."""

import os
import subprocess
import sys

import pytest

from benchmarks.cost import Meter, Process, machine_seconds, parse_stat, processes, trees

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
BURN = "import time\nwhile time.process_time() < 0.5: pass"


def test_a_name_may_hold_anything() -> None:
    numbers = " ".join(str(number) for number in range(1, 50))
    found = parse_stat(f"7 (a) b (c) S {numbers}")
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    assert found == Process(7, 1, (11 + 12 + 13 + 14) / tick, 21 * page)


def test_a_tree_holds_grandchildren_and_no_strangers() -> None:
    table = [Process(pid, parent, 0.0, 0) for pid, parent in ((4, 3), (3, 2), (2, 1), (9, 1), (1, 0))]
    assert {each.pid for each in trees([2], table)} == {2, 3, 4}


def test_what_has_ended_is_still_counted_once() -> None:
    """A parent that starts two children, one after the other, that burn half a second each."""
    script = f"""
import subprocess, sys
for _ in range(2):
    subprocess.run([sys.executable, "-c", {BURN!r}])
    sys.stdin.readline()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as parent:
        assert parent.stdin
        meter = Meter({"burners": [parent.pid], "nobody": []})
        while not (meter.seconds()["burners"] >= 0.5 and len(trees([parent.pid], processes())) == 1):
            pass
        after_one = meter.seconds()["burners"]
        parent.stdin.write(b"\n")
        parent.stdin.flush()
        while len(trees([parent.pid], processes())) == 1:
            pass
        while len(trees([parent.pid], processes())) > 1:
            meter.look()
        seconds = meter.seconds()
        parent.stdin.close()
    assert 0.5 <= after_one < 0.9
    assert 1.0 <= seconds["burners"] < 1.6
    assert seconds["nobody"] == 0
    assert 0 <= meter.elsewhere() <= 1
    assert meter.peaks()["burners"] > 5
    assert meter.peaks()["nobody"] == 0


def test_what_is_nobodys_is_elsewhere() -> None:
    meter = Meter({"nobody": []})
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert meter.elsewhere() >= 0.4 / (os.cpu_count() or 1) / 3  # at the least, however busy the machine is
    busy, everything = machine_seconds()
    assert 0 < busy < everything
