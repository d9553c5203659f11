"""The model card: how the weights were made, what they reach, and what they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["model_card"]

TEXT = """\
# starter

Three tiny towers with one space of {dim} dimensions: pictures of 64 x 64, captions of up to 24 words, sounds of
2.88 s. {weights:,} weights in half precision. Trained from nothing on drawn scenes (generator {generator}), with
no data but what the generator draws.

## How it was made

```bash
{command}
```

{steps:,} steps of {batch} examples, {examples:,} different ones, on {device} in {minutes:.0f} minutes; kept are the
weights of step {best:,}, which ranked held-out training scenes best. What was pulled together:
{pairs}.
With {versions} the same command repeats it, up to the rounding of floats.

## What it reaches

Scenes that training never saw, {rows} per split. `@k` is the hit rate: how often what belongs to the query is among
the first k of a gallery, in per cent with its 95 % interval; all columns after *median* rank are @10. *seeds* is
{seeds}. *untrained* are the same towers before training, *ridge* a regression from colour histograms, word counts
and mean spectra, *background* the same from the border of the pictures alone{pairs_note}. Colours, textures and the
difference between beside and above cannot be heard: *ceiling* is what a perfect listener reaches. {tables}

## The forced choice

Of a caption and the same with one attribute exchanged, how often is the right one nearer? In per cent; a coin gets
50.

{swap}

## Single attributes by words alone

Pictures and sounds of a single group, given to the nearest of the mean vectors of captions, per value of an
attribute: accuracy in per cent, chance in brackets.

{zero_shot}

## What it is not

It knows eight shapes, eight colours and eight noises of a drawn world. Of photographs, speech, music and other
words it says nothing useful, and none of the figures above is about them. Unknown words count as words without
meaning, loudness is not heard, and proportions of pictures are not seen.

## Licence

The weights are given away under CC0-1.0, the code that makes them under Apache-2.0. No third-party material is in
them.
"""


def model_card(manifest: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Markdown from what ``manifest.json`` and ``eval.json`` hold."""
    plan = manifest["plan"]
    facts = {**plan, **{name: manifest[name] for name in ("command", "device", "dim", "weights")}}
    return TEXT.format(
        **{name: value for name, value in facts.items() if name not in ("minutes", "pairs", "seeds")},
        minutes=manifest["seconds"] / 60,
        best=manifest["best_step"],
        pairs=", ".join(" with ".join(pair) for pair in manifest["pairs"]),
        versions=", ".join(" ".join(pair) for pair in manifest["versions"].items()),
        rows=f"{found['rows']:,}",
        tables="".join(_split(name, directions) for name, directions in found["splits"].items()),
        swap=_swap(found["swap"]),
        zero_shot=_zero_shot(found["zero_shot"]),
        seeds=_seeds(found["seeds"]),
        pairs_note=", and *no-direct* a training of captions with pictures and of captions with sounds, in which"
        " pictures and sounds never met"
        if any("no-direct" in row for rows in found["splits"].values() for row in rows.values())
        else "",
    )


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) < 2:
        return "left empty for a single training"
    return f"mean and standard deviation over trainings of the seeds {', '.join(map(str, seeds))}"


BESIDE = ("untrained", "ridge", "background", "no-direct")


def _split(split: str, directions: Mapping[str, Any]) -> str:
    lines = []
    beside = [name for name in BESIDE if any(name in found for found in directions.values())]
    for gallery in next(iter(directions.values()))["trained"]:
        titles = ["from, to", "@1", "@5", "@10", "median", "seeds", "chance", *beside, "ceiling", "of it"]
        lines += [
            f"\n\n### {split}, gallery of {gallery}\n",
            f"| {' | '.join(titles)} |",
            "|---" * len(titles) + "|",
        ]
        for name, found in directions.items():
            trained = found["trained"][gallery]
            hits = [trained[f"hit_rate@{k}"] for k in (1, 5, 10) if f"hit_rate@{k}" in trained]
            last = [metric for metric in trained if metric.startswith("hit_rate@")][-1]
            cells = [name, *(f"{_percent(h['value'])} ({'–'.join(map(_percent, h['interval']))})" for h in hits)]
            cells += [f"{trained['median_rank']['value']:.0f}", _over_seeds(found.get("seeds"), gallery, last)]
            cells.append(_percent(hits[-1]["chance"]))
            cells += [_percent(found[other][gallery][last]["value"]) if other in found else "" for other in beside]
            top = found["ceiling"][gallery][last] if "ceiling" in found else None
            cells += ["", ""] if top is None else [_percent(top), f"{hits[-1]['value'] / top:.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _over_seeds(seeds: Mapping[str, Any] | None, gallery: str, metric: str) -> str:
    if seeds is None:
        return ""
    return f"{_percent(seeds[gallery][metric]['mean'])} ± {_percent(seeds[gallery][metric]['deviation'])}"


def _zero_shot(splits: Mapping[str, Any]) -> str:
    names = list(dict.fromkeys(name for fields in splits.values() for rows in fields.values() for name in rows))
    lines = [f"| split, asked | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for split, fields in splits.items():
        for field, rows in fields.items():
            found = {name: row["accuracy@1"] for name, row in rows.items()}
            cells = [
                f"{_percent(found[n]['value'])} ({_percent(found[n]['chance'])})" if n in found else ""
                for n in names
            ]
            lines.append(f"| {split}, {field} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _swap(splits: Mapping[str, Any]) -> str:
    names = list(dict.fromkeys(name for fields in splits.values() for rows in fields.values() for name in rows))
    lines = [f"| split, asked | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for split, fields in splits.items():
        for field, rows in fields.items():
            cells = [
                f"{_percent(rows[n]['accuracy']['value'])} of {rows[n]['n']}" if n in rows else "" for n in names
            ]
            lines.append(f"| {split}, {field} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
