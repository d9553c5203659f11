"""What a query is taken for, where it may search, and what is said where it may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from embedders import UsageError
from embedders.models.aligned import Aligned, Head, Layer
from pipelines import Pipeline, VectorSet
from pipelines.uses.query import aim
from tests.pipelines.uses.signs import SignLetters, Slogan, signs, slogans  # noqa: F401  # fixtures

WORDS = [{"id": word, "word": word} for word in ("bell", "drum", "siren")]


@pytest.fixture
def vs(tmp_path: Path) -> VectorSet:
    return Pipeline({"word": "toy.letters"}).run(WORDS, tmp_path / "out")


@pytest.fixture
def mixed(tmp_path: Path, signs: None) -> VectorSet:  # noqa: F811
    """Words and signs of one space, and words of another."""
    (tmp_path / "a.sign").write_text("bell")
    records = [{"id": "a", "word": "drum", "post": tmp_path / "a.sign"}]
    embed = {"word": ["toy.letters", "toy.unit"], "post": "sign.letters"}
    return Pipeline(embed).run(records, tmp_path / "mixed")


def file(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.write_text("bell")
    return path


def test_words_are_the_input_itself(vs: VectorSet) -> None:
    aimed = aim(vs, "bell")
    assert (aimed.query.raw, aimed.query.modality) == ("bell", "toy")
    assert [column.info.name for column in aimed.columns] == ["word_letters"]


@pytest.mark.parametrize("kind", [str, Path])
def test_an_existing_file_is_of_the_modality_of_its_suffix(vs: VectorSet, tmp_path: Path, kind: type) -> None:
    path = file(tmp_path, "a.TOY")
    aimed = aim(vs, kind(path))
    assert (aimed.query.raw, aimed.query.modality) == (path, "toy")


def test_a_word_may_be_the_name_of_a_file_without_suffix(
    vs: VectorSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file(tmp_path, "bell")
    monkeypatch.chdir(tmp_path)
    assert aim(vs, "bell").query.raw == "bell"


def test_by_reads_a_file_of_any_suffix_and_takes_words_for_words(vs: VectorSet, tmp_path: Path) -> None:
    assert aim(vs, file(tmp_path, "a.dat"), by="toy").query.raw == tmp_path / "a.dat"
    assert aim(vs, "no/such.toy", by="toy").query.raw == "no/such.toy"
    assert aim(vs, b"bell", by="toy").query.raw == b"bell"


@pytest.mark.parametrize(
    ("query", "by", "says"),
    [
        ("no/such.toy", None, r"no file 'no/such.toy'\. If these very words are meant: .*toy"),
        ("my words/no such.toy", None, "no file 'my words/no such.toy'"),
        (Path("no/such.toy"), None, "no file 'no/such.toy'"),
        ("{tmp}/a.dat", None, r"No modality takes .*a.dat.*Known: .*\.toy"),
        (b"bell", None, "type bytes does not tell its modality.*--by.*toy"),
        ("bell", "toi", "no modality 'toi'. Did you mean 'toy'"),
        ("bell", "shelf", "'shelf' takes nothing but files"),
        ("bell.shelf", "shelf", "No embedder of modality shelf leads to .*Tried: none is installed"),
    ],
)
def test_a_query_that_cannot_be_understood_is_refused_with_the_cure(
    vs: VectorSet, tmp_path: Path, query: Any, by: str | None, says: str
) -> None:
    file(tmp_path, "a.dat")
    if query == "bell.shelf":
        query = file(tmp_path, query)
    if isinstance(query, str):
        query = query.replace("{tmp}", str(tmp_path))
    with pytest.raises(UsageError, match=says):
        aim(vs, query, by=by)


def test_all_columns_of_the_one_space_that_is_reached_are_searched(mixed: VectorSet, tmp_path: Path) -> None:
    aimed = aim(mixed, tmp_path / "a.sign")
    assert [column.info.name for column in aimed.columns] == ["word_letters", "post_letters"]
    assert aimed.embedder.spec.modality == "sign"


def test_several_spaces_are_a_choice_to_be_made(mixed: VectorSet) -> None:
    with pytest.raises(UsageError) as refused:
        aim(mixed, "bell")
    said = str(refused.value)
    assert "2 spaces: word_letters, post_letters (toy:1.0); word_unit (toy:unit)" in said
    assert "--in (in Python column=): word_letters, word_unit, post_letters" in said


def test_a_column_is_searched_by_a_query_of_another_modality(mixed: VectorSet) -> None:
    aimed = aim(mixed, "bell", column="post_letters")
    assert aimed.embedder.spec.modality == "toy"
    assert [column.info.name for column in aimed.columns] == ["post_letters"]


def test_different_spaces_are_refused_and_both_are_named(mixed: VectorSet, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"toy:1\.0.*only vectors of one space.*'word_unit' \(toy:unit\)"):
        aim(mixed, tmp_path / "a.sign", column="word_unit")


@pytest.mark.usefixtures("signs")
def test_an_embedder_from_outside_of_the_set_takes_the_options_it_knows(tmp_path: Path) -> None:
    vs = Pipeline({"word": "toy.letters(scale=2.0, weights=random:3)"}).run(WORDS, tmp_path / "out")
    aimed = aim(vs, file(tmp_path, "a.sign"))
    assert dict(aimed.embedder.options) == {"scale": 2.0, "colour": "red"}
    assert aimed.embedder.spec.space == vs["word_letters"].space == "toy:2.0"


@pytest.mark.usefixtures("signs")
def test_why_no_embedder_leads_there_is_said_for_each(tmp_path: Path) -> None:
    vs = Pipeline({"word": "toy.unit"}).run(WORDS, tmp_path / "out")
    with pytest.raises(UsageError) as refused:
        aim(vs, file(tmp_path, "a.sign"))
    assert "No embedder of modality sign leads to 'word_unit' (toy:unit)" in str(refused.value)
    assert "sign.aaa: ValueError: no such sign" in str(refused.value)
    assert "sign.letters leads to 'toy:1.0'" in str(refused.value)


@pytest.mark.usefixtures("slogans")
def test_two_modalities_that_take_words_are_told_apart_by_name(tmp_path: Path) -> None:
    embed = {"word": "toy.letters", "claim": "slogan.letters"}
    vs = Pipeline(embed).run([{"word": "bell", "claim": "drum"}], tmp_path / "out")
    with pytest.raises(UsageError, match=r"'bell' can be slogan or toy.*--by"):
        aim(vs, "bell")
    assert aim(vs, "bell", by="slogan").query.modality == Slogan.name


def test_an_embedder_that_no_longer_leads_to_the_recorded_space_is_refused(vs: VectorSet, tmp_path: Path) -> None:
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["columns"][0]["space"] = "toy:before"
    path.write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match=r"'toy:1\.0' today; the column holds 'toy:before'"):
        aim(VectorSet.open(tmp_path / "out"), "bell")


def test_an_unknown_column_is_named(vs: VectorSet) -> None:
    with pytest.raises(UsageError, match="Did you mean 'word_letters'"):
        aim(vs, "bell", column="word_leters")


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """Brings signs, which have a space of their own, to the words of scale 2."""
    folder = tmp_path / "head"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(Head((Layer("affine", torch.eye(3), torch.zeros(3)),)).content())
    below = {"name": "sign.letters", "class": f"{SignLetters.__module__}:SignLetters", "space": "toy:5.0"}
    anchor = {"name": "toy.letters", "modality": "toy", "options": {"scale": 2.0}, "space": "toy:2.0"}
    config = {
        "head": 1,
        "method": "ridge",
        "layers": ["affine"],
        "embedder": {**below, "modality": "sign", "options": {"scale": 5.0}, "dim": 3, "weights": {}},
        "anchor": {**anchor, "dim": 3, "weights": {}},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def headed(tmp_path: Path, head: Path, signs: None) -> VectorSet:  # noqa: F811
    """Words, and signs that a head brought to them."""
    records = [{"id": "a", "word": "drum", "post": file(tmp_path, "a.sign")}]
    embed = {"word": "toy.letters(scale=2.0)", "post": Aligned(head=str(head))}
    return Pipeline(embed).run(records, tmp_path / "headed")


def test_a_query_searches_what_a_head_brought_to_its_space(headed: VectorSet) -> None:
    aimed = aim(headed, "bell")
    assert [column.info.name for column in aimed.columns] == ["word_letters", "post_aligned"]
    assert aimed.embedder.spec.space == "toy:2.0"


def test_a_query_through_a_head_searches_the_anchor(headed: VectorSet, tmp_path: Path) -> None:
    aimed = aim(headed, file(tmp_path, "b.sign"), column="word_letters")
    assert aimed.embedder.spec.space.startswith("toy:2.0+head:")


def test_what_only_a_head_made_is_searched_by_its_anchors_embedder(
    head: Path,
    tmp_path: Path,
    signs: None,  # noqa: F811
) -> None:
    records = [{"id": "a", "post": file(tmp_path, "a.sign")}]
    vs = Pipeline({"post": Aligned(head=str(head))}).run(records, tmp_path / "alone")
    aimed = aim(vs, "bell")
    assert (aimed.embedder.spec.modality, aimed.embedder.spec.space) == ("toy", "toy:2.0")
