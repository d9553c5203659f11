"""The model card: how the weights were made, what they reach, and what they are not."""

from __future__ import annotations

from collections.abc import Mapping
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
the first k of a gallery, in per cent with its 95 % interval. *untrained* are the same towers before training,
*ridge* a regression from colour histograms, word counts and mean spectra. Colours, textures and the difference
between beside and above cannot be heard: *ceiling* is what a perfect listener reaches. {tables}

## The forced choice

Of a caption and the same with one attribute exchanged, how often is the right one nearer? In per cent; a coin gets
50.

{swap}

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
        **{name: value for name, value in facts.items() if name not in ("minutes", "pairs")},
        minutes=manifest["seconds"] / 60,
        best=manifest["best_step"],
        pairs=", ".join(" with ".join(pair) for pair in manifest["pairs"]),
        versions=", ".join(" ".join(pair) for pair in manifest["versions"].items()),
        rows=f"{found['rows']:,}",
        tables="".join(_split(name, directions) for name, directions in found["splits"].items()),
        swap=_swap(found["swap"]),
    )


def _split(split: str, directions: Mapping[str, Any]) -> str:
    lines = []
    for gallery in next(iter(directions.values()))["trained"]:
        lines += [
            f"\n\n### {split}, gallery of {gallery}\n",
            "| from, to | @1 | @5 | @10 | median | chance of each | untrained @1 | ridge @1 | ceiling @1, @10 |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for name, found in directions.items():
            trained, top = found["trained"][gallery], found.get("ceiling", {}).get(gallery)
            hits = [trained[f"hit_rate@{k}"] for k in (1, 5, 10) if f"hit_rate@{k}" in trained]
            cells = [name, *(f"{_percent(h['value'])} ({'–'.join(map(_percent, h['interval']))})" for h in hits)]
            cells += [f"{trained['median_rank']['value']:.0f}", ", ".join(_percent(h["chance"]) for h in hits)]
            cells += [_percent(found[other][gallery]["hit_rate@1"]["value"]) for other in ("untrained", "ridge")]
            cells.append(", ".join(_percent(top[f"hit_rate@{k}"]) for k in (1, 10)) if top else "")
            lines.append(f"| {' | '.join(cells)} |")
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
