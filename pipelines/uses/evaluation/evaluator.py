"""Protocols on a vector set: which columns go into each, and what runs with what is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from embedders.base import anchor_space
from embedders.errors import UsageError, nearest
from embedders.registry import registry
from pipelines.uses.evaluation.classes import class_vectors, zero_shot
from pipelines.uses.evaluation.clusters import clustering
from pipelines.uses.evaluation.figures import Outcome
from pipelines.uses.evaluation.neighbours import knn
from pipelines.uses.evaluation.pairs import duplicates, forced_choice, gap, sts
from pipelines.uses.evaluation.probe import linear_probe
from pipelines.uses.evaluation.ranking import KS, retrieval
from pipelines.uses.evaluation.recorded import fingerprint_hash, rebuilt
from pipelines.uses.evaluation.selection import Selection
from pipelines.uses.evaluation.truth import Truth

if TYPE_CHECKING:
    from embedders import BaseEmbedder
    from pipelines.vectors import VectorSet

__all__ = ["NEEDS", "Evaluator"]

NEEDS: Mapping[str, tuple[str, ...]] = {
    "retrieval": (),
    "gap": (),
    "duplicates": (),
    "knn": ("label",),
    "probe": ("label",),
    "clustering": ("label",),
    "zero_shot": ("label", "templates"),
    "sts": ("score",),
    "swap": ("swap",),
}
"""Every protocol, and what it cannot do without beside the set."""

MEANINGLESS = "random weights: these vectors carry no meaning, and so do the figures"


class Evaluator:
    """Evaluates the columns of one set; the same seed gives the same figures.

    ``sample`` takes only that many rows, drawn by the seed: exact retrieval compares every row with every other,
    which 10,000 rows stand and 1,000,000 do not. Raises UsageError for truth of which nothing is in the set, and
    for a group that lies in two splits.
    """

    def __init__(
        self, vectors: VectorSet, truth: Truth | None = None, *, seed: int = 0, sample: int | None = None
    ) -> None:
        self.vectors = vectors
        self.seed = seed
        self.selection = Selection(vectors, truth, seed, sample)

    # ---- one protocol ----------------------------------------------------------------------------------------

    def retrieval(self, a: str, b: str, *, ks: Sequence[int] = KS) -> Outcome:
        """From column ``a`` to column ``b`` of the same space; rows belong by group, else row i to row i.

        Queries are the ok rows of ``a``, the gallery those of ``b``. Within a group, rows with the same input (by
        its SHA-256) count once on each side: a picture with five captions is one picture.
        """
        self._same_space(a, b)
        grouped = self.selection.has("group")
        left_out: Counter[str] = Counter()
        sides = []
        for column, side in ((a, "queries"), (b, "gallery")):
            rows, missing = self.selection.rows([column], ["group"] if grouped else [])
            if grouped:
                rows = self.selection.once_per_group(column, rows, missing)
            left_out.update({f"{reason} ({side})": count for reason, count in missing.items()})
            groups = self.selection.known("group", rows) if grouped else rows
            sides.append((self.selection.vectors_of(column, rows), groups))
        (queries, asked), (gallery, held) = sides
        found = retrieval(queries, gallery, asked, held, ks=ks, seed=self.seed)
        return self._signed(found, (a, b), left_out)

    def gap(self, a: str, b: str) -> Outcome:
        """Distance of the centroids of two columns of one space, over rows that are ok in both."""
        self._same_space(a, b)
        return self._apply(gap, (a, b))

    def duplicates(self, column: str) -> Outcome:
        """Share of rows whose vector is not theirs alone."""
        return self._apply(duplicates, (column,))

    def knn(self, column: str) -> Outcome:
        """Nearest neighbours against the labels; the given split, else every row against those of other groups."""
        return self._apply(knn, (column,), "label", split=True)

    def probe(self, column: str) -> Outcome:
        """Linear probe against the labels; the given split, else five folds by group."""
        return self._apply(linear_probe, (column,), "label", split=True)

    def clustering(self, column: str) -> Outcome:
        """k-means against the labels."""
        return self._apply(clustering, (column,), "label")

    def sts(self, a: str, b: str) -> Outcome:
        """Cosines of two columns of one space against the scores."""
        self._same_space(a, b)
        return self._apply(sts, (a, b), "score")

    def swap(self, anchor: str, right: str, wrong: str) -> Outcome:
        """Forced choice of each row's ``anchor`` between its ``right`` and its ``wrong``, all of one space."""
        self._same_space(anchor, right)
        self._same_space(anchor, wrong)
        return self._apply(forced_choice, (anchor, right, wrong))

    def zero_shot(
        self,
        column: str,
        templates: Sequence[str],
        embedder: BaseEmbedder | None = None,
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> Outcome:
        """Classify by words: every label in every template (``a photo of a {}``), embedded into column's space.

        ``embedder`` takes the words; by default that of a column of the same space that takes words, rebuilt as
        the set records it. Raises UsageError where there is none, where its space differs, and for a template
        without ``{}``.
        """
        from embedders import Runtime

        for template in templates:
            if "{}" not in template:
                raise UsageError(f"The template {template!r} has no place for the label", "Write {} where it goes")
        if not templates:
            raise UsageError("There is no template", "Give at least one, like 'a photo of a {}'")
        self._known("label")
        space = anchor_space(self.vectors[column].space)
        embedder = embedder or self._words(space)
        if embedder is None:
            raise UsageError(
                f"No column of space {space!r} takes words, so that nothing can embed the templates",
                "Name an embedder of that space that does",
            )
        if anchor_space(embedder.spec.space) != space:
            raise UsageError(
                f"{column!r} is in space {space!r}, and the templates would be in {embedder.spec.space!r}",
                "Only vectors of one space can be compared",
            )
        rows, left_out = self.selection.rows([column], ["label"])
        labels = self.selection.known("label", rows)
        names = sorted(set(labels.tolist()))
        phrases = [template.replace("{}", name) for name in names for template in templates]
        embedded = embedder.embed(phrases, device=device, precision=precision)
        found = zero_shot(
            self.selection.vectors_of(column, rows),
            np.searchsorted(names, labels),
            class_vectors(embedded.reshape(len(names), len(templates), -1)),
            groups=self.selection.groups(rows),
            seed=self.seed,
        )
        signed = self._signed(found, (column,), left_out)
        words = fingerprint_hash(embedder.fingerprint(Runtime.of(device=device, precision=precision)))
        notes = (*signed.notes, f"templates: {' | '.join(templates)}")
        return replace(signed, fingerprints=(*signed.fingerprints, words), notes=notes)

    # ---- many ------------------------------------------------------------------------------------------------

    def run(
        self,
        protocols: Sequence[str] = (),
        columns: Sequence[str] = (),
        *,
        templates: Sequence[str] = (),
        embedder: BaseEmbedder | None = None,
        swap: tuple[str, str, str] | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> list[Outcome]:
        """The protocols named, or every one that what is given allows, over the columns named, or all.

        Pairs are two columns of one space from different fields. Columns that were not named are passed over
        where they can give nothing: fewer than 2 rows ok (in both of a pair), or for words no embedder of their
        space. Raises UsageError for a protocol that lacks what it needs, and where nothing can be evaluated.
        """
        given = self._given(templates, swap)
        for name in protocols:
            if name not in NEEDS:
                raise UsageError(f"There is no protocol {name!r}", nearest(name, NEEDS))
            self._need(name, given)
        singles = list(columns) or self.columns()
        pairs = self.pairs(columns)
        found: list[Outcome] = []
        for protocol, needed in NEEDS.items():
            if (protocols and protocol not in protocols) or not set(needed) <= set(given):
                continue
            evaluate: Callable[..., Outcome] = getattr(self, protocol)
            if protocol in ("retrieval", "gap", "sts"):
                ways = [way for a, b in pairs for way in ((a, b), (b, a))] if protocol == "retrieval" else pairs
                found += [evaluate(*way) for way in ways]
            elif protocol == "swap":
                found.append(evaluate(*(swap or ())))
            elif protocol == "zero_shot":
                for column in list(columns) or self._shown(embedder):
                    found.append(evaluate(column, templates, embedder, device=device, precision=precision))
            else:
                found += [evaluate(column) for column in singles]
        if not found:
            raise UsageError(
                f"There is nothing in {str(self.vectors.storage.root)!r} that can be evaluated so",
                "A column needs 2 rows that are ok; retrieval needs 2 columns of one space from different fields",
            )
        return found

    def columns(self) -> list[str]:
        """The columns with at least two rows that are ok."""
        return [name for name, column in self.vectors.columns.items() if column.statuses.get("ok", 0) >= 2]

    def pairs(self, columns: Sequence[str] = ()) -> list[tuple[str, str]]:
        """Two columns of one space from different fields; of the named columns, or of all that have rows."""
        infos = [self.vectors[name].info for name in columns or self.columns()]
        found = [
            (a, b)
            for a, b in combinations(infos, 2)
            if anchor_space(a.space) == anchor_space(b.space) and a.field != b.field
        ]
        vs = self.vectors
        return [(a.name, b.name) for a, b in found if columns or (vs[a.name].ok & vs[b.name].ok).sum() >= 2]

    def missing(
        self, templates: Sequence[str] = (), swap: tuple[str, str, str] | None = None
    ) -> dict[str, list[str]]:
        """Protocols that could not run, and what they lack."""
        given = self._given(templates, swap)
        lacks = {protocol: [n for n in needed if n not in given] for protocol, needed in NEEDS.items()}
        return {protocol: lack for protocol, lack in lacks.items() if lack}

    # ---- behind them -----------------------------------------------------------------------------------------

    def _given(self, templates: Sequence[str], swap: tuple[str, str, str] | None) -> tuple[str, ...]:
        there = {kind: self.selection.has(kind) for kind in ("label", "score")}
        there |= {"templates": bool(templates), "swap": swap is not None}
        return tuple(name for name, given in there.items() if given)

    def _need(self, protocol: str, given: Sequence[str]) -> None:
        lack = [name for name in NEEDS[protocol] if name not in given]
        if lack:
            raise UsageError(f"The protocol {protocol!r} lacks {' and '.join(lack)}", "Give it, or leave it out")

    def _known(self, kind: str) -> None:
        if not self.selection.has(kind):
            raise UsageError(f"The truth has no {kind!r}, which this protocol compares with", "Give it a column")

    def _apply(
        self, protocol: Callable[..., Outcome], columns: tuple[str, ...], kind: str = "", split: bool = False
    ) -> Outcome:
        if kind:
            self._known(kind)
        wanted = {kind: bool(kind), "group": True, "split": split}
        kinds = [name for name, wants in wanted.items() if wants and self.selection.has(name)]
        rows, left_out = self.selection.rows(columns, kinds)
        arguments = [self.selection.vectors_of(column, rows) for column in columns]
        options = {name: self.selection.known(name, rows) for name in kinds}
        if "group" in options:
            options["groups"] = options.pop("group")
        if kind:
            arguments.append(options.pop(kind))
        return self._signed(protocol(*arguments, **options, seed=self.seed), columns, left_out)

    def _signed(self, found: Outcome, columns: tuple[str, ...], left_out: Mapping[str, int]) -> Outcome:
        infos = [self.vectors[name].info for name in columns]
        notes = (*found.notes, *([MEANINGLESS] if any(info.meaningless for info in infos) else []))
        hashes = tuple(fingerprint_hash(info.fingerprint) for info in infos)
        everything = {**left_out, **found.left_out}
        return replace(found, columns=columns, fingerprints=hashes, left_out=everything, notes=notes)

    def _same_space(self, a: str, b: str) -> None:
        one, other = self.vectors[a].space, self.vectors[b].space
        if anchor_space(one) != anchor_space(other):
            raise UsageError(
                f"{a!r} is in space {one!r} and {b!r} in {other!r}", "Only vectors of one space can be compared"
            )

    def _words(self, space: str) -> BaseEmbedder | None:
        for name, column in self.vectors.columns.items():
            if anchor_space(column.space) == space and self._takes_words(name):
                return rebuilt(column.info.fingerprint)
        return None

    def _takes_words(self, column: str) -> bool:
        return registry.modality(self.vectors[column].info.modality).inline

    def _shown(self, embedder: BaseEmbedder | None) -> list[str]:
        """Columns that words can be compared with, but that do not hold words themselves."""
        spaces = {anchor_space(self.vectors[name].space) for name in self.vectors if self._takes_words(name)}
        if embedder is not None:
            spaces = {anchor_space(embedder.spec.space)}
        return [
            n for n in self.columns() if anchor_space(self.vectors[n].space) in spaces and not self._takes_words(n)
        ]
