"""From values to what is published."""

import json
from pathlib import Path

import pytest

from benchmarks.figures import (
    TARGETS,
    families,
    merged,
    page,
    percentile,
    publish,
    published,
    summary,
    verdict,
)


def test_a_summary_has_the_median_and_the_extremes() -> None:
    assert summary([3.0, 1.0, 20.0], "ms") == {"median": 3.0, "min": 1.0, "max": 20.0, "unit": "ms"}
    assert summary([1.0, 2.0], "×")["median"] == 1.5
    assert summary([1234.5678], "ms")["median"] == 1235.0
    assert summary([0.000123456], "s")["median"] == 0.0001235


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


def test_percentiles_of_few_values() -> None:
    assert percentile([7.0], 0.5) == percentile([7.0], 0.99) == 7.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.51) == 3.0


def test_a_part_replaces_its_own_figures_and_no_others() -> None:
    old = {"send.gone": {"median": 1}, "send_latency.kept": {"median": 2}, "claim.kept": {"median": 3}}
    new = merged(old, {"send.new": {"median": 4}}, part="send")
    assert list(new) == ["claim.kept", "send.new", "send_latency.kept"]
    assert new["send.new"] == {"median": 4}


def test_a_part_may_have_several_families() -> None:
    assert families("send-latency") == ("send_latency",)
    old = {"session_complete.p99_over_p50": {"median": 1}, "send.kept": {"median": 2}}
    assert list(merged(old, {}, part="schedule")) == ["send.kept"]


def test_a_target_is_met_or_missed() -> None:
    assert verdict("send.vs_noop_floor", 0.8) == "≥ 0.8 met"
    assert verdict("send.vs_noop_floor", 0.79) == "≥ 0.8 MISSED"
    assert verdict("send.cpu_ms_per_message", 1.0) == "≤ 1 met"
    assert verdict("send.cpu_ms_per_message", 1.01) == "≤ 1 MISSED"
    assert verdict("send.msgs_per_s", 5.0) == ""


def test_a_page_has_targets_and_ratios_first_and_then_who_took_what() -> None:
    figures = {
        "send.cpu_ms_per_message": summary([0.9, 1.0, 1.2], "ms"),
        "send.peer.cpu_ms_per_message": summary([2.0], "ms"),
        "send.peer.peak_mb": summary([50.0], "MB"),
        "send.vs_peer": summary([2.0], "×"),
    }
    assert page(figures).splitlines() == [
        "## send",
        "",
        "| Figure | Median | Min to max | Target |",
        "|---|--:|--:|---|",
        "| `send.cpu_ms_per_message` | 1 ms | 0.9 to 1.2 | ≤ 1 met |",
        "| `send.vs_peer` | 2 × | 2 to 2 |  |",
        "",
        "| Median (min to max) | ours | peer |",
        "|---|--:|--:|",
        "| cpu ms per message, ms | 1 (0.9 to 1.2) | 2 (2 to 2) |",
        "| peak mb, MB |  | 50 (50 to 50) |",
    ]


def test_what_is_published_can_be_read_again(tmp_path: Path) -> None:
    place = tmp_path / "results"
    assert published(place) == {}
    figures = {"send.vs_noop_floor": summary([0.9, 0.7], "×")}
    publish(place, machine={"cores": 2}, figures=figures)
    assert json.loads((place / "latest.json").read_text()) == {"machine": {"cores": 2}, "figures": figures}
    assert published(place) == figures
    assert "| `claim.empty_p95_ms` | not measured | ≤ 2 |" in (place / "latest.md").read_text()
    assert "| `send.vs_noop_floor` | 0.8 × | 0.7 to 0.9 | ≥ 0.8 met |" in (place / "latest.md").read_text()


def test_every_target_belongs_to_a_family_a_part_could_have() -> None:
    assert all(name.partition(".")[2] for name in TARGETS)
