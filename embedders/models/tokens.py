"""Text to tokens, one text at a time and from any thread, equal to what upstream's tokenizer makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from embedders.errors import SetupError, UsageError
from embedders.models.pretrained import load_tokenizer

if TYPE_CHECKING:
    import tokenizers

__all__ = ["Tokenizer", "Tokens"]


@dataclass(frozen=True)
class Tokens:
    """One text's token ``ids`` and ``types``, int64 of shape ``(n,)``; ``truncated`` if it had more.

    ``rest`` holds those in further chunks, each with its own special tokens, where they were asked for.
    """

    ids: npt.NDArray[np.int64]
    types: npt.NDArray[np.int64]
    truncated: bool
    rest: tuple[Tokens, ...] = ()


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer whose truncation is set once and whose padding is off.

    Upstream's wrapper sets both anew on every call, on an object that all threads share.
    """

    backend: tokenizers.Tokenizer
    special: frozenset[int]
    pad: int
    takes_types: bool
    """Whether the model is given the token types."""

    @classmethod
    def of(cls, folder: Path, limit: int | None, lower: bool) -> Self:
        """The tokenizer saved in ``folder``, cutting behind ``limit`` tokens, special ones included."""
        import tokenizers

        upstream = load_tokenizer(folder)
        if getattr(upstream, "backend_tokenizer", None) is None:
            raise SetupError(f"The tokenizer in {folder} is not of the fast kind", "Save it with a tokenizer.json")
        backend = tokenizers.Tokenizer.from_str(upstream.backend_tokenizer.to_str())
        if lower:
            steps = [tokenizers.normalizers.Lowercase()]
            steps += [backend.normalizer] if backend.normalizer is not None else []
            backend.normalizer = tokenizers.normalizers.Sequence(steps)
        backend.no_padding()
        _cut(backend, limit, upstream.truncation_side)
        return cls(
            backend,
            frozenset(upstream.all_special_ids),
            upstream.pad_token_id if upstream.pad_token_id is not None else 0,
            "token_type_ids" in upstream.model_input_names,
        )

    @classmethod
    def of_characters(cls, limit: int | None) -> Self:
        """One token for each letter, digit or sign, lower case, as BERT marks them; for models without meaning."""
        from tokenizers import Tokenizer as Backend
        from tokenizers import models, normalizers, pre_tokenizers, processors

        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        # Latin, Greek and Cyrillic
        found = (chr(code) for code in range(33, 0x530))
        signs = [sign for sign in found if sign.isprintable() and sign.lower() == sign]
        pieces = special + signs + [f"##{sign}" for sign in signs]
        vocabulary = {piece: number for number, piece in enumerate(pieces)}
        backend = Backend(models.WordPiece(vocabulary, unk_token="[UNK]"))
        backend.normalizer = normalizers.BertNormalizer(strip_accents=False, lowercase=True)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        _cut(backend, limit, "right")
        return cls(backend, frozenset(range(4)), 0, True)

    def __call__(self, text: str, *, chunks: bool = False) -> Tokens:
        """The tokens of a text, its special tokens around it; with ``chunks`` also those beyond the limit."""
        encoding = self.backend.encode(text)
        rest = tuple(_tokens(further) for further in encoding.overflowing) if chunks else ()
        return _tokens(encoding, bool(encoding.overflowing), rest)

    def prompt_length(self, prompt: str) -> int:
        """How many tokens a prompt takes at the beginning, as sentence-transformers counts them."""
        if not prompt:
            return 0
        ids = self(prompt).ids
        return len(ids) - (int(ids[-1]) in self.special)


def _tokens(encoding: Any, truncated: bool = False, rest: tuple[Tokens, ...] = ()) -> Tokens:
    ids, types = (np.array(found, dtype=np.int64) for found in (encoding.ids, encoding.type_ids))
    return Tokens(ids, types, truncated, rest)


def _cut(backend: Any, limit: int | None, side: str) -> None:
    """Set the truncation once and for all; raises UsageError where no token of the text would be left."""
    if limit is None:
        backend.no_truncation()
        return
    around = backend.num_special_tokens_to_add(is_pair=False)
    if limit <= around:
        raise UsageError(f"max_tokens is {limit}, and {around} special tokens stand around every text")
    backend.enable_truncation(limit, direction=side)
