"""From a round's values to what is published: medians with their extremes, merged, and as a table."""

import json
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# What the product is to reach: the figure, whether at least or at most, how much.
TARGETS: Mapping[str, tuple[str, float]] = {
    "send.vs_post_office_best": ("≥", 1.0),
    "send.vs_post_office_default": ("≥", 1.5),
    "send.vs_noop_floor": ("≥", 0.8),
    "send.cpu_ms_per_message": ("≤", 1.0),
    "send_latency.vs_post_office_default": ("≥", 5.0),
    "send_latency.vs_post_office_same_threads": ("≥", 1.0),
    "schedule.vs_one_insert": ("≥", 0.5),
    "session_complete.p99_over_p50": ("≤", 3.0),
    "claim.p95_10m_over_100k": ("≤", 2.0),
    "claim.empty_p95_ms": ("≤", 2.0),
    "read.worst_p95_10m_over_100k": ("≤", 1.5),
    "read.slowest_p95_ms_100k": ("≤", 300.0),
    "read.most_queries": ("≤", 50.0),
    "lateness.p99_s_at_20": ("≤", 2.0),
    "scale.two_over_one": ("≥", 1.7),
}
# `schedule` also measures the call of a machine that tells of a completed session.
FAMILIES = {"schedule": ("schedule", "session_complete")}


def summary(values: Sequence[float], unit: str) -> dict[str, Any]:
    """``median``, ``min``, ``max`` with four digits that count, and the ``unit``."""
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {**{name: float(f"{value:.4g}") for name, value in found.items()}, "unit": unit}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them (0 to 1) does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -int(-len(ordered) * share // 1) - 1))]


def families(part: str) -> tuple[str, ...]:
    """The first words of the names of a part's figures."""
    return FAMILIES.get(part, (part.replace("-", "_"),))


def merged(old: Mapping[str, Any], measured: Mapping[str, Mapping[str, Any]], *, part: str) -> dict[str, Any]:
    """The figures of the part that was measured are replaced, the others kept."""
    kept = {name: each for name, each in old.items() if name.partition(".")[0] not in families(part)}
    return dict(sorted({**kept, **measured}.items()))


def verdict(name: str, median: float) -> str:
    """Whether a figure reaches its target; empty without one."""
    if name not in TARGETS:
        return ""
    how, wanted = TARGETS[name]
    is_met = median >= wanted if how == "≥" else median <= wanted
    return f"{how} {wanted:g} {'met' if is_met else 'MISSED'}"


def overview(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: every target, and what was measured."""
    lines = ["| Figure | Median | Target |", "|---|--:|---|"]
    for name, (how, wanted) in TARGETS.items():
        found = figures.get(name)
        middle = f"{found['median']:g} {found['unit']}" if found else "not measured"
        lines.append(
            f"| `{name}` | {middle} | {verdict(name, found['median']) if found else f'{how} {wanted:g}'} |"
        )
    return "\n".join(lines)


def page(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: for each family a table of ratios and targets, and one of who took what."""
    names = sorted({name.partition(".")[0] for name in figures})
    return "\n\n".join(_chapter(family, figures) for family in names)


def _chapter(family: str, figures: Mapping[str, Mapping[str, Any]]) -> str:
    own = {name: each for name, each in sorted(figures.items()) if name.partition(".")[0] == family}
    shown = [name for name in own if name in TARGETS or own[name]["unit"] == "×"]
    shown.sort(key=lambda name: name not in TARGETS)
    lines = [f"## {family}", ""]
    if shown:
        lines += ["| Figure | Median | Min to max | Target |", "|---|--:|--:|---|"]
        for name in shown:
            low, high = own[name]["min"], own[name]["max"]
            middle = f"{own[name]['median']:g} {own[name]['unit']}"
            lines.append(
                f"| `{name}` | {middle} | {low:g} to {high:g} | {verdict(name, own[name]['median'])} |"
            )
        lines.append("")
    # `family.metric` is the product's own, `family.subject.metric` another's.
    cells = {name: name.split(".")[1:] for name in own if own[name]["unit"] != "×"}
    subjects = sorted({".".join(words[:-1]) for words in cells.values()})
    metrics = sorted({words[-1] for words in cells.values()})
    if cells:
        lines += [" | ".join(["| Median (min to max)", *(each or "ours" for each in subjects)]) + " |"]
        lines += ["|---" + "|--:" * len(subjects) + "|"]
    for metric in metrics:
        found = [own.get(".".join(filter(None, (family, subject, metric)))) for subject in subjects]
        unit = next(each["unit"] for each in found if each)
        lines.append(f"| {metric.replace('_', ' ')}, {unit} | " + " | ".join(map(_cell, found)) + " |")
    return "\n".join(lines).strip()


def _cell(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return ""
    return f"{figure['median']:g} ({figure['min']:g} to {figure['max']:g})"


def machine(home: Path) -> dict[str, Any]:
    """What the figures were measured on; ``fsync_ms`` is what the disk takes to keep one small write."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "fsync_ms": round(_fsync_ms(home), 2),
        "load_before": round(os.getloadavg()[0], 1),  # of others: 0 on a machine that has nothing else to do
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _fsync_ms(home: Path) -> float:
    took = []
    with (home / "fsync").open("wb", buffering=0) as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(b"x" * 8192)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1_000


def publish(place: Path, *, machine: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
    """``latest.json`` for programs and ``latest.md`` for people."""
    place.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine, "figures": figures}, indent=2, ensure_ascii=False)
    (place / "latest.json").write_text(text + "\n", encoding="utf-8")
    about = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items())
    (place / "latest.md").write_text(
        f"# What `make bench` measured last\n\n{about}.\n\n{overview(figures)}\n\n{page(figures)}\n",
        encoding="utf-8",
    )


def published(place: Path) -> dict[str, Any]:
    """The figures of the last run, if there are any."""
    file = place / "latest.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))["figures"]) if file.exists() else {}
