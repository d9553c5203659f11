"""mteb's tasks on our embedders: the protocol, what goes to whom, and a task made here with a known answer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from embedders import BaseEmbedder, EmbedderSpec
from embedders.errors import BadInput, SetupError, UsageError
from pipelines.uses.evaluation.mteb_bridge import MtebEncoder, run_mteb
from tests.toy import Letters


class Words(Letters):
    """The letters of a text."""

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("text", "letters", 3, False)


class Sizes(BaseEmbedder):
    """Height, width and 1 of a picture, in the space of the letters."""

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("image", "letters", 3, False)

    def prepare(self, media: Any) -> Any:
        return [*media.shape[:2], 1]

    def collate(self, samples: Sequence[Any]) -> Any:
        return np.array(samples)

    def load(self, runtime: Any) -> Any:
        return lambda batch: batch

    def examples(self) -> Sequence[Any]:
        return []


class Seconds(Sizes):
    """Length, rate in kHz and loudest sample of a sound."""

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("audio", "letters", 3, False)

    def prepare(self, media: Any) -> Any:
        return [media.seconds, media.rate / 1000, np.abs(media.samples).max()]


@pytest.fixture(scope="module", autouse=True)
def mteb() -> Any:
    """Imported once, here, since it takes seconds and warns of what does not concern us."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mteb

        return mteb


def asked(*modalities: str) -> Any:
    return SimpleNamespace(name="made", get_modalities=lambda prompt_type: list(modalities))


def encoded(encoder: MtebEncoder, batches: Any, *modalities: str) -> Any:
    return encoder.encode(batches, task_metadata=asked(*modalities), hf_split="test", hf_subset="default")


pytestmark = pytest.mark.slow


def test_it_is_what_mteb_calls_an_encoder(mteb: Any) -> None:
    from mteb.models import EncoderProtocol

    encoder = MtebEncoder([Words(), Sizes()], device="cpu")
    assert isinstance(encoder, EncoderProtocol)
    meta = encoder.mteb_model_meta
    assert (meta.embed_dim, set(meta.modalities)) == (3, {"text", "image"})
    assert meta.revision == "-".join(encoder.fingerprints)


def test_batches_keep_their_order_and_go_to_the_embedder_of_their_modality() -> None:
    from PIL import Image

    encoder = MtebEncoder([Words(), Sizes(), Seconds()], device="cpu")
    words = encoded(encoder, [{"text": ["bell", "a"]}, {"text": ["siren"]}], "text")
    assert words.tolist() == [[4, 1, 2], [1, 1, 1], [5, 2, 19]]
    pictures = encoded(encoder, [{"image": [Image.new("RGB", (4, 7))], "text": ["not asked for"]}], "image")
    assert pictures.tolist() == [[7, 4, 1]]
    sound = {"array": np.array([[0.5, 0.25], [0.5, 0.25]]), "sampling_rate": 16000}
    assert encoded(encoder, [{"audio": [sound]}], "audio") == pytest.approx(np.array([[2 / 16000, 16, 0.5]]))


def test_an_input_of_two_modalities_is_the_sum_of_its_unit_vectors() -> None:
    encoder = MtebEncoder([Words(), Sizes()], device="cpu")
    batch = {"text": ["bell"], "image": [np.zeros((2, 2, 3), np.uint8)]}
    expected = np.array([4, 1, 2]) / 21**0.5 + np.array([2, 2, 1]) / 3
    assert encoded(encoder, [batch], "text", "image") == pytest.approx(expected[None], abs=1e-6)


def test_an_input_that_cannot_be_embedded_stops_the_task() -> None:
    with pytest.raises(BadInput):
        encoded(MtebEncoder(Words(), device="cpu"), [{"text": ["bell", ""]}], "text")


def test_cosines_are_mtebs_own() -> None:
    encoder = MtebEncoder(Words(), device="cpu")
    a, b = np.array([[3.0, 4.0], [1.0, 0.0]]), np.array([[6.0, 8.0], [0.0, 2.0]])
    assert np.asarray(encoder.similarity(a, b)) == pytest.approx(np.array([[1, 0.8], [0.6, 0]]))
    assert np.asarray(encoder.similarity_pairwise(a, b)) == pytest.approx(np.array([1, 0]))


@pytest.mark.parametrize(
    ("bundle", "says"),
    [
        ([], "no embedder"),
        ([Words(), Letters()], "spaces 'letters' and 'toy:1.0'"),
        ([Words(), Words(scale=2)], "two embedders for 'text'"),
        ([Letters()], "no tasks for 'toy'"),
    ],
)
def test_embedders_that_are_no_bundle_are_refused(bundle: list[Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        MtebEncoder(bundle, device="cpu")


def made_task(mteb: Any) -> Any:
    """Pairs of words whose scores are the cosines of their letters: every correlation is 1."""
    from datasets import Dataset
    from mteb.abstasks.sts import AbsTaskSTS

    class LettersSTS(AbsTaskSTS):
        metadata = mteb.TaskMetadata(
            name="LettersSTS",
            dataset={"path": "none/none", "revision": "made"},
            description="Words and the cosines of their letters.",
            reference=None,
            type="STS",
            category="t2t",
            modalities=["text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="cosine_spearman",
            date=None,
            domains=None,
            task_subtypes=None,
            license=None,
            annotations_creators=None,
            dialect=None,
            sample_creation=None,
            bibtex_citation=None,
        )
        min_score = 0
        max_score = 1

        def load_data(self, **options: Any) -> None:
            pairs = [("bell", "drum"), ("siren", "engine"), ("wave", "area"), ("aloe", "zebra"), ("lynx", "a")]
            a, b = (np.array([Words()._vector(pair[side]) for pair in pairs]) for side in (0, 1))
            cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
            rows = {
                "sentence1": [p[0] for p in pairs],
                "sentence2": [p[1] for p in pairs],
                "score": cosine.tolist(),
            }
            self.dataset = {"test": Dataset.from_dict(rows)}
            self.data_loaded = True

    return LettersSTS()


@pytest.mark.filterwarnings("ignore")
def test_a_task_runs_and_its_main_score_is_the_figure(mteb: Any) -> None:
    encoder = MtebEncoder(Words(), device="cpu")
    found = run_mteb(made_task(mteb), encoder)
    assert [figure.metric for figure in found.figures] == ["cosine_spearman (test, default)"]
    assert found.figures[0].value == pytest.approx(1)
    assert found.fingerprints == encoder.fingerprints
    assert "task LettersSTS, revision made" in found.notes[0]


def test_a_task_of_a_modality_without_embedder_is_refused(mteb: Any) -> None:
    with pytest.raises(UsageError, match="needs 'text', and the embedders of 'letters' take image"):
        run_mteb(made_task(mteb), MtebEncoder(Sizes(), device="cpu"))


def test_an_unknown_task_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="STSBenchmark"):
        run_mteb("STSBenchmrk", MtebEncoder(Words(), device="cpu"))


@pytest.mark.filterwarnings("ignore")
def test_a_task_whose_rows_cannot_be_had_says_so(mteb: Any) -> None:
    task = made_task(mteb)

    def refuse(**options: Any) -> None:
        raise ConnectionError("no route")

    task.load_data = refuse
    with pytest.raises(SetupError, match="cannot be had"):
        run_mteb(task, MtebEncoder(Words(), device="cpu"))


def test_a_missing_mteb_prints_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(SetupError, match=r"multimodal-embedders\[mteb\]"):
        MtebEncoder(Words(), device="cpu")
