"""Against sentence-transformers on the same folder, one text at a time."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from embedders import SetupError
from embedders.models.bert import Bert
from embedders.weights import Hub
from tests.embedders.models.tiny_bert import TEXTS, edit, save_bert
from tests.embedders.parity import embed_media, mixed_batches, relative_l2, smallest_cosine

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # sentence-transformers imports what its dependencies call deprecated
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

Save = Callable[..., Path]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT as ``save_pretrained`` writes it."""
    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def save(plain: Path, tmp_path: Path) -> Save:
    """A folder as sentence-transformers writes it around that BERT."""

    def made(*behind: Any, pooling: str = "mean", max_tokens: int | None = None, **options: Any) -> Path:
        transformer = modules.Transformer(str(plain))
        if max_tokens is not None:
            transformer.max_seq_length = max_tokens
        include_prompt = options.pop("include_prompt", True)
        parts = [transformer, modules.Pooling(32, pooling_mode=pooling, include_prompt=include_prompt), *behind]
        SentenceTransformer(modules=parts, device="cpu", **options).save(str(tmp_path / "st"))
        return tmp_path / "st"

    return made


def oracle(folder: Path, texts: list[str] = TEXTS, **options: Any) -> Any:
    """One text at a time, so that no padding of upstream's is in it."""
    model = SentenceTransformer(str(folder), device="cpu")
    return np.stack([model.encode(text, show_progress_bar=False, **options) for text in texts])


def test_a_plain_folder_gives_what_sentence_transformers_makes_of_it(plain: Path) -> None:
    expected = oracle(plain)
    embedder = Bert(weights=str(plain))
    for batch, vectors in mixed_batches(embedder, TEXTS).items():
        assert relative_l2(vectors, expected) < 1e-5, batch
        assert smallest_cosine(vectors, expected) > 0.999999, batch
    assert not embedder.spec.normalized


@pytest.mark.parametrize("max_tokens", [None, 20])
@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken"])
def test_a_saved_folder_gives_the_vectors_of_encode(pooling: str, max_tokens: int | None, save: Save) -> None:
    folder = save(modules.Normalize(), pooling=pooling, max_tokens=max_tokens)
    embedder = Bert(weights=str(folder))
    expected = oracle(folder)
    for batch, vectors in mixed_batches(embedder, TEXTS, sizes=(1, 7)).items():
        assert relative_l2(vectors, expected) < 1e-5, batch
    assert embedder.spec.normalized


@pytest.mark.parametrize("include_prompt", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken"])
def test_the_default_prompt_of_the_folder_is_used(pooling: str, include_prompt: bool, save: Save) -> None:
    prompts = {"prompts": {"query": "find this: "}, "default_prompt_name": "query"}
    folder = save(pooling=pooling, include_prompt=include_prompt, **prompts)
    vectors = embed_media(Bert(weights=str(folder)), TEXTS, 5)
    assert relative_l2(vectors, oracle(folder)) < 1e-5
    assert relative_l2(vectors, oracle(folder, prompt="")) > 1e-3


def test_projections_behind_the_pooling_are_applied(save: Save) -> None:
    torch.manual_seed(1)
    wide, narrow = modules.Dense(32, 48), modules.Dense(48, 8, bias=False, activation_function=torch.nn.Identity())
    folder = save(wide, narrow, modules.Normalize())
    embedder = Bert(weights=str(folder))
    assert embedder.spec.dim == 8
    assert relative_l2(embed_media(embedder, TEXTS, 4), oracle(folder)) < 1e-5


def _old_layout(folder: Path) -> Path:
    """The same model as old versions wrote it: a folder for the transformer, pooling by booleans, other names."""
    old = folder.parent / "old"
    (old / "0_Transformer").mkdir(parents=True)
    for file in folder.iterdir():
        if file.is_file() and file.name not in ("modules.json", "config_sentence_transformers.json"):
            shutil.copy(file, old / "0_Transformer")
    (old / "0_Transformer" / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": 24, "do_lower_case": True})
    )
    (old / "1_Pooling").mkdir()
    settings = {"word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (old / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    (old / "2_Normalize").mkdir()
    kinds = [("0_Transformer", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds)
    ]
    (old / "modules.json").write_text(json.dumps(listed))
    return old


def test_the_layout_of_old_versions_is_read(save: Save) -> None:
    folder = _old_layout(save())
    embedder = Bert(weights=str(folder))
    assert (embedder.spec.details["max_tokens"], embedder.spec.details["pooling"]) == (24, "cls")
    assert relative_l2(embed_media(embedder, TEXTS, 4), oracle(folder)) < 1e-5


def test_lower_case_is_made_where_the_folder_asks_for_it(save: Save) -> None:
    folder = _old_layout(save())
    for name, path in (("normalizer", "tokenizer.json"), ("do_lower_case", "tokenizer_config.json")):
        value: Any = False
        if name == "normalizer":
            value = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True}
            value |= {"strip_accents": None, "lowercase": False}
        edit(folder / "0_Transformer" / path, **{name: value})
    vectors = embed_media(Bert(weights=str(folder)), ["BELL", "bell"], 2)
    assert np.array_equal(vectors[0], vectors[1])
    assert relative_l2(vectors, oracle(folder, ["BELL", "bell"])) < 1e-5


def test_options_win_over_the_folder(save: Save) -> None:
    prompts = {"prompts": {"query": "find this: "}, "default_prompt_name": "query"}
    folder = save(modules.Normalize(), pooling="cls", max_tokens=10, **prompts)
    changed = Bert(weights=str(folder), pooling="mean", normalize=False, prompt="say: ", max_tokens=30)
    model: Any = SentenceTransformer(str(folder), device="cpu")
    model[1].pooling_mode = "mean"
    model.max_seq_length = 30
    bare = SentenceTransformer(modules=[model[0], model[1]], device="cpu")
    expected = np.stack([bare.encode(text, prompt="say: ", show_progress_bar=False) for text in TEXTS])
    assert relative_l2(embed_media(changed, TEXTS, 3), expected) < 1e-5
    bare_texts = embed_media(Bert(weights=str(folder), prompt=""), TEXTS, 3)
    assert relative_l2(bare_texts, oracle(folder, prompt="")) < 1e-5


def test_padding_on_the_left_changes_nothing(save: Save) -> None:
    folder = save(pooling="lasttoken")
    expected = oracle(folder)
    edit(folder / "tokenizer_config.json", padding_side="left")
    assert SentenceTransformer(str(folder), device="cpu").tokenizer.padding_side == "left"
    for batch, vectors in mixed_batches(Bert(weights=str(folder)), TEXTS, sizes=(1, 7)).items():
        assert relative_l2(vectors, expected) < 1e-5, batch


def test_truncation_and_padding_saved_with_the_tokenizer_are_not_used(plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(plain, folder)
    padding = {"strategy": {"Fixed": 50}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0}
    padding |= {"pad_type_id": 0, "pad_token": "[PAD]"}
    truncation = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    edit(folder / "tokenizer.json", padding=padding, truncation=truncation)
    assert relative_l2(embed_media(Bert(weights=str(folder)), TEXTS, 3), oracle(plain)) < 1e-5


def test_another_id_of_the_hub_is_read_from_its_files(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save(modules.Normalize(), pooling="cls", max_tokens=30)
    monkeypatch.setattr(Hub, "fetch", lambda self, one_of, also=(): folder)
    embedder = Bert(weights=f"someone/model@{'ab' * 20}")
    assert embedder.spec.space == "transformers:someone/model@abababababab/pooling=cls"
    assert embedder.weights_identity == {"hub": "someone/model", "revision": "ab" * 20}
    assert relative_l2(embed_media(embedder, TEXTS, 3), oracle(folder)) < 1e-5


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("modules.json", None, "WeightedLayerPooling"),
        ("1_Pooling/config.json", {"pooling_mode": "max"}, "pooling max"),
        ("1_Pooling/config.json", {"pooling_mode": ["mean", "cls"]}, r"mean\+cls"),
        ("2_Dense/config.json", {"activation_function": "os.system"}, "os.system"),
        ("2_Dense/config.json", {"use_residual": True}, "use_residual"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "fill-mask"),
        ("sentence_bert_config.json", {"processing_kwargs": {"text": {"max_length": 3}}}, "processing_kwargs"),
    ],
)
def test_what_cannot_be_followed_is_named(
    file: str, changes: dict[str, Any] | None, message: str, save: Save
) -> None:
    folder = save(modules.Dense(32, 8))
    if changes is None:
        text = (folder / file).read_text().replace("pooling.Pooling", "weighted_layer_pooling.WeightedLayerPooling")
        (folder / file).write_text(text)
    else:
        edit(folder / file, **changes)
    with pytest.raises(SetupError, match=message):
        _ = Bert(weights=str(folder)).spec


@pytest.mark.parametrize("path", ["../elsewhere", "/etc"])
def test_modules_outside_of_the_folder_are_refused(path: str, save: Save) -> None:
    folder = save()
    listed = json.loads((folder / "modules.json").read_text())
    listed[1]["path"] = path
    (folder / "modules.json").write_text(json.dumps(listed))
    with pytest.raises(SetupError, match="leads out of its folder"):
        _ = Bert(weights=str(folder)).spec
