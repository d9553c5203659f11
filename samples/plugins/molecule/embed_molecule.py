"""Molecules as a modality: SMILES, checked and made canonical by RDKit, and two embedders of them.

``molecule.morgan`` counts what stands around every atom and has learnt nothing; ``molecule.chemberta`` is a text
encoder that was trained on SMILES.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from embedders import BadInput, BaseEmbedder, Decoded, EmbedderSpec, Limits, Modality, Runtime, Status, UsageError
from embedders.base import Forward
from embedders.models.bert import Bert

__all__ = ["ChemBerta", "Molecule", "Morgan"]

LONGEST = 5_000
"""Characters of a SMILES: large drugs have some hundreds, and finding rings grows faster than the molecule."""

STAMP = re.compile(r"^\[\d\d:\d\d:\d\d\] ", re.MULTILINE)
_logging = threading.Lock()


class Molecule(Modality):
    """Molecules as SMILES: a ``str`` of one line, or a ``.smi`` file with one molecule and perhaps its name.

    Media is the canonical isomeric SMILES, so that every way of writing a molecule gives the same vectors. Salts
    and mixtures are one molecule, as written; charges and tautomers stay. What RDKit cannot read, or whose valences
    do not add up, is ``invalid`` (``MOL_SMILES``) with RDKit's reason; more than 5,000 characters are ``limit``.
    """

    name: ClassVar[str] = "molecule"
    suffixes: ClassVar[frozenset[str]] = frozenset({".smi", ".smiles"})
    inline: ClassVar[bool] = True
    defaults: ClassVar[tuple[str, ...]] = ("molecule.morgan",)

    @property
    def policy(self) -> Mapping[str, Any]:
        """Canonical form and the version of RDKit, which decides it."""
        return {"smiles": "canonical, isomeric", "rdkit": metadata.version("rdkit")}

    def decode_content(self, content: bytes, limits: Limits) -> Decoded:
        """Decode a file of one line."""
        try:
            return self.accept(content.decode("utf-8-sig"), limits)
        except UnicodeDecodeError as error:
            raise BadInput(Status.INVALID, "MOL_ENCODING", f"it is not UTF-8 ({error.reason})") from error

    def accept(self, media: Any, limits: Limits) -> Decoded:
        """Check a SMILES and make it canonical."""
        if not isinstance(media, str):
            raise BadInput(Status.INVALID, "MOL_TYPE", f"{type(media).__name__} is no SMILES")
        lines = media.strip().splitlines()
        if not lines:
            raise BadInput(Status.EMPTY, "MOL_EMPTY", "there is no SMILES")
        if len(lines) > 1:
            message = f"{len(lines)} lines, and one molecule is one; many of them are a table's column"
            raise BadInput(Status.INVALID, "MOL_LINES", message)
        if len(lines[0]) > min(LONGEST, limits.characters):
            raise BadInput(Status.LIMIT, "MOL_CHARACTERS", f"{len(lines[0])} characters; the most are {LONGEST}")
        return Decoded(_read(lines[0])[1])


class Morgan(BaseEmbedder):
    """Morgan (circular) fingerprints, folded: ``bits`` places for the surroundings of each atom.

    ``radius`` is the reach in bonds (2 is known as ECFP4); ``counts`` says how often each occurs, otherwise
    whether. Values are RDKit's own. The cosine of two such vectors ranks much as Tanimoto's coefficient does.
    """

    kind: ClassVar[str] = "encoding"
    libraries: ClassVar[tuple[str, ...]] = ("rdkit",)
    batch_cost: ClassVar[int] = 4096

    def __init__(self, *, radius: int = 2, bits: int = 2048, counts: bool = False) -> None:
        for name, value, least in (("radius", radius, 0), ("bits", bits, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UsageError(f"{name} is {value!r}; it must be a whole number of at least {least}")
        self.radius, self.bits, self.counts = radius, bits, counts

    @property
    def spec(self) -> EmbedderSpec:
        """As many dimensions as bits, of any length."""
        what = "counts" if self.counts else "bits"
        return EmbedderSpec("molecule", f"morgan/radius{self.radius}/{self.bits}/{what}", self.bits, False)

    def prepare(self, media: str) -> npt.NDArray[np.float32]:
        """The fingerprint itself, ``(bits,)``."""
        from rdkit.Chem import rdFingerprintGenerator

        made = rdFingerprintGenerator.GetMorganGenerator(radius=self.radius, fpSize=self.bits)
        molecule = _read(media)[0]
        found = made.GetCountFingerprintAsNumPy if self.counts else made.GetFingerprintAsNumPy
        return np.asarray(found(molecule), np.float32)

    def collate(self, samples: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """Stack to ``(n, bits)``."""
        return np.stack(samples)

    def load(self, runtime: Runtime) -> Forward:
        """Nothing to load, and nothing left to do."""
        return lambda batch: batch

    def examples(self) -> list[str]:
        """Ethanol, aspirin, caffeine."""
        return ["OCC", "CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C)C(=O)N2C"]


class ChemBerta(Bert):
    """SMILES to the pooled token states of an encoder that was trained on them: ``text.bert``, with its options."""

    libraries: ClassVar[tuple[str, ...]] = (*Bert.libraries, "rdkit")

    def __init__(
        self,
        *,
        weights: str = "DeepChem/ChemBERTa-77M-MLM",
        pooling: str | None = None,
        normalize: bool | None = None,
        max_tokens: int | None = None,
        on_truncate: str = "flag",
    ) -> None:
        super().__init__(
            weights=weights,
            pooling=pooling,
            normalize=normalize,
            max_tokens=max_tokens,
            on_truncate=on_truncate,
        )

    @property
    def spec(self) -> EmbedderSpec:
        """That of the encoder below, for molecules."""
        return replace(super().spec, modality="molecule")

    def examples(self) -> list[str]:
        """Ethanol, aspirin, caffeine."""
        return Morgan().examples()


def _read(smiles: str) -> tuple[Any, str]:
    """RDKit's molecule and the canonical SMILES; raises BadInput with RDKit's reason."""
    from rdkit import Chem, rdBase

    # RDKit gives reasons to a log of the whole process and to nobody else; it comes back as it was
    with _logging, rdBase.BlockLogs(), rdBase.CaptureErrorLog() as log:
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is not None and molecule.GetNumAtoms():
            return molecule, Chem.MolToSmiles(molecule)
    said = STAMP.sub("", log.messages).splitlines()
    reason = " ".join(line.strip() for line in said[:2]) or "there is no atom in it"
    raise BadInput(Status.INVALID, "MOL_SMILES", reason)
