"""Against ``encode`` of sentence-transformers on the same folder, one input at a time."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from embedders import BadInput, SetupError, UsageError
from embedders.conformance import CHECKS
from embedders.modality import Waveform
from embedders.models.sentence import SentenceAudio, SentenceImage, SentenceText
from embedders.weights import Hub
from tests.embedders.models.tiny_bert import TEXTS, edit
from tests.embedders.models.tiny_sentence import (
    SentenceTransformer,
    modules,
    save_clip,
    save_sound,
    save_static,
    save_text,
)
from tests.embedders.parity import embed_media, mixed_batches, relative_l2

CLOSE = 1e-6


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sentence")


@pytest.fixture(scope="module")
def text(root: Path) -> Path:
    torch.manual_seed(1)
    prompts = {"prompts": {"query": "find this: "}, "default_prompt_name": "query"}
    return save_text(root / "text", modules.Dense(32, 8), modules.Normalize(), pooling="cls", **prompts)


@pytest.fixture(scope="module")
def plain(root: Path) -> Path:
    return save_text(root / "plain")


Changed = Callable[..., Path]


@pytest.fixture
def changed(tmp_path: Path) -> Changed:
    """A copy of a folder with other settings in one of its files."""

    def made(folder: Path, file: str, **settings: Any) -> Path:
        shutil.copytree(folder, tmp_path / "copy")
        edit(tmp_path / "copy" / file, **settings)
        return tmp_path / "copy"

    return made


@pytest.fixture(scope="module")
def static(root: Path) -> Path:
    return save_static(root / "static")


@pytest.fixture(scope="module")
def clip(root: Path) -> Path:
    return save_clip(root / "clip")


@pytest.fixture(scope="module")
def sound(root: Path) -> Path:
    return save_sound(root / "sound")


@functools.cache
def loaded(folder: Path) -> Any:
    return SentenceTransformer(str(folder), device="cpu")


def encoded(folder: Path, inputs: list[Any], **options: Any) -> Any:
    """One input at a time, so that no padding of the library's is in it."""
    model = loaded(folder)
    return np.concatenate([model.encode([one], show_progress_bar=False, **options) for one in inputs])


def pictures() -> list[Any]:
    dice = np.random.default_rng(0)
    return [dice.integers(0, 256, (*side, 3)).astype(np.uint8) for side in ((32, 32), (40, 64), (90, 35))]


def sounds(rate: int = 16_000) -> list[Waveform]:
    dice = np.random.default_rng(0)
    return [Waveform(dice.normal(0, 0.1, n).astype(np.float32), rate) for n in (1600, 4000, 2500, 4000)]


@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken", "weightedmean", ["mean", "max"]], ids=str)
def test_text_gets_the_vectors_of_encode_whatever_stands_beside_it(
    pooling: Any, plain: Path, changed: Changed
) -> None:
    folder = changed(plain, "1_Pooling/config.json", pooling_mode=pooling)
    embedder = SentenceText(weights=str(folder))
    expected = encoded(folder, TEXTS)
    assert embedder.spec.dim == expected.shape[1] == (64 if isinstance(pooling, list) else 32)
    for batch, vectors in mixed_batches(embedder, TEXTS, sizes=(1, 7)).items():
        assert relative_l2(vectors, expected) < CLOSE, batch


def test_every_module_of_the_folder_is_followed(text: Path) -> None:
    embedder = SentenceText(weights=str(text))
    spec = embedder.spec
    assert (spec.dim, spec.normalized, spec.details["max_tokens"]) == (8, True, 64)
    assert spec.details["modules"] == ["Transformer", "Pooling", "Dense", "Normalize"]
    assert relative_l2(embed_media(embedder, TEXTS, 4), encoded(text, TEXTS)) < CLOSE


def test_a_static_model_gets_the_vectors_of_encode(static: Path) -> None:
    embedder = SentenceText(weights=str(static))
    assert embedder.spec.dim == 16
    assert relative_l2(embed_media(embedder, TEXTS, 4), encoded(static, TEXTS)) < CLOSE


def test_pictures_get_the_vectors_of_encode(clip: Path) -> None:
    from PIL import Image

    embedder = SentenceImage(weights=str(clip))
    expected = encoded(clip, [Image.fromarray(picture) for picture in pictures()])
    assert embedder.spec.dim == 24
    for batch, vectors in mixed_batches(embedder, pictures(), sizes=(1, 3)).items():
        assert relative_l2(vectors, expected) < CLOSE, batch


def test_words_and_pictures_of_one_folder_share_a_space(clip: Path) -> None:
    texts = SentenceText(weights=str(clip))
    assert texts.spec.space == SentenceImage(weights=str(clip)).spec.space
    short = [text[:12] for text in TEXTS]
    assert relative_l2(embed_media(texts, short, 4), encoded(clip, short)) < CLOSE


def test_sounds_get_the_vectors_of_encode_alone_in_any_batch(sound: Path) -> None:
    embedder = SentenceAudio(weights=str(sound))
    clips = [{"array": clip.samples, "sampling_rate": 16_000} for clip in sounds()]
    expected = encoded(sound, clips)
    for batch, vectors in mixed_batches(embedder, sounds(), sizes=(1, 4)).items():
        assert relative_l2(vectors, expected) < CLOSE, batch
    together = loaded(sound).encode(clips, show_progress_bar=False)
    assert relative_l2(together, expected) > 1e-2  # the library pads them against each other


def test_a_sound_is_brought_to_the_rate_of_the_model(sound: Path) -> None:
    embedder = SentenceAudio(weights=str(sound))
    (clip,) = sounds(48_000)[:1]
    assert np.array_equal(embedder.prepare(clip).taken["array"], clip.at(16_000))


def test_a_sound_longer_than_the_processor_takes_is_cut_and_flagged(tmp_path: Path) -> None:
    embedder = SentenceAudio(weights=str(save_sound(tmp_path, chunk_length=0.2)))
    flags = [embedder.flags(embedder.prepare(clip)) for clip in sounds()[:2]]
    assert flags == [(), ("truncated_audio",)]
    assert len(embedder.prepare(sounds()[1]).taken["array"]) == 3200


EMBEDDERS: dict[str, Callable[[pytest.FixtureRequest], Any]] = {
    "text": lambda request: SentenceText(weights=str(request.getfixturevalue("text"))),
    "image": lambda request: SentenceImage(weights=str(request.getfixturevalue("clip"))),
    "audio": lambda request: SentenceAudio(weights=str(request.getfixturevalue("sound"))),
}


@pytest.mark.parametrize("check", [check for check in CHECKS if "process" not in check.__name__])
@pytest.mark.parametrize("kind", EMBEDDERS)
def test_contract(kind: str, check: Any, request: pytest.FixtureRequest) -> None:
    check(EMBEDDERS[kind](request))


@pytest.mark.parametrize(
    ("options", "prompt"),
    [({}, None), ({"prompt": "say: "}, "say: "), ({"prompt": ""}, ""), ({"prompt_name": "document"}, "")],
    ids=["the folder's", "own", "none", "by name"],
)
def test_the_prompt_is_that_of_encode(options: dict[str, Any], prompt: str | None, text: Path) -> None:
    embedder = SentenceText(weights=str(text), **options)
    assert relative_l2(embed_media(embedder, TEXTS, 4), encoded(text, TEXTS, prompt=prompt)) < CLOSE
    assert embedder.spec.space == SentenceText(weights=str(text)).spec.space


def test_a_prompt_that_is_not_pooled_is_left_out(plain: Path, changed: Changed) -> None:
    folder = changed(plain, "1_Pooling/config.json", include_prompt=False)
    embedder = SentenceText(weights=str(folder), prompt="find: ")
    assert relative_l2(embed_media(embedder, TEXTS, 4), encoded(folder, TEXTS, prompt="find: ")) < CLOSE


def test_a_cut_vector_keeps_the_unit_length_of_the_whole(text: Path) -> None:
    embedder = SentenceText(weights=str(text), truncate_dim=3)
    expected = encoded(text, TEXTS, truncate_dim=3, normalize_embeddings=True)
    assert (embedder.spec.dim, embedder.spec.normalized) == (3, True)
    assert embedder.spec.space == SentenceText(weights=str(text)).spec.space + "/dim=3"
    assert relative_l2(embed_media(embedder, TEXTS, 4), expected) < CLOSE


@pytest.mark.parametrize("normalize", [False, True])
def test_without_unit_length_a_vector_is_cut_as_it_is(normalize: bool, static: Path) -> None:
    embedder = SentenceText(weights=str(static), truncate_dim=5, normalize=normalize)
    expected = encoded(static, TEXTS, truncate_dim=5, normalize_embeddings=normalize)
    assert embedder.spec.normalized is normalize
    assert relative_l2(embed_media(embedder, TEXTS, 4), expected) < CLOSE


def test_a_text_that_is_the_address_of_a_picture_is_read_and_not_fetched(clip: Path) -> None:
    address = "http://127.0.0.1:9/a.png"
    vector = embed_media(SentenceText(weights=str(clip), prompt=""), [address], 1)
    assert relative_l2(vector, encoded(clip, [{"text": address}])) < CLOSE


@pytest.mark.parametrize("text_", ["x" * 62, "x" * 63])
def test_a_text_with_more_tokens_than_the_model_takes_is_flagged(text_: str, text: Path) -> None:
    embedder = SentenceText(weights=str(text), prompt="")
    sample = embedder.prepare(text_)
    assert embedder.flags(sample) == (("truncated_text",) if len(text_) > 62 else ())
    assert embedder.cost(sample) == 64


def test_a_static_model_cuts_where_its_tokenizer_was_saved_to(tmp_path: Path) -> None:
    folder = save_static(tmp_path, limit=5)
    embedder = SentenceText(weights=str(folder))
    assert [embedder.flags(embedder.prepare(text)) for text in ("abcde", "abcdef")] == [(), ("truncated_text",)]
    vectors = embed_media(embedder, ["abcde", "abcdef"], 2)
    assert np.array_equal(vectors[0], vectors[1])


def test_a_text_without_tokens_has_no_vector(static: Path) -> None:
    with pytest.raises(BadInput, match="no token") as caught:
        SentenceText(weights=str(static)).prepare("   ")
    assert (caught.value.status, caught.value.code) == ("empty", "TXT_NO_TOKENS")


def test_threads_prepare_what_one_does(text: Path) -> None:
    alone = [SentenceText(weights=str(text)).prepare(one) for one in TEXTS * 20]
    embedder = SentenceText(weights=str(text))
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(embedder.prepare, TEXTS * 20)) == alone


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_side_of_the_padding_changes_nothing(side: str, plain: Path, changed: Changed) -> None:
    folder = changed(plain, "tokenizer_config.json", padding_side=side)
    edit(folder / "1_Pooling/config.json", pooling_mode="lasttoken")
    expected = encoded(folder, TEXTS)
    assert relative_l2(embed_media(SentenceText(weights=str(folder)), TEXTS, 9), expected) < CLOSE


def test_the_settings_are_read_without_torch(text: Path, static: Path) -> None:
    code = (
        "import sys; from embedders.models.sentence import SentenceText\n"
        "for folder in sys.argv[1:]: print(SentenceText(weights=folder).spec.dim)\n"
        "print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code, text, static], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["8", "16", "False"]


def test_a_plain_model_of_transformers_is_pooled_as_the_library_would(plain: Path) -> None:
    folder = plain.parent / "bert"
    assert relative_l2(embed_media(SentenceText(weights=str(folder)), TEXTS, 4), encoded(folder, TEXTS)) < CLOSE


def test_an_id_of_the_hub_is_a_space_at_its_commit(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "fetch", lambda self, one_of, also=(): text)
    embedder = SentenceText(weights=f"someone/model@{'ab' * 20}")
    assert embedder.spec.space == "sentence-transformers:someone/model@abababababab"
    assert embedder.weights_identity == {"hub": "someone/model", "revision": "ab" * 20}
    assert relative_l2(embed_media(embedder, TEXTS, 4), encoded(text, TEXTS)) < CLOSE


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("modules.json", "sentence_transformers.base.modules.dense", "os.system.Dense"),
        ("2_Dense/config.json", {"activation_function": "os.system"}, "os.system"),
        ("config.json", {"_attn_implementation": "someone/kernel"}, "someone/kernel"),
        ("config.json", {"inner": {"attn_implementation": "someone/kernel"}}, "someone/kernel"),
        ("sentence_bert_config.json", {"model_kwargs": {"attn_implementation": "a/kernel"}}, "a/kernel"),
        ("sentence_bert_config.json", {"tokenizer_name_or_path": "someone/else"}, "someone/else"),
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "SparseEncoder"),
        ("adapter_config.json", {}, "is an adapter"),
    ],
)
def test_a_folder_that_brings_or_borrows_is_refused_before_anything_is_loaded(
    file: str, changes: Any, message: str, text: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(text, folder)
    if isinstance(changes, str):
        (folder / file).write_text((folder / file).read_text().replace(changes, "os.system"))
    elif (folder / file).is_file():
        edit(folder / file, **changes)
    else:
        (folder / file).write_text(json.dumps(changes))
    with pytest.raises(SetupError, match=message):
        _ = SentenceText(weights=str(folder)).spec


@pytest.mark.parametrize("path", ["../elsewhere", "/etc"])
def test_modules_outside_of_the_folder_are_refused(path: str, plain: Path, tmp_path: Path) -> None:
    listed = json.loads((plain / "modules.json").read_text())
    listed[1]["path"] = path
    folder = tmp_path
    (folder / "modules.json").write_text(json.dumps(listed))
    with pytest.raises(SetupError, match="leads out of its folder"):
        _ = SentenceText(weights=str(folder)).spec


def _without(names: str, folder: Path, copy: Path) -> Path:
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, copy)
    state = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(names)}
    assert len(kept) < len(state)
    save_file(kept, copy / "model.safetensors", {"format": "pt"})
    return copy


def test_parameters_that_would_be_filled_with_noise_are_missed(plain: Path, tmp_path: Path) -> None:
    folder = _without("encoder.layer.1.output.dense", plain, tmp_path / "copy")
    with pytest.raises(SetupError, match=r"lacks .* the first is encoder\.layer\.1\.output\.dense"):
        embed_media(SentenceText(weights=str(folder)), TEXTS, 4)


def test_parameters_that_nothing_needs_may_be_missing(plain: Path, tmp_path: Path) -> None:
    folder = _without("pooler.", plain, tmp_path / "copy")
    vectors = embed_media(SentenceText(weights=str(folder)), TEXTS, 4)
    assert relative_l2(vectors, encoded(plain, TEXTS)) < CLOSE


def test_a_folder_that_is_cut_off_is_named(plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(plain, folder)
    (folder / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(SetupError, match="no model that sentence-transformers can load"):
        embed_media(SentenceText(weights=str(folder)), TEXTS, 4)


@pytest.mark.parametrize(
    ("made", "message"),
    [(SentenceImage, "takes text, not image"), (SentenceAudio, "takes no sound")],
)
def test_a_model_that_does_not_take_the_modality_is_named(made: Any, message: str, text: Path) -> None:
    embedder = made(weights=str(text))
    with pytest.raises(SetupError, match=message):
        embedder.embed(embedder.examples(), device="cpu")


def test_without_the_library_the_way_to_it_is_named(static: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(SetupError, match=r"pip install 'multimodal-embedders\[sentence\]'"):
        embed_media(SentenceText(weights=str(static)), TEXTS, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": ""}, "needs weights"),
        ({"weights": "random:0"}, "no architecture of its own"),
        ({"prompt": "a", "prompt_name": "b"}, "Give one"),
        ({"prompt_name": "qerry"}, "Did you mean 'query'"),
        ({"truncate_dim": 0}, "truncate_dim is 0"),
        ({"truncate_dim": 9}, "truncate_dim is 9; .* has 8 dimensions"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], message: str, text: Path) -> None:
    with pytest.raises(UsageError, match=message):
        _ = SentenceText(**{"weights": str(text), **options}).spec
