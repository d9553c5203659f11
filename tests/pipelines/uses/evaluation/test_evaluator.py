"""Protocols on a vector set: which rows and columns take part, what is counted, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedders import Runtime, create
from embedders.errors import UsageError
from pipelines import Pipeline, VectorSet
from pipelines.uses.evaluation import Evaluator, Truth, duplicates, knn, retrieval
from pipelines.uses.evaluation.recorded import fingerprint_hash
from tests.pipelines.uses.evaluation.sets import made

IDS = [f"r{row}" for row in range(12)]


def noise(seed: int, rows: int = 12, dim: int = 4) -> Any:
    return np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)


@pytest.fixture
def vs(tmp_path: Path) -> VectorSet:
    photo, caption = noise(0), noise(1)
    photo[3], caption[[3, 5]] = np.nan, np.nan
    return made(tmp_path / "set", {"photo_clip": photo, "caption_clip": caption})


def test_only_rows_that_are_ok_take_part_and_the_others_are_counted(vs: VectorSet) -> None:
    found = Evaluator(vs).retrieval("photo_clip", "caption_clip")
    assert (found.n, found.against) == (10, 10)
    assert found.left_out == {
        "not ok in photo_clip (queries)": 1,
        "not ok in caption_clip (gallery)": 2,
        "without a positive (queries)": 1,
    }
    fine = [row for row in range(12) if row not in (3, 5)]
    own = retrieval(vs["photo_clip"].vectors[fine], vs["caption_clip"].vectors[fine])
    assert found.figures == own.figures


def test_what_a_head_brought_over_is_compared_with_its_anchor(tmp_path: Path) -> None:
    spaces = {
        "photo_clip": "clip",
        "sound_aligned": "clip+head:0a",
        "word_bert": "bert",
        "noise_aligned": "bert+head:1",
    }
    vs = made(tmp_path / "set", {name: noise(seed) for seed, name in enumerate(spaces)}, spaces)
    evaluator = Evaluator(vs)
    assert evaluator.pairs() == [("photo_clip", "sound_aligned"), ("word_bert", "noise_aligned")]
    assert evaluator.retrieval("photo_clip", "sound_aligned").n == 12
    with pytest.raises(UsageError, match="Only vectors of one space can be compared"):
        evaluator.retrieval("sound_aligned", "noise_aligned")


def test_every_figure_can_be_read_alone(vs: VectorSet) -> None:
    outcome = Evaluator(vs, seed=5).retrieval("photo_clip", "caption_clip").to_json()
    json.dumps(outcome, allow_nan=False)
    for figure in outcome["figures"]:
        assert (figure["n"], figure["against"], figure["seed"]) == (10, 10, 5)
        assert figure["columns"] == ["photo_clip", "caption_clip"]
        assert len(figure["fingerprints"]) == 2
        low, high = figure["interval"]
        assert low <= figure["value"] <= high
        assert figure["chance"] is not None or figure["metric"] == "tie_rate"


def test_a_fingerprint_is_named_by_the_hash_of_its_json(vs: VectorSet) -> None:
    written = b'{"class":"toy:clip","weights":{}}'
    expected = hashlib.sha256(written).hexdigest()[:12]
    assert Evaluator(vs).duplicates("photo_clip").fingerprints == (expected,)
    assert fingerprint_hash({"b": 1, "a": "ü"}) == fingerprint_hash({"a": "ü", "b": 1})


def test_without_options_every_pair_goes_both_ways(vs: VectorSet) -> None:
    found = [(outcome.protocol, outcome.columns) for outcome in Evaluator(vs).run()]
    assert found == [
        ("retrieval", ("photo_clip", "caption_clip")),
        ("retrieval", ("caption_clip", "photo_clip")),
        ("gap", ("photo_clip", "caption_clip")),
        ("duplicates", ("photo_clip",)),
        ("duplicates", ("caption_clip",)),
    ]


def test_pairs_share_a_space_and_not_a_field(tmp_path: Path) -> None:
    columns = {name: noise(0) for name in ("photo_clip", "photo_other", "photo_resnet", "caption_clip")}
    vs = made(tmp_path / "set", columns, {"photo_resnet": "alone"})
    assert Evaluator(vs).pairs() == [("photo_clip", "caption_clip"), ("photo_other", "caption_clip")]
    assert Evaluator(vs).pairs(["photo_other", "caption_clip"]) == [("photo_other", "caption_clip")]


def test_two_spaces_are_refused_naming_both(tmp_path: Path) -> None:
    vs = made(tmp_path / "set", {"a_x": noise(0), "b_x": noise(1)}, {"a_x": "here", "b_x": "there"})
    for protocol in ("retrieval", "gap", "sts"):
        with pytest.raises(UsageError, match="'a_x' is in space 'here' and 'b_x' in 'there'"):
            getattr(Evaluator(vs), protocol)("a_x", "b_x")
    with pytest.raises(UsageError, match="'b_x' in 'there'"):
        Evaluator(vs).swap("a_x", "a_x", "b_x")


def test_rows_of_one_group_are_each_others_positives_and_a_repeated_input_counts_once(tmp_path: Path) -> None:
    of = np.arange(12) // 4
    photo = noise(0, 3)[of]  # three pictures, each with four captions
    vs = made(
        tmp_path / "set",
        {"photo_clip": photo, "caption_clip": noise(1)},
        inputs={"photo": [f"{group}.jpg" for group in of]},
    )
    evaluator = Evaluator(vs, Truth(IDS, group=of.tolist()))
    found = evaluator.retrieval("photo_clip", "caption_clip")
    assert (found.n, found.against) == (3, 12)
    assert found.left_out == {"repeats of an input in its group (queries)": 9}
    own = retrieval(noise(0, 3), noise(1), [0, 1, 2], of)
    assert {f.metric: f.value for f in found.figures} == {f.metric: f.value for f in own.figures}
    back = evaluator.retrieval("caption_clip", "photo_clip", ks=(1, 3))
    assert (back.n, back.against) == (12, 3)
    assert back["hit_rate@3"].value == 1


def test_truth_is_joined_by_id_in_any_order_and_what_does_not_meet_is_counted(tmp_path: Path) -> None:
    x = noise(0, 40)
    vs = made(tmp_path / "set", {"word_toy": x})
    y = np.arange(40) % 2
    ids = [f"r{row}" for row in reversed(range(2, 40))]
    labels: list[Any] = [None if row == 7 else f"class {y[row]}" for row in reversed(range(2, 40))]
    evaluator = Evaluator(vs, Truth(["stranger", *ids], label=["class 0", *labels]))
    assert evaluator.selection.truth is not None
    assert evaluator.selection.truth.strangers == 1
    found = evaluator.knn("word_toy")
    assert found.left_out == {"not in the labels": 2, "without label": 1}
    kept = [row for row in range(2, 40) if row != 7]
    assert found.figures == knn(x[kept], y[kept]).figures


def test_labels_bring_neighbours_probe_and_clusters(tmp_path: Path) -> None:
    y = np.arange(40) % 2
    vs = made(tmp_path / "set", {"word_toy": noise(0, 40) + 20 * np.eye(4)[y]})
    ids = [f"r{row}" for row in range(40)]
    found = {outcome.protocol: outcome for outcome in Evaluator(vs, Truth(ids, label=y.tolist())).run()}
    assert list(found) == ["duplicates", "knn", "probe", "clustering"]
    assert found["knn"]["accuracy k=10"].value == found["probe"]["accuracy"].value == 1
    assert found["clustering"]["v_measure"].value == pytest.approx(1)


def test_a_given_split_decides_who_is_asked(tmp_path: Path) -> None:
    vs = made(tmp_path / "set", {"word_toy": noise(0, 40)})
    split = np.array(["train", "train", "test", ""])[np.arange(40) % 4].tolist()
    truth = Truth([f"r{row}" for row in range(40)], label=(np.arange(40) // 4 % 2).tolist(), split=split)
    for protocol in ("knn", "probe"):
        found = getattr(Evaluator(vs, truth), protocol)("word_toy")
        assert (found.n, found.against) == (10, 20)
        assert found.left_out == {"without split": 10}


def test_a_group_in_two_splits_is_refused_before_anything_is_computed(vs: VectorSet) -> None:
    truth = Truth(IDS, group=["x"] * 2 + IDS[2:], split=["train", "test"] * 6)
    with pytest.raises(UsageError, match="'x' in test and train"):
        Evaluator(vs, truth)


def test_scores_are_compared_with_cosines(tmp_path: Path) -> None:
    a, b = noise(0), noise(1)
    vs = made(tmp_path / "set", {"one_bert": a, "two_bert": b})
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    scores = [None, *(f"{value:.6f}" for value in cosine[1:])]
    found = Evaluator(vs, Truth(IDS, score=scores)).sts("one_bert", "two_bert")
    assert found["spearman"].value == pytest.approx(1)
    assert (found.n, found.left_out) == (11, {"without score": 1})


def test_a_swap_takes_three_columns(tmp_path: Path) -> None:
    x = noise(0)
    vs = made(tmp_path / "set", {"photo_clip": x, "right_clip": x, "wrong_clip": noise(1)})
    swap = ("photo_clip", "right_clip", "wrong_clip")
    (found,) = Evaluator(vs).run(["swap"], swap=swap)
    assert found["accuracy"].value == 1
    assert found.columns == swap


def test_a_sample_is_drawn_by_the_seed(tmp_path: Path) -> None:
    vs = made(tmp_path / "set", {"a_x": noise(0, 50), "b_x": noise(1, 50)})
    found = Evaluator(vs, sample=20).retrieval("a_x", "b_x")
    assert (found.n, found.against) == (20, 20)
    assert found.left_out["not sampled (queries)"] == 30
    assert found == Evaluator(vs, sample=20).retrieval("a_x", "b_x")
    assert found.figures != Evaluator(vs, sample=20, seed=1).retrieval("a_x", "b_x").figures


def test_random_weights_are_called_meaningless(tmp_path: Path) -> None:
    vs = made(tmp_path / "set", {"a_x": noise(0)}, fingerprint={"weights": {"seed": 0}})
    assert any("no meaning" in note for note in Evaluator(vs).duplicates("a_x").notes)


def test_columns_without_rows_are_passed_over_unless_named(tmp_path: Path) -> None:
    nothing = np.full((12, 4), np.nan)
    vs = made(tmp_path / "set", {"a_x": noise(0), "b_x": nothing})
    assert [outcome.protocol for outcome in Evaluator(vs).run()] == ["duplicates"]
    with pytest.raises(UsageError, match=r"0 of 12 rows remain for b_x \(12 not ok in b_x\)"):
        Evaluator(vs).run(columns=["b_x"])
    with pytest.raises(UsageError, match="nothing in"):
        Evaluator(made(tmp_path / "empty", {"b_x": nothing})).run()


def test_pairs_that_never_meet_are_passed_over(tmp_path: Path) -> None:
    a, b = noise(0), noise(1)
    a[:6], b[6:] = np.nan, np.nan
    vs = made(tmp_path / "set", {"a_x": a, "b_x": b})
    assert {outcome.protocol for outcome in Evaluator(vs).run()} == {"duplicates"}
    with pytest.raises(UsageError, match="No query has a positive"):
        Evaluator(vs).retrieval("a_x", "b_x")


@pytest.mark.parametrize(
    ("protocol", "says"),
    [
        ("retreival", "Did you mean 'retrieval'"),
        ("knn", "'knn' lacks label"),
        ("zero_shot", "'zero_shot' lacks label and templates"),
        ("sts", "'sts' lacks score"),
        ("swap", "'swap' lacks swap"),
    ],
)
def test_a_protocol_that_lacks_something_is_refused(vs: VectorSet, protocol: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        Evaluator(vs).run([protocol])
    assert says in str(raised.value)


@pytest.mark.parametrize("protocol", ["knn", "probe", "clustering"])
def test_a_comparison_with_labels_that_were_not_given_is_refused(vs: VectorSet, protocol: str) -> None:
    with pytest.raises(UsageError, match="no 'label'"):
        getattr(Evaluator(vs), protocol)("photo_clip")


def test_what_could_be_had_with_more_is_known(vs: VectorSet) -> None:
    missing = Evaluator(vs, Truth(IDS, label=IDS)).missing()
    assert missing == {"zero_shot": ["templates"], "sts": ["score"], "swap": ["swap"]}


@pytest.mark.parametrize(
    ("truth", "says"),
    [
        (lambda: Truth(["a", "b", "a"], label=[1, 2, 3]), "'a' stands twice"),
        (lambda: Truth(["a", "b"], label=[1]), "2 ids and 1 values of 'label'"),
        (lambda: Truth(["nowhere"], label=[1]).join(np.array(["r0"])), "None of the 1 ids.*'r0'.*--id-column"),
        (lambda: Truth(["r0"], score=["much"]).join(np.array(["r0"])), "score of 'r0' is 'much'"),
        (lambda: Truth(["r0"], score=[float("inf")]).join(np.array(["r0"])), "score of 'r0' is inf"),
    ],
)
def test_truth_that_cannot_be_used_is_refused(truth: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        truth()


def test_a_sample_of_one_row_is_refused(vs: VectorSet) -> None:
    with pytest.raises(UsageError, match="sample is 1"):
        Evaluator(vs, sample=1)


def test_an_unknown_column_is_refused_with_the_nearest(vs: VectorSet) -> None:
    with pytest.raises(UsageError, match="Did you mean 'photo_clip'"):
        Evaluator(vs).run(columns=["photo_clipp"])


# ---- words for classes --------------------------------------------------------------------------------------


@pytest.fixture
def words(tmp_path: Path) -> VectorSet:
    """Files on a shelf, and words, both embedded as (length, vowels, first letter)."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    rows = []
    for name in ("bell", "cell", "drum", "dram"):
        (shelf / name).write_text(name)
        rows.append({"id": name, "file": shelf / name, "word": name})
    chosen = {"file": "tests.toy:Filed", "word": "toy.letters(scale=1)"}
    filed = create("tests.toy:Filed")
    assert filed.spec.space == create("toy.letters(scale=1)").spec.space
    return Pipeline(chosen).run(rows, tmp_path / "set")


def test_labels_in_templates_are_embedded_by_the_columns_own_space(words: VectorSet) -> None:
    truth = Truth(["bell", "cell", "drum", "dram"], label=["bell", "cell", "drum", "bell"])
    found = Evaluator(words, truth).zero_shot("file_filed", ["{}"], device="cpu")
    assert found["accuracy@1"].value == 0.75
    assert (found.n, found.against) == (4, 3)
    shown, said = (
        words["file_filed"].info.fingerprint,
        create("toy.letters(scale=1)").fingerprint(Runtime("cpu", "fp32")),
    )
    assert found.fingerprints == (fingerprint_hash(shown), fingerprint_hash(said))
    assert "templates: {}" in found.notes


def test_a_run_with_templates_asks_columns_that_hold_no_words(words: VectorSet) -> None:
    truth = Truth(["bell", "cell", "drum", "dram"], label=["bell", "cell", "drum", "dram"])
    (found,) = Evaluator(words, truth).run(["zero_shot"], templates=["a{}", "b{}"], device="cpu")
    assert found.columns == ("file_filed",)


@pytest.mark.parametrize(
    ("templates", "embedder", "says"),
    [
        (["a photo"], None, "'a photo' has no place"),
        ([], None, "no template"),
        (["{}"], "toy.unit", "would be in 'toy:unit'"),
    ],
)
def test_templates_that_cannot_be_compared_are_refused(
    words: VectorSet, templates: list[str], embedder: str | None, says: str
) -> None:
    evaluator = Evaluator(words, Truth(["bell", "cell"], label=["x", "y"]))
    with pytest.raises(UsageError, match=says):
        evaluator.zero_shot("file_filed", templates, create(embedder) if embedder else None)


def test_a_space_that_takes_no_words_is_said(tmp_path: Path, words: VectorSet) -> None:
    alone = Pipeline({"word": "toy.unit"}).run(
        [{"id": "a", "word": "a"}, {"id": "b", "word": "bee"}], tmp_path / "b"
    )
    truth = Truth(["a", "b"], label=["x", "y"])
    evaluator = Evaluator(alone, truth)
    assert evaluator.zero_shot("word_unit", ["{}"], device="cpu").n == 2  # named: words against words
    with pytest.raises(UsageError, match="nothing in"):
        evaluator.run(["zero_shot"], templates=["{}"])


def test_a_duplicate_rate_of_a_set_is_that_of_its_rows(words: VectorSet) -> None:
    found = Evaluator(words).duplicates("word_letters")
    assert found.figures == duplicates(words["word_letters"].vectors).figures
    assert found["duplicate_rate"].value == 0.5  # drum and dram
