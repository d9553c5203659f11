"""Which embedder fills which column: from the user's words to one list, checked before anything runs."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embedders import BaseEmbedder, EmbedderSpec, Runtime, UsageError
from embedders.errors import nearest
from embedders.registry import parse, registry
from pipelines.vectors import ColumnInfo

__all__ = ["Column", "columns_for"]

Choice = str | BaseEmbedder

PLAIN = Runtime()


@dataclass(frozen=True)
class Column:
    """The vectors of one field by one embedder."""

    name: str
    field: str
    reference: str
    embedder: BaseEmbedder
    runtime: Runtime = PLAIN
    """Where and how it is embedded."""

    @functools.cached_property
    def spec(self) -> EmbedderSpec:
        """The embedder's spec, read once: it may look at files, and every record and batch needs it."""
        return self.embedder.spec

    @property
    def modality(self) -> str:
        """The modality of the field."""
        return self.spec.modality

    @property
    def exact(self) -> bool:
        """Whether inputs are decoded and prepared as the embedder's own library would, whatever that costs."""
        return self.runtime.exact

    @functools.cached_property
    def at_least(self) -> int | None:
        """What decoding must leave of an input's shorter side; None: everything."""
        return self.embedder.at_least(registry.modality(self.modality), self.runtime)

    def info(self) -> ColumnInfo:
        """What is recorded of the column."""
        spec = self.spec
        decoding = self.embedder.decoding(registry.modality(spec.modality), self.runtime)
        return ColumnInfo(
            name=self.name,
            field=self.field,
            embedder=self.reference,
            modality=spec.modality,
            space=spec.space,
            dim=spec.dim,
            dtype="float32",
            normalized=spec.normalized,
            fingerprint={**self.embedder.fingerprint(self.runtime), "decoding": decoding},
        )


def columns_for(
    fields: Sequence[str],
    embed: Mapping[str, Choice | Sequence[Choice]] | None = None,
    weights: str | Mapping[str, str] | None = None,
    models: str | None = None,
) -> list[Column]:
    """The columns of a run over a source with these fields.

    ``embed`` maps a field to one or several embedders: a name (``image.clip``), a modality for its default
    (``image``), a name with options (``text.bert(pooling=cls)``, where ``as=`` names the column's variant) or an
    instance. Without it, every field named like a modality gets that modality's default embedders, or with
    ``models`` the one of that name (``starter``: ``image.starter``, ``text.starter``, ``audio.starter``), where
    its modality has one. ``weights`` is one option for every embedder that takes weights, or one per embedder name.

    Raises UsageError for fields or names that do not exist, for a field with embedders of two modalities, and
    for weights given to an embedder that the run does not use.
    """
    chosen = _chosen(fields, embed, models)
    columns: list[Column] = []
    shared: dict[str, BaseEmbedder] = {}
    used: set[str] = set()
    for field, choices in chosen.items():
        for choice in choices:
            columns.append(_column(field, choice, weights, shared, used))
        modalities = {column.modality for column in columns if column.field == field}
        if len(modalities) > 1:
            raise UsageError(f"The field {field!r} has one modality, not {' and '.join(sorted(modalities))}")
    if isinstance(weights, Mapping):
        for name in weights:
            if registry.full_name(name) not in used:
                raise UsageError(
                    f"Weights are given for {name!r}, which this run does not use", nearest(name, used)
                )
    return columns


def _chosen(
    fields: Sequence[str], embed: Mapping[str, Choice | Sequence[Choice]] | None, models: str | None
) -> dict[str, Sequence[Choice]]:
    if embed and models is not None:
        raise UsageError(
            f"There is a choice of embedders by field ({', '.join(embed)}) and one for all, models {models!r}",
            "Give one of them",
        )
    if embed:
        for field in embed:
            if field not in fields:
                raise UsageError(f"The source has no field {field!r}", nearest(field, fields))
        return {f: [c] if isinstance(c, str | BaseEmbedder) else list(c) for f, c in embed.items()}
    known = {modality.name: modality.defaults for modality in registry.modalities()}
    if models is not None:
        variants = {name.partition(".")[2]: None for name in registry.entries()}
        if models not in variants:
            raise UsageError(f"No embedder is named like models {models!r}", nearest(models, variants))
        known = {name: (f"{name}.{models}",) for name in known if f"{name}.{models}" in registry.entries()}
    found: dict[str, Sequence[Choice]] = {f: known[f] for f in fields if known.get(f)}
    if not found:
        named = ", ".join(map(repr, fields)) or "none"
        example = f"--embed {fields[0] if fields else 'FIELD'}={next(iter(registry.entries()), 'NAME')}"
        raise UsageError(
            f"No field is named like a modality ({', '.join(known)}); the source's fields: {named}",
            f"Name an embedder for a field: {example}",
        )
    return found


def _column(
    field: str,
    choice: Choice,
    weights: str | Mapping[str, str] | None,
    shared: dict[str, BaseEmbedder],
    used: set[str],
) -> Column:
    if isinstance(choice, BaseEmbedder):
        name = _name_of(choice)
        used.add(name)
        return Column(f"{field}_{_variant(name)}", field, name, choice)
    name, options = parse(choice)
    name = registry.full_name(name)
    used.add(name)
    variant = str(options.pop("as", "")) or _variant(name)
    given = _weights_for(name, weights)
    if given is not None and "weights" not in options:
        options["weights"] = given
    # fields that share an embedder share its loaded weights
    key = json.dumps([name, options], sort_keys=True)
    if key not in shared:
        shared[key] = registry.create(name, **options)
    return Column(f"{field}_{variant}", field, name, shared[key])


def _name_of(embedder: BaseEmbedder) -> str:
    """The name that its class is registered under, one of its modality where there are several; else its path."""
    target = f"{type(embedder).__module__}:{type(embedder).__qualname__}"
    names = [entry.name for entry in registry.entries().values() if entry.target == target]
    mine = [name for name in names if name.split(".")[0] == embedder.spec.modality]
    return (mine or names or [target])[0]


def _weights_for(name: str, weights: str | Mapping[str, str] | None) -> str | None:
    if isinstance(weights, Mapping):
        return next((value for key, value in weights.items() if registry.full_name(key) == name), None)
    if weights is not None and not _takes_weights(registry.find(name)):
        return None
    return weights


def _takes_weights(cls: type[Any]) -> bool:
    import inspect

    return "weights" in inspect.signature(cls.__init__).parameters


def _variant(name: str) -> str:
    """``image.clip`` becomes ``clip``, ``birds.songs:SongEmbedder`` becomes ``songembedder``."""
    return name.split(":")[-1].lower() if ":" in name else name.split(".")[-1]
