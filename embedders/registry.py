"""From names to embedders and modalities; listing imports nothing.

A name is ``modality.variant``: ``image.clip``. The modality alone stands for its default. Built-ins come through
the same door as strangers, the entry-point groups below; ``register`` serves notebooks and tests, and
``package.module:Class`` needs no registration.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any

from embedders.base import BaseEmbedder
from embedders.errors import ContractError, SetupError, UsageError, nearest
from embedders.modality import Modality

__all__ = [
    "Entry",
    "Registry",
    "create",
    "entries",
    "find",
    "modalities",
    "modality",
    "parse",
    "register",
    "registry",
]

EMBEDDERS = "multimodal_embedders.embedders"
MODALITIES = "multimodal_embedders.modalities"

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")


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


class Registry:
    """Names to classes. One instance serves the process; tests make their own."""

    def __init__(self) -> None:
        self._classes: dict[str, type] = {}
        self._registered: dict[str, dict[str, Entry]] = {EMBEDDERS: {}, MODALITIES: {}}
        self._installed: dict[str, dict[str, Entry]] = {}
        self._instances: dict[str, Modality] = {}

    def entries(self, group: str = EMBEDDERS) -> Mapping[str, Entry]:
        """All names of a group in order, read from package metadata alone.

        A name that two packages claim, or that is none, is listed with its problem and refused when it is used:
        one bad package takes no other's name with it.
        """
        return dict(sorted({**self._from_metadata(group), **self._registered[group]}.items()))

    def register(self, name: str, cls: type) -> None:
        """Add an embedder (``modality.variant``) or a modality (one word) for this process.

        Raises UsageError if the name is taken by another class or does not fit the pattern.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name", "Lower-case letters, digits and _: 'audio.birds', 'video'")
        kind, group = (BaseEmbedder, EMBEDDERS) if "." in name else (Modality, MODALITIES)
        if not (isinstance(cls, type) and issubclass(cls, kind)):
            raise UsageError(f"{name!r} cannot be {cls!r}: it is not a {kind.__name__} class")
        target = f"{cls.__module__}:{cls.__qualname__}"
        known = self.entries(group).get(name)
        if known is not None and self._classes.get(name) is not cls and known.target != target:
            raise UsageError(f"{name!r} is taken: {known.target} from {known.provider}, and now {target}")
        self._registered[group][name] = Entry(name, target, "register()")
        self._classes[name] = cls
        self._instances.pop(name, None)

    def find(self, name: str) -> type[BaseEmbedder]:
        """The embedder class of a name, of a modality's default, or of ``package.module:Class``."""
        if ":" in name:
            cls = self._import(Entry(name, name, "given by path"))
        else:
            if "." not in name:
                name = self._default(name)
            cls = self._load(EMBEDDERS, name)
        if not (isinstance(cls, type) and issubclass(cls, BaseEmbedder)):
            raise ContractError(f"{name!r} leads to {cls!r}, which is not an embedder class")
        return cls

    def full_name(self, name: str) -> str:
        """``image`` becomes ``image.resnet50``; a full name or path stays."""
        return name if "." in name or ":" in name else self._default(name)

    def create(self, reference: str, **options: Any) -> BaseEmbedder:
        """An embedder from a reference like ``image.clip`` or ``text.bert(pooling=cls)`` plus options.

        Options in brackets win over those given by name.
        """
        name, bracketed = parse(reference)
        return self.find(name)(**{**options, **bracketed})

    def modality(self, name: str) -> Modality:
        """The modality of a name; one instance each, since they have no state."""
        if name not in self._instances:
            cls = self._load(MODALITIES, name)
            if not issubclass(cls, Modality):
                raise ContractError(f"The modality {name!r} leads to {cls!r}, which is not a Modality class")
            self._instances[name] = cls()
        return self._instances[name]

    def modalities(self) -> list[Modality]:
        """All modalities, in order of their names."""
        return [self.modality(name) for name in self.entries(MODALITIES)]

    def _default(self, name: str) -> str:
        if name not in self.entries(MODALITIES):
            raise UsageError(f"There is no embedder {name!r}", nearest(name, self.entries()))
        defaults = self.modality(name).defaults
        if not defaults:
            raise UsageError(f"The modality {name!r} has no default embedder", f"Name one: {name}.<variant>")
        return defaults[0]

    def _load(self, group: str, name: str) -> type:
        entries = self.entries(group)
        if name not in entries:
            kind = "embedder" if group == EMBEDDERS else "modality"
            raise UsageError(f"There is no {kind} {name!r}", nearest(name, entries))
        if entries[name].problem:
            raise SetupError(entries[name].problem)
        if name not in self._classes:
            self._classes[name] = self._import(entries[name])
        return self._classes[name]

    def _import(self, entry: Entry) -> Any:
        module, _, attribute = entry.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            missing = str(error.name)
            cure = f"Install it: pip install '{entry.extra or missing}'"
            if missing == module or module.startswith(missing + "."):
                cure = f"{entry.name!r} comes from {entry.provider}"
            raise SetupError(f"{entry.name!r} needs the package {missing!r}, which is missing", cure) from error
        except (Exception, SystemExit) as error:
            raise SetupError(
                f"{entry.name!r} ({entry.target}, from {entry.provider}) cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _from_metadata(self, group: str) -> dict[str, Entry]:
        if group not in self._installed:
            found: dict[str, Entry] = {}
            for point in metadata.entry_points(group=group):
                entry, other = _entry(point, group), found.get(point.name)
                if other is None:
                    found[point.name] = entry
                elif other.target != entry.target:
                    found[point.name] = _contested(other, entry)
            self._installed[group] = found
        return self._installed[group]


def _entry(point: metadata.EntryPoint, group: str) -> Entry:
    provider, extra, problem = "unknown", "", ""
    if point.dist is not None:
        provider = f"{point.dist.name} {point.dist.version}"
        extra = f"{point.dist.name}[{','.join(point.extras)}]" if point.extras else ""
    if not _NAME.fullmatch(point.name) or ("." in point.name) is not (group == EMBEDDERS):
        problem = f"{point.name!r}, from {provider}, is no name. Ask its author for one like 'audio.birds'"
    return Entry(point.name, point.value.split("[")[0].strip(), provider, extra, problem)


def _contested(one: Entry, other: Entry) -> Entry:
    """The entry of a name that two packages claim; none of them gets it, a built-in's neither."""
    problem = (
        f"Two packages provide {one.name!r}: {one.provider} and {other.provider}. "
        f"Uninstall one, or name the class itself: {one.target} or {other.target}"
    )
    return replace(one, provider=f"{one.provider} and {other.provider}", problem=problem)


def parse(reference: str) -> tuple[str, dict[str, Any]]:
    """Split ``name(option=value, ...)``: values are JSON where they can be, else text.

    Raises UsageError for anything else.
    """
    match = re.fullmatch(r"\s*([^\s()]+)\s*(?:\((.*)\))?\s*", reference, re.DOTALL)
    if match is None:
        raise UsageError(f"{reference!r} is no embedder", "Write image.clip or text.bert(pooling=cls, ...)")
    options: dict[str, Any] = {}
    for part in _arguments(match[2] or ""):
        key, equals, value = part.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key.isidentifier():
            raise UsageError(f"{part.strip()!r} in {reference!r} is no option", "Write name(option=value, ...)")
        if key in options:
            raise UsageError(f"{reference!r} gives {key!r} twice")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return match[1], options


def _arguments(text: str) -> list[str]:
    """Cut at commas outside quotes and brackets."""
    parts, depth, quoted, escaped = [""], 0, False, False
    for char in text:
        if char == '"' and not escaped:
            quoted = not quoted
        escaped = quoted and char == "\\" and not escaped
        depth += (char in "([{") - (char in ")]}") if not quoted else 0
        if char == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return [part for part in parts if part.strip()]


registry = Registry()
"""The registry of this process."""

create = registry.create
entries = registry.entries
find = registry.find
modalities = registry.modalities
modality = registry.modality
register = registry.register
