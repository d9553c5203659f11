"""What the package promises; run with ``pytest`` where it is installed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

import embedders
from embedders import BadInput, Status
from embedders.conformance import CHECKS, contract
from embedders.registry import registry

DRUGS = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "salicylic acid": "O=C(O)c1ccccc1O",
    "caffeine": "CN1C=NC2=C1C(=O)N(C)C(=O)N2C",
    "theobromine": "CN1C=NC2=C1C(=O)NC(=O)N2C",
    "ethanol": "CCO",
    "glucose": "OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O",
    "table salt": "[Na+].[Cl-]",
    "testosterone": "C[C@]12CC[C@H]3[C@H]([C@@H]1CC[C@@H]2O)CCC4=CC(=O)CC[C@]34C",
}

TestMorgan = contract("molecule.morgan")
TestMorganCounts = contract("molecule.morgan", counts=True, radius=3, bits=512)


def decoded(raw: object) -> str:
    """The media of one input."""
    return str(registry.modality("molecule").decode(raw).media)


@pytest.mark.parametrize("counts", [False, True])
def test_vectors_are_those_of_rdkit(counts: bool) -> None:
    made = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    own = made.GetCountFingerprintAsNumPy if counts else made.GetFingerprintAsNumPy
    expected = np.stack([own(Chem.MolFromSmiles(smiles)) for smiles in DRUGS.values()])
    found = embedders.create("molecule.morgan", counts=counts).embed(DRUGS.values(), device="cpu")
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("name", ["aspirin", "caffeine"])
def test_the_nearest_is_who_tanimoto_says(name: str) -> None:
    vectors = embedders.create("molecule.morgan").embed(DRUGS.values(), device="cpu")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    at, names = list(DRUGS).index(name), list(DRUGS)
    made = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [made.GetFingerprint(Chem.MolFromSmiles(smiles)) for smiles in DRUGS.values()]
    tanimoto = DataStructs.BulkTanimotoSimilarity(prints[at], prints)
    nearest = names[int(np.argsort(unit @ unit[at])[-2])]
    assert nearest == names[int(np.argsort(tanimoto)[-2])]
    assert nearest == {"aspirin": "salicylic acid", "caffeine": "theobromine"}[name]


@pytest.mark.parametrize("written", ["CCO", "OCC", "C(O)C", "[CH3][CH2][OH]", " OCC ethanol\n", b"OCC\n"])
def test_every_way_of_writing_is_one_molecule(written: str | bytes) -> None:
    assert decoded(written) == "CCO"


def test_mirror_images_stay_two_molecules() -> None:
    assert decoded("C[C@H](N)C(=O)O") != decoded("C[C@@H](N)C(=O)O")


@pytest.mark.parametrize(
    ("raw", "status", "words"),
    [
        ("C(", Status.INVALID, "syntax error.*position 2"),
        ("C1CC", Status.INVALID, "unclosed ring"),
        ("C(C)(C)(C)(C)C", Status.INVALID, "valence for atom # 0 C, 5"),
        ("c1cccc1", Status.INVALID, "kekulize"),
        ("two red bells", Status.INVALID, "syntax error"),
        ("|$x$|", Status.INVALID, "syntax error"),
        ("CCO\nCCC", Status.INVALID, "2 lines"),
        (b"\xff\xfe", Status.INVALID, "UTF-8"),
        (7, Status.INVALID, "int is no SMILES"),
        (" \n", Status.EMPTY, "no SMILES"),
        ("C" * 5001, Status.LIMIT, "5001 characters"),
    ],
)
def test_what_is_no_molecule_is_told_why(raw: object, status: Status, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        decoded(raw)
    assert caught.value.status == status


def test_rdkit_prints_nothing_meanwhile_and_everything_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    def read(smiles: str) -> str:
        try:
            return decoded(smiles)
        except BadInput as bad:
            return str(bad)

    wanted = {"C(": "syntax error", "[H]": "[H]", "C1CC": "unclosed ring"}  # a lone hydrogen is warned about
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read, [*wanted] * 50))
    assert all(words in said for words, said in zip([*wanted.values()] * 50, found, strict=True))
    assert capfd.readouterr() == ("", "")
    assert Chem.MolFromSmiles("C1CC") is None
    assert "unclosed ring" in capfd.readouterr().err


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny RoBERTa over characters, as ``save_pretrained`` writes it."""
    folder = tmp_path_factory.mktemp("chemberta")
    signs = ["<s>", "<pad>", "</s>", "<unk>", *sorted(set("".join(DRUGS.values())))]
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({sign: at for at, sign in enumerate(signs)}, unk_token="<unk>")
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    backend.post_processor = tokenizers.processors.BertProcessing(("</s>", 2), ("<s>", 0))
    marks = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    upstream = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=90, **marks)
    upstream.save_pretrained(folder)
    config = transformers.RobertaConfig(
        vocab_size=len(signs),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=96,
        pad_token_id=1,
        initializer_range=0.5,
    )
    transformers.RobertaModel(config).save_pretrained(folder)
    return folder


def test_chemberta_reads_the_canonical_smiles_as_transformers_does(encoder: Path) -> None:
    upstream = transformers.AutoTokenizer.from_pretrained(encoder)
    model = transformers.RobertaModel.from_pretrained(encoder).eval()
    with torch.no_grad():
        states = [model(**upstream(decoded(s), return_tensors="pt")).last_hidden_state[0] for s in DRUGS.values()]
    expected = np.stack([state.mean(0).numpy() for state in states])
    embedder = embedders.create("molecule.chemberta", weights=str(encoder))
    found = embedder.embed([f" {smiles}\n" for smiles in DRUGS.values()], device="cpu")
    assert np.allclose(found, expected, atol=1e-5)
    assert embedder.spec.modality == "molecule"


def test_chemberta_keeps_what_can_be_checked_without_weights(encoder: Path) -> None:
    for check in (check for check in CHECKS if not check.__name__.startswith("vectors")):
        check(embedders.create("molecule.chemberta", weights=str(encoder)))
