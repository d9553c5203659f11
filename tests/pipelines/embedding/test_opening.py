"""One record opened: each input is decoded once for all columns that need as much of it, and recorded so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from embedders import BadInput, ContractError, Decoded, Limits, Runtime, Status
from pipelines.embedding.columns import Column, columns_for
from pipelines.embedding.opening import Opened, open_record
from pipelines.records import Record
from tests.toy import Letters, Toy

FAST = Runtime("cpu", "bf16")


class Sided(Letters):
    """Wants three letters of a word at most, and takes them in capitals where it may."""

    def __init__(self, *, side: int = 3, weights: str = "none") -> None:
        super().__init__(weights=weights)
        self.side = side

    @property
    def media_side(self) -> int:
        return self.side

    def prepare_fast(self, media: str) -> str:
        return media.upper()


class Reducing:
    """Stands in for the toy modality's decoding, and counts."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked: list[int | None] = []
        full = Toy.decode_content

        def decode_content(modality: Toy, content: bytes, limits: Limits) -> Decoded:
            self.asked.append(None)
            return full(modality, content, limits)

        def decode_reduced(modality: Toy, content: bytes, limits: Limits, at_least: int) -> Decoded:
            self.asked.append(at_least)
            return Decoded(full(modality, content, limits).media[:at_least], ("cut",))

        patch.setattr(Toy, "margin", 2)
        patch.setattr(Toy, "decode_content", decode_content)
        patch.setattr(Toy, "decode_reduced", decode_reduced)


@pytest.fixture
def reducing(monkeypatch: pytest.MonkeyPatch) -> Reducing:
    return Reducing(monkeypatch)


def column(name: str, runtime: Runtime = FAST, side: int | None = 3) -> Column:
    return Column(name, "word", "toy", Letters() if side is None else Sided(side=side), runtime)


def opened(*columns: Column, word: Any = b"wonderful") -> Opened:
    return open_record(Record("r", {"word": word}), columns, None, Limits())


def test_an_exact_column_gets_everything_and_the_usual_preparation(reducing: Reducing) -> None:
    cell = opened(column("a", Runtime())).cells["a"]
    assert (cell.sample, cell.flags) == ("wonderful", ())
    assert reducing.asked == [None]


def test_a_fast_column_gets_what_it_needs_and_is_prepared_fast(reducing: Reducing) -> None:
    cell = opened(column("a")).cells["a"]
    assert (cell.sample, cell.flags) == ("WONDERFU", ("cut",))
    assert reducing.asked == [8]


def test_columns_that_need_as_much_share_one_decoding(reducing: Reducing) -> None:
    found = opened(column("a", side=3), column("b", side=4), column("c", side=3))
    assert {cell.sample for cell in found.cells.values()} == {"WONDERFU"}
    assert reducing.asked == [8]


def test_a_column_gets_beside_others_what_it_gets_alone(reducing: Reducing) -> None:
    columns = [column("a", side=1), column("b", side=2), column("c", Runtime()), column("d", side=None)]
    together = opened(*columns).cells
    assert reducing.asked == [2, 4, None]
    assert together == {one.name: opened(one).cells[one.name] for one in columns}
    assert [cell.sample for cell in together.values()] == ["WO", "WOND", "wonderful", "wonderful"]


def test_one_decoding_that_fails_leaves_the_others(reducing: Reducing, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(modality: Toy, content: bytes, limits: Limits, at_least: int) -> Decoded:
        raise BadInput(Status.CORRUPT, "TOY_HALF", "cannot be halved")

    monkeypatch.setattr(Toy, "decode_reduced", refused)
    found = opened(column("a"), column("b", Runtime()))
    problem = found.cells["a"].problem
    assert problem is not None
    assert problem.code == "TOY_HALF"
    assert found.cells["b"].sample == "wonderful"
    assert found.stored["word"][1] is not None


def test_media_that_were_decoded_before_are_not_reduced(reducing: Reducing) -> None:
    assert opened(column("a"), word="wonderful").cells["a"].sample == "WONDERFUL"
    assert reducing.asked == []


def test_a_modality_that_cannot_reduce_decodes_in_full() -> None:
    assert column("a").at_least is None
    assert Toy().decode(b"wonderful", at_least=2).media == "wonderful"
    assert opened(column("a")).cells["a"].sample == "WONDERFUL"


def test_a_modality_that_decodes_to_anything_else_is_a_broken_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "decode_content", lambda *_: "bare media")
    with pytest.raises(ContractError, match="'toy' decoded to str, not to Decoded"):
        opened(column("a", Runtime()))


def test_what_decoding_keeps_and_how_it_is_prepared_is_recorded(reducing: Reducing) -> None:
    exact, fast, plain = column("a", Runtime()), column("a"), column("a", side=None)
    assert exact.info().fingerprint["decoding"] == {}
    assert fast.info().fingerprint["decoding"] == {"prepared": "fast"}
    assert plain.info().fingerprint["decoding"] == {}


def test_a_picture_that_may_be_reduced_is_recorded_with_the_side_it_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    (exact,) = columns_for(["x"], {"x": "image.starter"})
    monkeypatch.setattr(type(exact.embedder), "media_side", 232)
    fast = replace(exact, runtime=FAST)
    assert (exact.at_least, fast.at_least) == (None, 512)
    assert exact.info().fingerprint["decoding"]["resolution"] == "full"
    assert "the shorter side keeps 512 pixels" in fast.info().fingerprint["decoding"]["resolution"]
