"""Tar shards as a source: members that share a key are the fields of one record."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from embedders.errors import UsageError
from pipelines.records.damage import Damaged, SourceError
from pipelines.records.member import Member
from pipelines.records.naming import described, key_of, shard_paths, shard_stem, unpacked_name
from pipelines.records.record import Record, portable
from pipelines.records.samples import Claim, Sample
from pipelines.records.tar import Archive, Entry, compressed, entries, open_archive

__all__ = ["ShardSource"]

HELD_BYTES = 1 << 28
"""Members of compressed shards above this size are not held: their cells are ``limit``."""

STAND_INS = ("link", "hard link", "sparse file")
"""Kinds of members that stand for a file's content: cells that are ``blocked``, so that none is lost unseen."""

KINDS_NAMED = 100
"""Suffixes that are counted one by one; a hostile archive can have as many as members."""


@dataclass
class _Survey:
    """What one pass over all headers found."""

    fields: set[str] = field(default_factory=set)
    ignored: Counter[str] = field(default_factory=Counter)
    stamps: list[tuple[int, int]] = field(default_factory=list)
    split: list[frozenset[int]] = field(default_factory=list)
    """Per shard: hashes of keys that come again after another one's."""

    def ignore(self, kind: str) -> None:
        if kind not in self.ignored and len(self.ignored) >= KINDS_NAMED:
            kind = "others"
        self.ignored[kind] += 1


class ShardSource:
    """Records of tar shards: ``a/dog.jpg`` and ``a/dog.txt`` in ``train-000.tar`` are ``train-000/a/dog``.

    ``shards`` is a path, a pattern (``train-{000..099}.tar``, ``{train,val}.tar.gz``) or a list of either, all
    local; the names of the files must differ. ``.tar``, ``.tar.gz``, ``.tgz`` and ``.tar.zst`` are read, and
    nothing is extracted. The key is the path up to the first dot of its last component, the rest is the suffix:
    ``suffixes`` maps a lower-case one with its dot to a field. Where no member has exactly that suffix, one that
    ends in it stands in (``dog.v2.jpg``). Everything else (other suffixes, hidden files, folders, devices) is
    passed over and counted in :meth:`notes`. Links and sparse files are never followed: a field that is one is
    ``blocked``.

    Two members for one field make the record ``invalid`` (``TAR_DUPLICATE``). A shard that breaks off keeps the
    records before; the last of them, which may lack something, is ``corrupt`` (``TAR_CUT``), and the rest is one
    of :meth:`errors`. Members of a key are expected side by side: a key that comes again is an error of the
    source, and its record ``invalid`` (``TAR_SPLIT``). ``group="global"`` gathers them from all over a shard that
    is not compressed, holding its names.

    The first use reads all headers once, before the pass that was asked for. Compressed shards are decompressed
    in every pass, and a part of their records is held with its content.
    """

    root = None

    def __init__(
        self,
        shards: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        suffixes: Mapping[str, str],
        group: str = "adjacent",
    ) -> None:
        self.given = [os.fspath(s) for s in ([shards] if isinstance(shards, str | os.PathLike) else shards)]
        self.shards = shard_paths(self.given)
        self.suffixes = dict(suffixes)
        if group not in ("adjacent", "global"):
            raise UsageError(f"group is {group!r}; it must be 'adjacent' or 'global'")
        packed = next((shard for shard in self.shards if compressed(shard)), None)
        if group == "global" and packed is not None:
            raise UsageError(
                f"'{packed}' is compressed, and group='global' reads members from all over a shard",
                "Decompress it, or sort its members by name",
            )
        self.group = group
        self._errors: dict[tuple[int, int], SourceError] = {}

    def records(self) -> Iterator[Record]:
        """Records in the order of the shards and, within one, of their first members."""
        survey = self._survey
        for index, shard in enumerate(self.shards):
            stem, begun = shard_stem(shard), set[int]()
            for sample in self._samples(index, survey.stamps[index], _nowhere, self._errors):
                hashed = _hash(sample.key)
                if hashed in begun:
                    self._note_split(index, sample)
                    continue
                sample.split = hashed in survey.split[index]
                if sample.split:
                    begun.add(hashed)
                identifier = f"{stem}/{unpacked_name(sample.key)}"
                problem = sample.problem()
                yield Record(identifier, {} if problem is not None else sample.chosen()[0], problem)

    def fields(self) -> tuple[str, ...]:
        """The fields that members were found for, in the order of ``suffixes``."""
        return tuple(name for name in dict.fromkeys(self.suffixes.values()) if name in self._survey.fields)

    def notes(self) -> dict[str, Any]:
        """``ignored``: members that are no field's, counted by suffix or kind."""
        ignored = dict(sorted(self._survey.ignored.items()))
        return {"ignored": ignored} if ignored else {}

    def errors(self) -> list[SourceError]:
        """Where shards break off or a key comes again, as far as passes over the records have come."""
        return [self._errors[place] for place in sorted(self._errors)]

    def describe(self) -> dict[str, Any]:
        """Kind, shards as given, suffixes and how members are grouped."""
        more = f" and {len(self.given) - 1:,} more" * (len(self.given) > 1)
        return {
            "kind": "shards",
            "path": portable(self.given[0]) + more,
            "shards": [portable(given) for given in self.given],
            "suffixes": self.suffixes,
            "group": self.group,
        }

    @cached_property
    def _survey(self) -> _Survey:
        survey = _Survey()
        for index, shard in enumerate(self.shards):
            try:
                found = shard.stat()
            except OSError as error:
                raise UsageError(f"'{shard}' cannot be read: {error.strerror}") from error
            survey.stamps.append((found.st_size, found.st_mtime_ns))
            hashes = array("Q")
            for sample in self._samples(index, None, survey.ignore, {}):
                chosen, passed = sample.chosen()
                survey.fields.update(chosen)
                for suffix in passed:
                    survey.ignore(suffix)
                hashes.append(_hash(sample.key))
            keys, counts = np.unique(np.frombuffer(hashes, np.uint64), return_counts=True)
            survey.split.append(frozenset(keys[counts > 1].tolist()))
        return survey

    def _samples(
        self,
        index: int,
        stamp: tuple[int, int] | None,
        ignore: Callable[[str], None],
        errors: dict[tuple[int, int], SourceError],
    ) -> Iterator[Sample]:
        """A shard's samples; what is passed over goes to ``ignore``, where it breaks off to ``errors``.

        Without ``stamp``, names alone matter: no content is read.
        """
        read = reached = 0
        held: dict[bytes, Sample] = {}
        try:
            with open_archive(self.shards[index]) as archive:
                for entry in entries(archive):
                    reached = entry.start
                    claim = self._claim(index, entry, read, archive, stamp, ignore)
                    read += 1
                    if claim is None:
                        continue
                    if self.group == "adjacent" and held and claim.key not in held:
                        yield held.popitem()[1]
                    held.setdefault(claim.key, Sample(claim.key)).add(claim)
        except Damaged as damage:
            at = damage.at if damage.at is not None else reached
            errors[index, at] = self._error(index, at, read, damage.code, damage.reason)
            for sample in held.values():
                sample.cut = True
        yield from held.values()

    def _claim(
        self,
        index: int,
        entry: Entry,
        number: int,
        archive: Archive,
        stamp: tuple[int, int] | None,
        ignore: Callable[[str], None],
    ) -> Claim | None:
        """What a member is of which record, or None for one that is passed over."""
        if entry.kind and entry.kind not in STAND_INS:
            ignore(entry.kind)
            return None
        key, suffix = key_of(entry.name)
        if not key:
            ignore("hidden file")
            return None
        whole = suffix in self.suffixes
        name = self.suffixes.get(suffix) or self.suffixes.get(os.path.splitext("x" + suffix)[1])
        if name is None:
            ignore(described(suffix))
            return None
        shard = self.shards[index]
        packed = compressed(shard)
        content = None
        if packed and not entry.kind and stamp is not None and entry.size <= HELD_BYTES:
            content = archive.take(entry.offset, entry.size)
            if len(content) < entry.size:
                there = f"a member of {entry.size} bytes, of which {len(content)} are there"
                raise Damaged("TAR_CUT", there, entry.start)
        shown = f"{portable(shard.name)}#{unpacked_name(entry.name)}"
        place = (entry.offset, entry.size, entry.header, stamp or (0, 0))
        member = Member(str(shard), shown, *place, packed, content, entry.kind)
        return Claim(key, name, whole, suffix, member, entry.start, number)

    def _note_split(self, index: int, sample: Sample) -> None:
        """One error per shard: where every key comes again, one says it all."""
        if not any(place[0] == index and error.code == "TAR_SPLIT" for place, error in self._errors.items()):
            first = sample.claims[0]
            cure = "sort its members by name, or gather them with group='global'"
            reason = f"the key {unpacked_name(sample.key)!r} comes again after others; {cure}"
            error = self._error(index, first.start, first.number, "TAR_SPLIT", reason)
            self._errors[index, first.start] = error

    def _error(self, index: int, at: int, read: int, code: str, reason: str) -> SourceError:
        return SourceError(portable(self.shards[index].name), "byte", at, read, code, reason)


def _nowhere(kind: str) -> None:
    """Where passes count what the survey has counted already."""


def _hash(key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest())
