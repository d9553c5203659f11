"""What installed packages declare, read from their metadata alone: no plugin is imported."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from importlib import metadata

__all__ = ["EMBEDDERS", "ENCODINGS", "MODALITIES", "NAME", "OURS", "Entry", "installed"]

EMBEDDERS = "multimodal_embedders.embedders"
ENCODINGS = "multimodal_embedders.encodings"
MODALITIES = "multimodal_embedders.modalities"

OURS = "multimodal-embedders"

NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")


@dataclass(frozen=True)
class Entry:
    """One registered name: where its class is, and which installed distribution declared it."""

    name: str
    target: str
    """``package.module:Class``, imported on first use."""
    provider: str
    """The distribution and its version, or ``register()``."""
    extra: str = ""
    """What to install when the import fails: ``multimodal-embedders[mteb]``."""
    problem: str = ""
    """Why the name cannot be used though it is installed; empty where it can."""
    kind: str = "embedder"
    """``encoding`` where nothing was learnt, as ``BaseEmbedder.kind``."""
    missing: tuple[str, ...] = ()
    """Distributions that the extra asks for and that are not installed."""

    @property
    def distribution(self) -> str:
        """The distribution's name without its version; empty where none is known or two claim the name."""
        name, _, version = self.provider.partition(" ")
        return name if version and " " not in version else ""


def installed(group: str) -> dict[str, Entry]:
    """The entries of a group by name; embedders come with the encodings.

    A name that two packages claim goes to neither, were one a built-in: its entry says so.
    """
    found: dict[str, Entry] = {}
    for door in (EMBEDDERS, ENCODINGS) if group == EMBEDDERS else (group,):
        for point in metadata.entry_points(group=door):
            entry, other = _entry(point, group), found.get(point.name)
            if other is None:
                found[point.name] = entry
            elif (other.target, other.kind) != (entry.target, entry.kind):
                found[point.name] = _contested(other, entry)
    return found


def _entry(point: metadata.EntryPoint, group: str) -> Entry:
    provider, extra, problem = "unknown", "", ""
    missing: tuple[str, ...] = ()
    if point.dist is not None:
        provider = f"{point.dist.name} {point.dist.version}"
        extra = f"{point.dist.name}[{','.join(point.extras)}]" if point.extras else ""
        missing = _missing(point.dist, point.extras)
    if not NAME.fullmatch(point.name) or ("." in point.name) is not (group == EMBEDDERS):
        problem = f"{point.name!r}, from {provider}, is no name. Ask its author for one like 'audio.birds'"
    kind = "encoding" if point.group == ENCODINGS else "embedder"
    return Entry(point.name, point.value.split("[")[0].strip(), provider, extra, problem, kind, missing)


def _missing(distribution: metadata.Distribution, extras: Collection[str]) -> tuple[str, ...]:
    """What these extras of a distribution ask for and this installation has not, by metadata alone."""
    found = []
    for line in (distribution.requires or ()) if extras else ():
        wanted, name = re.search(r"extra\s*==\s*['\"]([^'\"]+)", line), re.match(r"[\w.-]+", line)
        if wanted and name and wanted[1] in extras and not _is_here(name[0]):
            found.append(name[0])
    return tuple(found)


def _is_here(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _contested(one: Entry, other: Entry) -> Entry:
    """The entry of a name that two packages claim; none of them gets it, a built-in's neither."""
    problem = (
        f"Two packages provide {one.name!r}: {one.provider} and {other.provider}. "
        f"Uninstall one, or name the class itself: {one.target} or {other.target}"
    )
    return replace(one, provider=f"{one.provider} and {other.provider}", problem=problem)
