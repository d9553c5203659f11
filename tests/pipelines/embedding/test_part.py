"""One part: every record is a row, in order, and no row knows of its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedders import BadInput, ContractError, Limits, Status
from pipelines import Record
from pipelines.embedding import Column, Embedded, PartEmbedder, columns_for
from pipelines.embedding.part import Stage
from tests.toy import Letters, Toy

Embed = Callable[..., Embedded]


@pytest.fixture
def embed() -> Iterator[Embed]:
    with ThreadPoolExecutor(2) as threads:

        def run(words: list[Any], columns: list[Column] | None = None, **options: Any) -> Embedded:
            columns = columns or columns_for(["word"], {"word": "toy.letters"})
            records = [w if isinstance(w, Record) else Record(str(i), {"word": w}) for i, w in enumerate(words)]
            return PartEmbedder(columns, threads, **options).embed(records)

        yield run


def test_rows_are_in_order_with_the_vectors_of_their_words(embed: Embed) -> None:
    found = embed(["bell", "a", "wonderful"])
    assert found.ids == ["0", "1", "2"]
    np.testing.assert_array_equal(found.cells["word_letters"].vectors, [[4, 1, 2], [1, 1, 1], [9, 3, 23]])
    assert found.cells["word_letters"].status == ["ok"] * 3


@pytest.mark.parametrize(
    ("word", "status", "error"),
    [
        (None, "absent", None),
        ("  ", "empty", "TOY_EMPTY: the word is empty"),
        (7, "invalid", "TOY_TYPE: int is no word"),
        ("!bad", "invalid", "TOY_BAD: a bad word"),
        ("!prepare", "model_error", "PREPARE: ValueError: this word cannot be prepared"),
        ("!forward", "model_error", "FORWARD: RuntimeError: this word breaks the forward"),
        ("!nan", "nonfinite", "NONFINITE: the vector has NaN or infinite values"),
        (b"\xff", "corrupt", None),
        (b"!segfault", "limit", "MEMORY: decoding needs more memory than there is"),
        (Path("/no/such/file.toy"), "not_found", "NO_FILE: there is no file '/no/such/file.toy'"),
        (Path("/"), "unreadable", "NOT_A_FILE: '/' is not a regular file"),
        ("x" * 50, "limit", "TOY_CHARACTERS: 50 characters"),
    ],
)
def test_a_bad_input_is_one_row_with_its_reason_and_its_neighbours_stay(
    embed: Embed, word: Any, status: str, error: str | None
) -> None:
    cells = embed(["bell", word, "drum", "siren"], limits=Limits(characters=20)).cells["word_letters"]
    assert cells.status == ["ok", status, "ok", "ok"]
    assert np.isnan(cells.vectors[1]).all()
    np.testing.assert_array_equal(cells.vectors[[0, 2, 3]], [[4, 1, 2], [4, 1, 4], [5, 2, 19]])
    if error is not None:
        assert cells.error[1] == error
    if status == "absent":
        assert cells.error[1] is None


def test_a_broken_record_gives_its_status_to_every_cell(embed: Embed) -> None:
    problem = BadInput(Status.CORRUPT, "REC_JSON", "line 3 is no JSON")
    found = embed(["bell", Record("line:3", {}, problem)])
    assert found.ids == ["0", "line:3"]
    assert found.cells["word_letters"].status == ["ok", "corrupt"]
    assert found.cells["word_letters"].error[1] == "REC_JSON: line 3 is no JSON"


def test_flags_come_from_decoding_and_from_the_sample(embed: Embed) -> None:
    assert embed(["Extraordinary"]).cells["word_letters"].flags == [["lowered", "long"]]


def test_a_programming_error_stops_at_once_and_names_the_embedder(embed: Embed) -> None:
    with pytest.raises(ContractError, match=r"toy.letters failed: NameError"):
        embed(["bell", "!name"])


def test_text_and_its_checksum_are_stored(embed: Embed) -> None:
    values, checksums = embed(["abc", None]).fields["word"]
    assert values == ["abc", None]
    assert checksums == ["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", None]


def test_a_file_is_stored_by_its_path_and_the_checksum_of_its_content(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "word.toy").write_text("abc")
    values, checksums = embed([Path("word.toy")], root=tmp_path).fields["word"]
    assert values == ["word.toy"]
    assert checksums == ["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]


def test_nothing_outside_of_the_root_is_read(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.toy").write_text("secret")
    (tmp_path / "in/link.toy").symlink_to(tmp_path / "secret.toy")
    paths = [Path("../secret.toy"), tmp_path / "secret.toy", Path("link.toy")]
    assert embed(paths, root=tmp_path / "in").cells["word_letters"].status == ["blocked"] * 3


def test_messages_are_short_and_printable(embed: Embed) -> None:
    problem = BadInput(Status.CORRUPT, "REC_JSON", "\x1b[2J" + "x" * 1000)
    error = embed([Record("a", {}, problem)]).cells["word_letters"].error[0]
    assert error is not None
    assert len(error) == 300
    assert error.startswith("REC_JSON: \\x1b[2J")


def test_a_field_is_decoded_once_for_all_its_embedders(embed: Embed) -> None:
    columns = columns_for(["word"], {"word": ["toy.letters", "toy.unit", "toy.letters(scale=2, as=double)"]})
    found = embed(["bell"], columns)
    assert list(found.cells) == ["word_letters", "word_unit", "word_double"]
    np.testing.assert_array_equal(found.cells["word_double"].vectors, [[8, 2, 4]])
    np.testing.assert_allclose(np.linalg.norm(found.cells["word_unit"].vectors), 1, rtol=1e-6)


def test_long_words_are_batched_apart_from_short_ones(embed: Embed) -> None:
    columns = columns_for(["word"], {"word": "toy.letters"})
    embed(["a", "extraordinary", "b", "c"], columns)
    embedder = columns[0].embedder
    assert isinstance(embedder, Letters)
    assert embedder.batches == [["extraordinary"], ["a", "b", "c"]]


def test_a_spec_that_may_look_at_files_is_read_once(embed: Embed, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    plain = Letters.spec.fget
    monkeypatch.setattr(Letters, "spec", property(lambda self: (reads.append(1), plain(self))[1]))
    columns = [Column("word_letters", "word", "toy.letters", Letters())]
    embed(["bell"] * 200, columns, batch_size=2)
    assert len(reads) == 1


words = st.lists(st.sampled_from(["a", "bell", "wonderful", "extraordinarily", "!nan", "!bad", "", "!forward"]))


@settings(max_examples=30, deadline=None)
@given(words, st.sampled_from([None, 1, 2, 7]))
def test_no_row_depends_on_its_neighbours_or_the_batch_size(words: list[str], batch_size: int | None) -> None:
    columns = columns_for(["word"], {"word": "toy.letters"})
    with ThreadPoolExecutor(2) as threads:
        together = PartEmbedder(columns, threads, batch_size=batch_size)
        found = together.embed([Record(str(i), {"word": word}) for i, word in enumerate(words)])
        cells = found.cells["word_letters"]
        assert len(found.ids) == len(cells.status) == len(words)
        for i, word in enumerate(words):
            alone = together.embed([Record("x", {"word": word})]).cells["word_letters"]
            assert alone.status[0] == cells.status[i]
            np.testing.assert_array_equal(alone.vectors[0], cells.vectors[i])


def test_the_observer_counts_every_cell_once() -> None:
    columns = columns_for(["word"], {"word": ["toy.letters", "toy.unit"]})
    counted: list[tuple[int, int]] = []
    with ThreadPoolExecutor(2) as threads:
        part = PartEmbedder(columns, threads)
        part.embed(
            [Record(str(i), {"word": w}) for i, w in enumerate(["a", None, "!nan", "b"])],
            lambda done, failed: counted.append((done, failed)),
        )
    assert [sum(column) for column in zip(*counted, strict=True)] == [8, 2]


class Foreign(BaseException):
    """As libraries in other languages raise it."""

    def __str__(self) -> str:
        raise RuntimeError("and without a message")


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (Foreign(), "model_error", "PREPARE: Foreign"),
        (SystemExit(0), "model_error", "PREPARE: SystemExit: 0"),
        (MemoryError(), "limit", "MEMORY: opening it needs more memory than there is"),
    ],
)
def test_no_exception_of_prepare_ends_the_part(
    embed: Embed, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: str, says: str
) -> None:
    def prepare(self: Letters, media: str) -> str:
        if media == "drum":
            raise error
        return media

    monkeypatch.setattr(Letters, "prepare", prepare)
    cells = embed(["bell", "drum", "wave"]).cells["word_letters"]
    assert cells.status == ["ok", status, "ok"]
    assert cells.error[1] == says


def test_a_decoder_with_a_programming_error_is_named(embed: Embed, monkeypatch: pytest.MonkeyPatch) -> None:
    def accept(self: Toy, media: object, limits: Limits) -> object:
        raise NameError("no such name")

    monkeypatch.setattr(Toy, "accept", accept)
    with pytest.raises(ContractError, match="The modality 'toy' failed: NameError: no such name"):
        embed(["bell"])


def test_a_row_is_marked_while_it_is_worked_on_and_rests_afterwards() -> None:
    columns = columns_for(["word"], {"word": ["toy.letters", "toy.unit"]})
    seen: dict[int, list[Stage]] = {}
    with ThreadPoolExecutor(2) as threads:
        part = PartEmbedder(
            columns,
            threads,
            mark=lambda rows, stage: [seen.setdefault(r, []).append(stage) for r in rows],
        )
        part.embed([Record(str(i), {"word": word}) for i, word in enumerate(["bell", None, "drum"])])
    opened = [Stage.OPENING, Stage.RESTING]
    embedded = [Stage.FORWARD, Stage.RESTING]
    assert seen == {0: opened + 2 * embedded, 1: opened, 2: opened + 2 * embedded}


def test_what_had_to_be_done_is_noted_once_per_part(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = columns_for(["word"], {"word": "toy.letters"})
    with ThreadPoolExecutor(1) as threads:
        part = PartEmbedder(columns, threads)
        part.forwards["word_letters"].notes.append("two at once did not fit")
        records = [Record("a", {"word": "bell"})]
        assert [part.embed(records).notes, part.embed(records).notes] == [["two at once did not fit"], []]
