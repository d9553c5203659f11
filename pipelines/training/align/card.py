"""The head as a person meets it: the table of figures, and the model card around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["head_card", "head_table"]

TEXT = """\
# A head: {name} into the space of {anchor_name}

It takes the vectors of `{name}` ({dim} dimensions) and makes vectors of {anchor_dim} dimensions that can be
compared with those of `{anchor_name}`. Space: `{space}`.

```python
embedders.create("{embedder}", head="FOLDER")
```

Method {method}, seed {seed}, learned from {train:,} pairs of a vector set (`{source}` and `{anchor}`), chosen by
{valid:,}, tested once on {test:,} in {groups:,} groups that neither learning nor choosing saw. {remarks}

## What it reaches

`@k` is the hit rate: how often what belongs to the query is among the first k of the gallery, in per cent, for the
head that is in this folder. *seeds* is the mean of @10 over {seeds} heads learned alike, with its deviation.

{table}

The centroids of the two sides lie {after:.3f} apart{before}.

## What it is not

It knows what its pairs showed, and nothing of other fields. Two heads, or a head and its anchor, may be compared
where their anchor is the same; they are still different embedders, whose similarities lie on different scales.
"""

WAYS = {"there": "{source} -> {anchor}", "back": "{anchor} -> {source}"}


def head_table(report: Mapping[str, Any]) -> str:
    """Both directions by method, chance last, as Markdown of at most 80 columns for names of usual length."""
    lines = []
    for way, title in WAYS.items():
        first = next(iter(report["methods"].values()))["test"][way]
        figures = {figure["metric"]: figure for figure in first["figures"]}
        ks = [name for name in ("hit_rate@1", "hit_rate@5", "hit_rate@10") if name in figures]
        shown = [name.removeprefix("hit_rate") for name in ks]
        named = title.format(source=report["source"], anchor=report["anchor"])
        lines += [f"{named}: {first['n']:,} queries, gallery of {first['against']:,}", ""]
        lines += [_row(["method", *shown, "seeds"]), _row([":---", *["---:"] * (len(ks) + 1)])]
        for method, found in report["methods"].items():
            values = {figure["metric"]: figure["value"] for figure in found["test"][way]["figures"]}
            lines.append(
                _row([method, *(_percent(values[k]) for k in ks), _seeds(found["seeds"][way]["hit_rate@10"])])
            )
        lines += [_row(["chance", *(_percent(figures[k]["chance"]) for k in ks), ""]), ""]
    return "\n".join(lines).rstrip()


def head_card(config: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """Markdown from what ``config.json`` and ``report.json`` hold."""
    before = report["gap"]["before"]
    chosen = report["methods"][report["method"]]
    return TEXT.format(
        name=config["embedder"]["name"],
        dim=config["embedder"]["dim"],
        anchor_name=config["anchor"]["name"],
        method=config["method"],
        anchor_dim=config["anchor"]["dim"],
        **{key: report[key] for key in ("space", "embedder", "seed", "source", "anchor")},
        **{key: report["rows"][key] for key in ("train", "valid", "test")},
        groups=report["groups"]["test"],
        remarks=" ".join(f"{remark}." for remark in report["remarks"]),
        seeds=len(chosen["seconds"]),
        table=head_table(report),
        after=report["gap"]["after"],
        before="" if before is None else f"; before the head, {before:.3f}",
    )


def _row(cells: list[str]) -> str:
    first, *others, last = cells
    return f"| {first:<10} | " + " | ".join(f"{cell:>6}" for cell in others) + f" | {last:>12} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _seeds(spread: Mapping[str, Any]) -> str:
    if spread["deviation"] is None:
        return ""
    return f"{100 * spread['mean']:.1f} ± {100 * spread['deviation']:.1f}"
