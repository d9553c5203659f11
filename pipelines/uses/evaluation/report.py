"""Outcomes as a person reads them: Markdown tables that fit 80 columns."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.uses.evaluation.figures import Figure, Outcome

__all__ = ["as_markdown"]

SIDES = {
    "retrieval": ("queries", "gallery"),
    "gap": ("rows", ""),
    "duplicates": ("rows", ""),
    "clustering": ("rows", "clusters"),
    "knn": ("rows asked", "to learn from"),
    "probe": ("rows asked", "to learn from"),
    "zero_shot": ("rows", "classes"),
    "sts": ("pairs", ""),
    "swap": ("rows", ""),
}
"""What ``n`` and ``against`` count, per protocol."""

WIDTH = 80


def as_markdown(outcomes: Iterable[Outcome]) -> str:
    """One section per outcome: what was compared, a table of figures, then notes and what was left out."""
    return "\n\n".join(_section(outcome) for outcome in outcomes) + "\n"


def _section(outcome: Outcome) -> str:
    arrow = " -> " if outcome.protocol == "retrieval" else ", "
    title = (
        f"### {outcome.protocol}: {arrow.join(outcome.columns)}" if outcome.columns else f"### {outcome.protocol}"
    )
    asked, held = SIDES.get(outcome.protocol, ("rows", ""))
    facts = [f"{outcome.n:,} {asked}"] if outcome.n else []
    facts += [f"{outcome.against:,} {held}"] if held else []
    facts += [f"seed {outcome.seed}"]
    facts += [f"fingerprint{'s' * (len(outcome.fingerprints) > 1)} {' '.join(outcome.fingerprints)}"]
    lines = [title, "", *_wrapped(", ".join(facts)), "", *_table(outcome.figures)]
    said = [f"{count:,} {reason}" for reason, count in outcome.left_out.items()]
    remarks = [*([f"left out: {', '.join(said)}"] if said else []), *outcome.notes]
    if remarks:
        lines.append("")
    for remark in remarks:
        first, *rest = _wrapped(remark, WIDTH - 2)
        lines += [f"- {first}", *(f"  {line}" for line in rest)]
    return "\n".join(lines)


def _table(figures: Iterable[Figure]) -> list[str]:
    rows = [("metric", "value", "95 % interval", "chance")]
    for figure in figures:
        interval = (
            "" if figure.low is None or figure.high is None else f"{_number(figure.low)} to {_number(figure.high)}"
        )
        chance = "" if figure.chance is None else _number(figure.chance)
        rows.append((figure.metric, _number(figure.value), interval, chance))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    lines.insert(1, f"| {' | '.join(rule)} |")
    return lines


def _number(value: float) -> str:
    """Four decimals, fewer where the number is large: a rank of 1234.0000 says no more than 1234."""
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.1f}"


def _wrapped(line: str, width: int = WIDTH) -> list[str]:
    import textwrap

    return textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
