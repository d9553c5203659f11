"""What a query is, which columns it can be compared with, and the embedder that brings it into their space."""

from __future__ import annotations

import inspect
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedders import BaseEmbedder, EmbedError, UsageError, anchor_space
from embedders.errors import nearest
from embedders.registry import MODALITIES, parse, registry
from pipelines.vectors import ColumnInfo, VectorColumn, VectorSet

__all__ = ["Aim", "Query", "aim"]


@dataclass(frozen=True)
class Query:
    """An input that a modality can decode, before it is embedded."""

    raw: Any
    modality: str

    def __str__(self) -> str:
        return str(self.raw) if isinstance(self.raw, str | Path) else f"<{type(self.raw).__name__}>"


@dataclass(frozen=True)
class Aim:
    """A query with the columns it searches, all comparable with each other, and the embedder that leads there."""

    query: Query
    columns: tuple[VectorColumn, ...]
    embedder: BaseEmbedder


def aim(vs: VectorSet, query: Any, column: str | None = None, by: str | None = None) -> Aim:
    """Settle how a query is meant and what it searches; loads no weights.

    A path, and a ``str`` that names an existing file, are of the modality that takes files of such a suffix; any
    other ``str`` is the input itself, of a modality that takes inputs inline. ``by`` names the modality where that
    leaves a choice, and where the query is ``bytes`` or media.

    Without ``column`` the query searches the columns of the one space that it reaches by an embedder of the set;
    where there is none, by any installed embedder that leads there with the options of the set's (a text tower for
    a set of pictures). Columns made with a head are searched along with those of its anchor's space.

    Raises UsageError, with the choices, where there are several spaces or none, and where an embedder made from
    the recorded options no longer leads to the recorded space.
    """
    readings = list(_readings(query, by))
    columns = [vs[column]] if column is not None else list(vs.columns.values())
    pairs = list(itertools.product(readings, columns))
    ways = [(reading, found) for reading, found in pairs if _sources(vs, reading, found)]
    foreign: dict[tuple[str, str], BaseEmbedder] = {}
    if not ways:
        reasons: list[str] = []
        for reading, found in pairs:
            way = (reading.modality, anchor_space(found.space))
            embedder = foreign.get(way) or _kin(reading.modality, found.info, reasons)
            if embedder is not None:
                foreign[way] = embedder
        ways = [(r, found) for r, found in pairs if (r.modality, anchor_space(found.space)) in foreign]
        if not ways:
            raise _unreachable(vs, readings, columns, reasons)
    spaces = dict.fromkeys(anchor_space(found.space) for _, found in ways)
    modalities = dict.fromkeys(reading.modality for reading, _ in ways)
    if len(modalities) > 1:
        raise UsageError(
            f"The query {str(readings[0])!r} can be {' or '.join(modalities)}", _choose("by", modalities)
        )
    if len(spaces) > 1:
        choices = "; ".join(
            f"{', '.join(found.info.name for _, found in ways if anchor_space(found.space) == space)} ({space})"
            for space in spaces
        )
        raise UsageError(
            f"The query can be compared with columns of {len(spaces)} spaces: {choices}",
            _choose("in", [found.info.name for _, found in ways]),
        )
    reading, first = ways[0]
    way = (reading.modality, anchor_space(first.space))
    chosen = foreign[way] if foreign else _rebuilt(_sources(vs, reading, first)[0])
    return Aim(reading, tuple(found for _, found in ways), chosen)


def _readings(query: Any, by: str | None) -> Iterator[Query]:
    """The ways a query can be meant: at least one, else UsageError."""
    if by is not None and by not in registry.entries(MODALITIES):
        raise UsageError(f"There is no modality {by!r}", nearest(by, registry.entries(MODALITIES)))
    known = [modality for modality in registry.modalities() if by in (None, modality.name)]
    if not isinstance(query, str | Path):
        if by is None:
            cure = _choose("by", [modality.name for modality in known])
            raise UsageError(f"A query of type {type(query).__name__} does not tell its modality", cure)
        yield Query(query, by)
        return
    suffix = os.path.splitext(query)[1].lower()
    takers = [modality for modality in known if suffix in modality.suffixes]
    inline = [modality for modality in known if modality.inline]
    if isinstance(query, Path) or (os.path.isfile(query) and (suffix or not inline)):
        if not os.path.isfile(query):
            raise UsageError(f"There is no file {str(query)!r}")
        if not takers and by is None:
            suffixes = ", ".join(sorted(suffix for modality in known for suffix in modality.suffixes))
            raise UsageError(f"No modality takes the file {str(query)!r} by its suffix", f"Known: {suffixes}")
        yield from (Query(Path(query), modality.name) for modality in takers or known)
        return
    if by is None and takers and (os.sep in query or not any(character.isspace() for character in query)):
        cure = _choose("by", [modality.name for modality in inline])
        raise UsageError(f"There is no file {query!r}", f"If these very words are meant: {cure}")
    if not inline:
        raise UsageError(f"There is no file {query!r}, and {by!r} takes nothing but files")
    yield from (Query(query, modality.name) for modality in inline)


def _choose(option: str, choices: Iterable[str]) -> str:
    argument = {"in": "column", "by": "by"}[option]
    return f"Choose with --{option} (in Python {argument}=): {', '.join(dict.fromkeys(choices))}"


def _sources(vs: VectorSet, query: Query, column: VectorColumn) -> list[ColumnInfo]:
    """The set's columns whose embedder takes the query to where it is compared with a column; its own first.

    After it come those of its very space, and last those that stand beside it by a head.
    """
    infos = [column.info, *(other.info for other in vs.columns.values() if other is not column)]
    space = anchor_space(column.space)
    found = [info for info in infos if anchor_space(info.space) == space and info.modality == query.modality]
    return sorted(found, key=lambda info: info.space != column.space)


def _rebuilt(info: ColumnInfo) -> BaseEmbedder:
    embedder = registry.create(info.embedder, **info.fingerprint.get("options", {}))
    if embedder.spec.space != info.space:
        raise UsageError(
            f"{info.embedder} with the options of the column {info.name!r} leads to the space "
            f"{embedder.spec.space!r} today; the column holds {info.space!r}",
            "Bring the weights back that it was made with, or run again",
        )
    return embedder


def _kin(modality: str, info: ColumnInfo, reasons: list[str]) -> BaseEmbedder | None:
    """An installed embedder of a modality that leads to a column's space with the options of the column's own.

    For a column that a head made these are the options of the embedder that the head was anchored to.
    """
    anchor = info.fingerprint.get("details", {}).get("anchor")
    recorded = anchor or {"name": info.embedder, "options": info.fingerprint.get("options", {})}
    variant = parse(recorded["name"])[0].rpartition(".")[2]
    names = [name for name in registry.entries() if name.split(".")[0] == modality]
    for name in sorted(names, key=lambda name: name.split(".")[1] != variant):  # a tower's twin is its namesake
        try:
            cls = registry.find(name)
            taken = inspect.signature(cls.__init__).parameters
            options = {key: value for key, value in recorded["options"].items() if key in taken}
            embedder = cls(**options)
            space = embedder.spec.space
        except EmbedError as error:
            reasons.append(f"{name}: {error}")
        except Exception as error:  # options of a stranger: whatever it raises, it is no way there
            reasons.append(f"{name}: {type(error).__name__}: {error}")
        else:
            if space == anchor_space(info.space) and embedder.spec.modality == modality:
                return embedder
            reasons.append(f"{name} leads to {space!r}")
    return None


def _unreachable(
    vs: VectorSet, readings: Sequence[Query], columns: Sequence[VectorColumn], reasons: Sequence[str]
) -> UsageError:
    modalities = " or ".join(dict.fromkeys(reading.modality for reading in readings))
    mine = {c.info.name: c.space for c in vs.columns.values() if c.info.modality in {r.modality for r in readings}}
    theirs = ", ".join(f"{column.info.name!r} ({column.space})" for column in columns)
    if mine:
        reached = ", ".join(dict.fromkeys(mine.values()))
        spaces = {anchor_space(space) for space in mine.values()}
        reachable = [c.info.name for c in vs.columns.values() if anchor_space(c.space) in spaces]
        return UsageError(
            f"A query of modality {modalities} leads to the space {reached}, and only vectors of one space can "
            f"be compared; there is no way to {theirs}",
            _choose("in", reachable),
        )
    tried = "; ".join(dict.fromkeys(reasons)) or "none is installed"
    return UsageError(f"No embedder of modality {modalities} leads to {theirs}", f"Tried: {tried}")
