"""What stands in an output folder, held against what is asked for: nothing, some or all of it, or another run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from embedders.errors import RefusedError
from pipelines.vectors.manifest import MANIFEST, Commit, commit_file, manifest_values, read_commit
from pipelines.vectors.run import RUN, Run
from pipelines.vectors.schema import FORMAT
from pipelines.vectors.storage import LOCK, Storage, json_bytes

__all__ = [
    "Standing",
    "agreeing",
    "check_file",
    "differences",
    "examine",
    "refuse_foreign",
    "same_run",
    "strays",
]

DIFFERENCES = 10
"""Differences of two runs that an error lists; it counts the others."""

VALUE_WIDTH = 24
"""Characters shown of a value that differs; hashes are told apart by fewer."""

ELSEWHERE = "Choose another folder"


@dataclass
class Standing:
    """What of a run is already there.

    ``broken`` says per file what is wrong with it, or nothing where it only goes with another; all of these are
    made again. ``whole`` is True where nothing remains to be done.
    """

    commits: dict[int, Commit] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    whole: bool = False


def refuse_foreign(storage: Storage) -> None:
    """Raise RefusedError, saying what stands there, where no run of this version can begin or go on.

    For a look before anything costly: whether the run is the same is seen when its columns are known.
    """
    out = str(storage.root)
    if storage.root.is_symlink():
        raise RefusedError(f"{out!r} is a link to {os.path.realpath(out)!r}", "Name the folder itself")
    if storage.root.exists() and not storage.root.is_dir():
        raise RefusedError(f"{out!r} is a file", ELSEWHERE)
    names = _names(storage)
    if not names:
        return
    damage: RefusedError | None = None
    try:
        values = storage.read_json(RUN) if RUN in names else None
    except RefusedError as error:
        values, damage = None, error
    if isinstance(values, dict) and {"format", "columns", "plan"} <= set(values):
        if values["format"] != FORMAT:
            found = f"The set in {out!r} has format {values['format']!r}; this version writes {FORMAT}"
            raise RefusedError(found, ELSEWHERE)
    elif not any(name.startswith("part-") for name in storage.names("commits")):
        if damage:
            raise RefusedError(
                str(damage), f"Nothing is committed there: remove the folder, or {ELSEWHERE.lower()}"
            )
        raise RefusedError(f"{out!r} holds other files ({', '.join(names[:3])})", ELSEWHERE)


def same_run(storage: Storage, run: Run) -> bool | None:
    """Whether ``run.json`` is the run that is asked for; None where nothing stands in the folder.

    False where it is missing or damaged and commit records say by their seal that the run is the same. RefusedError
    for a folder of anything else, with what differs where that is another run. Changes nothing.
    """
    refuse_foreign(storage)
    if not _names(storage):
        return None
    try:
        stored = Run.read(storage)
    except RefusedError as error:
        problem = RefusedError(str(error), f"Remove the folder, or {ELSEWHERE.lower()}")
    else:
        if stored.deciding == run.deciding:
            return True
        problem = _another(storage, stored, run)
    if any(_sealed(storage, part, run) for part in range(len(run.parts))):
        return False
    raise problem


def examine(storage: Storage, run: Run, *, trust: bool) -> Standing | None:
    """What is there of a run; None where nothing stands in the folder. Changes nothing.

    Every part is checked by size, and by SHA-256 unless ``trust``. Raises what :func:`same_run` raises.
    """
    same = same_run(storage, run)
    if same is None:
        return None
    standing = Standing()
    if not same:
        standing.broken[RUN] = "is missing or damaged; the commit records say that the run is this one"
    recorded = set(storage.names("commits"))
    for part in range(len(run.parts)):
        if commit_file(part).rpartition("/")[2] in recorded:
            try:
                commit = read_commit(storage, part, run)
            except RefusedError as error:
                standing.broken[commit_file(part)] = str(error)
                continue
            try:
                check_file(storage, commit, trust=trust)
                standing.commits[part] = commit
            except RefusedError as error:
                standing.broken |= {commit.file: str(error), commit_file(part): ""}
    good = {name for part, commit in standing.commits.items() for name in (commit_file(part), commit.file)}
    for name in strays(storage, good):
        standing.broken.setdefault(name, "belongs to no committed part")
    if storage.exists(MANIFEST):
        standing.whole = not standing.broken and len(standing.commits) == len(run.parts)
        standing.whole = standing.whole and agreeing(storage, run, standing.commits)
        if not standing.whole:
            standing.broken[MANIFEST] = "does not agree with the parts that are there"
    return standing


def check_file(storage: Storage, commit: Commit, *, trust: bool = False) -> None:
    """Raise RefusedError unless a part's file has the size and, unless ``trust``, the SHA-256 of its commit."""
    path = str(storage.path(commit.file))
    if not storage.exists(commit.file):
        raise RefusedError(f"{path!r} is missing")
    if (size := storage.size(commit.file)) != commit.bytes:
        raise RefusedError(f"{path!r} has {size:,} bytes; {commit.bytes:,} were committed")
    if not trust and storage.sha256(commit.file) != commit.sha256:
        raise RefusedError(f"{path!r} has another SHA-256 than was committed")


def strays(storage: Storage, known: Set[str]) -> Iterator[str]:
    """Files that are named like those of a part, other than the known ones."""
    for folder in ("commits", "data"):
        for name in storage.names(folder):
            if name.startswith("part-") and f"{folder}/{name}" not in known:
                yield f"{folder}/{name}"


def agreeing(storage: Storage, run: Run, commits: Mapping[int, Commit]) -> bool:
    """Whether the manifest is, to the byte, that of a run with all of these commits."""
    try:
        errors = storage.read_json(MANIFEST)["source_errors"]
        return storage.read_bytes(MANIFEST) == json_bytes(manifest_values(run, commits, errors))
    except (RefusedError, TypeError, KeyError, ValueError):
        return False


def differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Where two runs differ, as lines ``columns.photo_clip.dim: 512 -> 768``; the plan's parts come last."""
    return sorted(_differing("", _by_name(stored), _by_name(asked)), key=lambda line: line.startswith("plan.parts"))


def _names(storage: Storage) -> list[str]:
    return [name for name in storage.names(".") if name != LOCK]


def _another(storage: Storage, stored: Run, run: Run) -> RefusedError:
    found = differences(stored.deciding, run.deciding)
    more = [f"and {len(found) - DIFFERENCES} more"] if len(found) > DIFFERENCES else []
    return RefusedError(
        f"Another run stands in {str(storage.root)!r}, and nothing was written; there -> asked for",
        "Ask for the same to go on with it, or choose another folder",
        found[:DIFFERENCES] + more,
    )


def _sealed(storage: Storage, part: int, run: Run) -> bool:
    try:
        return bool(read_commit(storage, part, run))
    except RefusedError:
        return False


def _by_name(values: Mapping[str, Any]) -> dict[str, Any]:
    """A run with its columns by name, so that a difference names its column, and their order beside them."""
    columns = {column["name"]: column for column in values["columns"]}
    return {**values, "columns": columns, "order of columns": list(columns)}


def _differing(path: str, stored: Any, asked: Any) -> Iterator[str]:
    if stored == asked:
        return
    if isinstance(stored, dict) and isinstance(asked, dict):
        for key in dict.fromkeys([*stored, *asked]):
            yield from _differing(f"{path}.{key}" if path else key, stored.get(key), asked.get(key))
    elif isinstance(stored, list) and isinstance(asked, list) and len(stored) == len(asked) and _nested(stored):
        for index, pair in enumerate(zip(stored, asked, strict=True)):
            yield from _differing(f"{path}[{index}]", *pair)
    else:
        yield f"{path}: {_short(stored)} -> {_short(asked)}"


def _nested(values: list[Any]) -> bool:
    return any(isinstance(value, dict | list) for value in values)


def _short(value: Any) -> str:
    if value is None:
        return "none"
    shown = repr(value)
    return shown if len(shown) <= VALUE_WIDTH else f"{shown[: VALUE_WIDTH - 1]}…"
