"""What is printed and what is kept: a Markdown table per workload, and everything as JSON."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tests.benchmarks.speed.agreement import agreement
from tests.benchmarks.speed.rounds import Entry, ratios, summary
from tests.benchmarks.speed.workloads import OURS

__all__ = ["break_even", "limit", "machine_lines", "record", "table"]


def limit(decode: float | None, forward: float | None) -> float | None:
    """The rate that no work-conserving pipeline passes where both share the cores, from the rates of each alone."""
    return 1 / (1 / decode + 1 / forward) if decode and forward else None


def record(
    entries: Mapping[str, Entry], reference: str, count: int, ceilings: Mapping[str, Entry]
) -> dict[str, Any]:
    """Everything that is known of a workload, as JSON values."""
    rates = {name: _median([t["rate"] for t in entry.told if t.get("rate")]) for name, entry in ceilings.items()}
    alone = rates.get("forward only")
    found: dict[str, Any] = {"inputs": count, "reference": reference, "contenders": {}}
    found["ceilings"] = {
        **rates,
        "work-conserving": limit(rates.get("decode only"), alone),
        "work-conserving, our decoders": limit(rates.get("decode only, ours"), alone),
        "problems": {name: entry.problem for name, entry in ceilings.items() if entry.problem},
    }
    right = entries[reference].columns if reference in entries else {}
    for name, entry in entries.items():
        found["contenders"][name] = _contender(entry, entries, right, count)
    return found


def _contender(
    entry: Entry, entries: Mapping[str, Entry], right: Mapping[str, np.ndarray], count: int
) -> dict[str, Any]:
    counted = [outcome for outcome in entry.outcomes if outcome.counts]
    finished = counted or [outcome for outcome in entry.outcomes if not outcome.error]
    seconds = _median([outcome.seconds for outcome in finished])
    told = [report for report in entry.told if report]
    return {
        "problem": entry.problem,
        "note": entry.contender.note,
        "precision": entry.contender.precision,
        "settings": dict(entry.settings),
        "sweep": entry.sweep,
        "versions": entry.versions,
        "disturbed": sum(outcome.disturbed for outcome in entry.outcomes),
        "all_disturbed": bool(finished) and not counted,
        "seconds": seconds,
        "items_per_second": count / seconds if seconds else None,
        "steady_items_per_second": _median([t["rate"] for t in told if t.get("rate")]),
        "stages": told[0].get("stages", {}) if told else {},
        "peak_mb": _median([outcome.peak_bytes / 1e6 for outcome in finished]),
        "cpu_seconds": _median([outcome.cpu_seconds for outcome in finished]),
        "ratio": {
            ours: summary(ratios(entry.outcomes, entries[ours].outcomes))
            for ours in OURS
            if ours in entries and entry is not entries[ours] and len(entry.outcomes) == len(entries[ours].outcomes)
        },
        "ours_ahead_from": break_even(_cost(entries.get("ours"), count), _cost(entry, count)),
        "agreement": _agreement(entry.columns, right),
        "runs": [{key: value for key, value in asdict(o).items() if key != "output"} for o in entry.outcomes],
    }


def _cost(entry: Entry | None, count: int) -> tuple[float, float] | None:
    """Seconds before the first input, and per input once it is running."""
    runs = zip(entry.outcomes, entry.told, strict=True) if entry is not None else ()
    known = [(outcome.seconds, 1 / told["rate"]) for outcome, told in runs if told.get("rate")]
    if not known:
        return None
    seconds, each = (statistics.median(values) for values in zip(*known, strict=True))
    return seconds - count * each, each


def break_even(ours: tuple[float, float] | None, peer: tuple[float, float] | None) -> float | None:
    """From how many inputs on ours is done first, from (seconds at first, seconds per input) of both.

    0 where it is from the first, infinity where it never is, None where a figure is missing.
    """
    if ours is None or peer is None:
        return None
    later, faster = ours[0] - peer[0], peer[1] - ours[1]
    if faster <= 0:
        return math.inf
    return max(later / faster, 0.0)


def _agreement(columns: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """By column; one column without a name is compared with the only one that there is."""
    if not columns or not right:
        return {}
    pairs = [(name, columns[name], right[name]) for name in columns if name in right]
    if not pairs and len(columns) == len(right) == 1:
        pairs = [(next(iter(columns)), *columns.values(), *right.values())]
    found: dict[str, Any] = {}
    for name, a, b in pairs:
        try:
            found[name] = asdict(agreement(a, b))
        except ValueError as error:
            found[name] = {"problem": str(error)}
    return found


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def machine_lines(machine: Mapping[str, Any]) -> str:
    """The machine in a few lines of Markdown."""
    rates = ", ".join(f"{name} {value:,}" for name, value in machine["gemm_gflops"].items())
    versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items())
    return "\n".join(
        [
            f"{machine['processor']}, {len(machine['cores'])} of {machine['of_cores']} cores, "
            f"{machine['memory_gb']} GB; {' '.join(machine['flags'])}  ",
            f"GEMM, GFLOP/s: {rates}  ",
            f"Python {machine['python']}; {versions}; {machine['date']}",
        ]
    )


HEAD = (
    "| contender | seconds | /s | steady /s | ours is faster by | ours exact by | peak MB | cosine p1 | rel. L2 "
    "| top 10 | |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)


def table(name: str, found: Mapping[str, Any]) -> str:
    """One workload: contenders, then ceilings. A ratio whose rounds lie on both sides of 1 is marked with ~."""
    amount = "".join(f", {value:,.0f} {unit}" for unit, value in found.get("amount", {}).items())
    lines = [f"### {name}: {found['inputs']:,} inputs{amount}", "", HEAD]
    for contender, row in found["contenders"].items():
        lines.append(_line(contender, row, found["reference"]))
    if rates := {key: value for key, value in found["ceilings"].items() if isinstance(value, float)}:
        lines += ["", "Ceilings: " + "; ".join(f"{key} {value:,.1f}/s" for key, value in rates.items())]
        best = rates.get("work-conserving, our decoders")
        ours = found["contenders"].get("ours", {})
        if best and ours.get("items_per_second"):
            whole, steady = ours["items_per_second"] / best, ours["steady_items_per_second"] / best
            lines.append(f"Ours reaches {whole:.0%} of the last one, {steady:.0%} once it is running.")
    ahead = {key: row["ours_ahead_from"] for key, row in found["contenders"].items() if key not in OURS}
    told = [f"{key} {inputs:,.0f}" for key, inputs in ahead.items() if inputs is not None and inputs < math.inf]
    if told:
        lines += ["", f"Inputs from which on ours is done first: {'; '.join(told)}"]
    for key, problem in found["ceilings"].get("problems", {}).items():
        lines.append(f"{key}: {problem}")
    return "\n".join(lines) + "\n"


def _line(name: str, row: Mapping[str, Any], reference: str) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in row["settings"].items())
    label = f"{name} ({settings})" if settings else name
    if row["seconds"] is None:
        return f"| {label} | – | | | | | | | | | {row['problem'] or 'not run'} |"
    agreed = [value for value in row["agreement"].values() if "problem" not in value]
    worst = (
        f"{min(a['cosine_p1'] for a in agreed):.5f} | {max(a['relative_l2'] for a in agreed):.1e} "
        f"| {min(a['overlap'] for a in agreed):.3f}"
        if agreed and name != reference
        else "reference | | "
        if name == reference
        else " | | "
    )
    said = [row["note"], row["problem"]]
    said += [value["problem"] for value in row["agreement"].values() if "problem" in value]
    if row["disturbed"]:
        said.append(f"{row['disturbed']} of {len(row['runs'])} rounds disturbed by others")
    steady = row["steady_items_per_second"]
    return (
        f"| {label} | {row['seconds']:.1f} | {row['items_per_second']:.1f} | {f'{steady:.1f}' if steady else ''} "
        f"| {_ratio(row['ratio'].get('ours'))} | {_ratio(row['ratio'].get('ours exact'))} | {row['peak_mb']:,.0f} "
        f"| {worst} | {'; '.join(filter(None, said))} |"
    )


def _ratio(found: Mapping[str, float] | None) -> str:
    if found is None:
        return ""
    both = "~ " if found["min"] < 1 < found["max"] else ""
    return f"{both}{found['median']:.2f} ({found['min']:.2f}–{found['max']:.2f})"
