"""One record of a shard while it is put together: which member is which field."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from embedders.errors import BadInput, Status
from pipelines.records.member import Member
from pipelines.records.naming import described

__all__ = ["Claim", "Sample"]

CLAIMS = 256
"""Members of one key that are kept; a record has a few fields, and more are a mistake or an attack."""


class Claim(NamedTuple):
    """A member that says it is ``field`` of the record ``key``.

    ``whole``: by its whole suffix, not only by the end of it. ``start`` is its place in the archive in bytes,
    ``number`` its place among the members, both from 0.
    """

    key: bytes
    field: str
    whole: bool
    suffix: str
    member: Member
    start: int
    number: int


@dataclass
class Sample:
    """The claims of one key, and what is known to be wrong with them."""

    key: bytes
    claims: list[Claim] = field(default_factory=list)
    count: int = 0
    cut: bool = False
    """The shard broke off before anything else followed: something may be missing."""
    split: bool = False
    """The key comes again later in the shard."""

    def add(self, claim: Claim) -> None:
        """One more claim; beyond a bound it is only counted."""
        self.count += 1
        if len(self.claims) < CLAIMS:
            self.claims.append(claim)

    def chosen(self) -> tuple[dict[str, Member], list[str]]:
        """Members by field, the first where several claim one; and the suffixes of those passed over.

        A whole suffix goes before one that only ends alike: ``dog.jpg`` is the picture, ``dog.mask.jpg`` is not.
        """
        counting = self._counting()
        members = {claim.field: claim.member for claim in reversed(counting)}
        return members, [described(claim.suffix) for claim in self.claims if claim not in counting]

    def problem(self) -> BadInput | None:
        """Why the record is no pair that could be trusted; None for a good one."""
        if self.cut:
            message = "the shard breaks off within this record or right after it"
            return BadInput(Status.CORRUPT, "TAR_CUT", message)
        if self.split:
            return BadInput(Status.INVALID, "TAR_SPLIT", "members of this record lie apart in the shard")
        if self.count > CLAIMS:
            return BadInput(Status.LIMIT, "TAR_MEMBERS", f"{self.count} members; the limit is {CLAIMS}")
        seen: dict[str, Claim] = {}
        for claim in self._counting():
            if seen.setdefault(claim.field, claim) is not claim:
                both = f"{seen[claim.field].member.name!r} and {claim.member.name!r}"
                return BadInput(Status.INVALID, "TAR_DUPLICATE", f"{both} both claim the field {claim.field!r}")
        return None

    def _counting(self) -> list[Claim]:
        sure = {claim.field for claim in self.claims if claim.whole}
        return [claim for claim in self.claims if claim.whole or claim.field not in sure]
