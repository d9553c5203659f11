"""Against a loopback service with known vectors, and against the official client of the same service."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from embedders import BadInput, Runtime, SetupError, UsageError
from embedders.conformance import CHECKS
from embedders.models.openai_service import OpenAIService
from pipelines import Pipeline
from tests.embedders.openai_server import LocalService, served, vectors_of

WORDS = ["bell", "a", "wonderful", "drum", "engine", "bird"]


@pytest.fixture(scope="module")
def service() -> Iterator[LocalService]:
    with served() as running:
        yield running


@pytest.fixture
def local(service: LocalService) -> LocalService:
    """The same service, having forgotten what it was asked."""
    service.asked.clear()
    service.headers.clear()
    return service


def made(url: str, **options: Any) -> OpenAIService:
    return OpenAIService(**{"model": "letters", "base_url": url, "dim": 3, "retries": 0, **options})


def rows_of(url: str, texts: list[str], folder: Path, **options: Any) -> dict[str, tuple[str, str | None, Any]]:
    """What became of each text in a run: status, error and vector."""
    records = [{"id": str(i), "words": text} for i, text in enumerate(texts)]
    vectors = Pipeline({"words": made(url, **options)}).run(records, folder)
    (column,) = (vectors[name] for name in vectors.columns)
    errors = {row["id"]: row["error"] for row in vectors.failures().to_pylist()}
    found = zip(texts, vectors.ids, column.status, column.vectors, strict=True)
    return {text: (str(status), errors.get(id_), vector) for text, id_, status, vector in found}


@pytest.mark.parametrize("encoding_format", ["base64", "float"])
def test_the_vectors_are_those_of_the_embedder_behind_the_service(
    encoding_format: str, local: LocalService
) -> None:
    embedder = made(local.url, encoding_format=encoding_format)
    assert np.array_equal(embedder.embed(WORDS), vectors_of(WORDS))
    assert {asked["encoding_format"] for asked in local.asked} == {encoding_format}


@pytest.mark.parametrize("encoding_format", ["base64", "float"])
def test_the_official_client_gets_the_same_vectors(encoding_format: Any, local: LocalService) -> None:
    with openai.OpenAI(base_url=local.url, api_key="none", max_retries=0) as client:
        answer = client.embeddings.create(model="letters", input=WORDS, encoding_format=encoding_format)
    official = [row.embedding for row in answer.data]
    if encoding_format == "base64":  # a client that is asked for base64 gives base64
        official = [np.frombuffer(base64.b64decode(str(row)), "<f4") for row in official]
    assert np.array_equal(made(local.url).embed(WORDS), np.array(official, np.float32))


@pytest.mark.parametrize("check", [check for check in CHECKS if "process" not in check.__name__])
def test_contract(check: Any, local: LocalService) -> None:
    check(made(local.url))


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [({"max_inputs": 4}, [4, 2]), ({"max_tokens": 3}, [1, 3, 2]), ({}, [6])],
    ids=["inputs", "tokens", "neither"],
)
def test_a_request_keeps_to_its_limits(limits: dict[str, int], sizes: list[int], local: LocalService) -> None:
    embedder = made(local.url, **limits)
    forward = embedder.forward(Runtime())
    batch = ["wonderful", "a", "bell", "drum", "cat", "bird"]  # 3 tokens, and 1 each
    assert np.array_equal(forward(batch), vectors_of(batch))
    assert [len(asked) for asked in local.inputs[1:]] == sizes


@pytest.mark.parametrize(("text", "tokens"), [("a", 1), ("four", 1), ("fiver", 2), ("x" * 400, 100)])
def test_a_token_is_estimated_at_four_characters(text: str, tokens: int) -> None:
    assert made("http://localhost/v1").cost(text) == tokens


def test_an_equal_text_is_asked_for_once(local: LocalService) -> None:
    assert np.array_equal(made(local.url).embed(["bell", "a", "bell"]), vectors_of(["bell", "a", "bell"]))
    assert local.inputs[1:] == [["bell", "a"]]


def test_rows_go_by_their_index_whatever_their_order(local: LocalService) -> None:
    words = ["!", *WORDS]
    assert np.array_equal(made(local.fault("permuted")).embed(words), vectors_of(words))


def test_dimensions_are_asked_for_and_said_in_the_space(local: LocalService) -> None:
    embedder = made(local.url, dimensions=2)
    assert np.array_equal(embedder.embed(WORDS), vectors_of(WORDS)[:, :2])
    assert embedder.spec.space.endswith("/dimensions=2")
    assert "dimensions" not in made(local.url).spec.space


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("fewer", "REMOTE_COUNT"),
        ("more", "REMOTE_COUNT"),
        ("twice", "REMOTE_INDEX"),
        ("beyond", "REMOTE_INDEX"),
        ("negative", "REMOTE_INDEX"),
        ("no-index", "REMOTE_INDEX"),
        ("null", "REMOTE_VECTOR"),
        ("nothing", "REMOTE_VECTOR"),
        ("words", "REMOTE_VECTOR"),
        ("nested", "REMOTE_VECTOR"),
        ("huge", "REMOTE_VECTOR"),
        ("base64-cut", "REMOTE_BASE64"),
        ("base64-damaged", "REMOTE_BASE64"),
        ("no-list", "REMOTE_ANSWER"),
        ("400", "HTTP_400"),
        ("500", "HTTP_500"),
        ("broken", "URL_SHORT"),
        ("endless", "REMOTE_SIZE"),
    ],
)
def test_an_answer_with_a_doubt_gives_no_vector(fault: str, code: str, local: LocalService) -> None:
    forward = made(local.fault(fault)).forward(Runtime())
    with pytest.raises(BadInput) as caught:
        forward(["!", "bell"])
    assert (caught.value.status, caught.value.code) == ("remote_error", code)


@pytest.mark.parametrize("fault", ["nan", "too-large"])
def test_a_vector_that_is_not_finite_is_the_row_s_own_failure(
    fault: str, local: LocalService, tmp_path: Path
) -> None:
    rows = rows_of(local.fault(fault), ["!", "bell"], tmp_path / "set")
    assert {text: status for text, (status, _, _) in rows.items()} == {"!": "nonfinite", "bell": "ok"}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("other-length", "2 dimensions, not 3"),
        ("other-model", "changed its model in the middle, from 'letters' to 'another'"),
        ("401", "does not accept"),
        ("429", "answers 429"),
    ],
)
def test_a_service_that_is_not_what_it_was_stops_the_run(fault: str, message: str, local: LocalService) -> None:
    forward = made(local.fault(fault)).forward(Runtime())
    with pytest.raises(SetupError, match=message):
        forward(["!", "bell"])


@pytest.mark.parametrize(("fault", "code"), [("bad-text", "HTTP_400"), ("breaks-over-text", "HTTP_500")])
def test_a_text_that_is_refused_is_one_row_and_the_others_pass(
    fault: str, code: str, local: LocalService, tmp_path: Path
) -> None:
    texts = [*WORDS, "!bad", "further", "words"]
    rows = rows_of(local.fault(fault), texts, tmp_path / "set")
    status, error, vector = rows.pop("!bad")
    assert status == "remote_error"
    assert str(error).startswith(f"{code}: 127.0.0.1")
    assert np.isnan(vector).all()
    assert all(status == "ok" for status, _, _ in rows.values())
    assert np.array_equal([vector for _, _, vector in rows.values()], vectors_of(list(rows)))


@pytest.mark.parametrize("max_inputs", [2, 2048])
def test_no_vector_is_paid_for_twice_while_the_bad_text_is_looked_for(
    max_inputs: int, local: LocalService, tmp_path: Path
) -> None:
    words = [f"word{i}" for i in range(24)]
    rows_of(local.fault("bad-text"), [*words[:17], "!bad", *words[17:]], tmp_path / "set", max_inputs=max_inputs)
    paid = [text for asked in local.inputs if "!bad" not in asked for text in asked if text != "a"]
    assert sorted(paid) == sorted(words)


def test_a_request_that_is_too_large_is_cut_until_it_fits(local: LocalService, tmp_path: Path) -> None:
    rows = rows_of(local.fault("too-many"), ["!", *WORDS], tmp_path / "set")
    assert {status for status, _, _ in rows.values()} == {"ok"}


def test_a_service_that_is_down_stops_the_run_instead_of_failing_every_row(tmp_path: Path) -> None:
    with served() as local:
        forward = made(local.url).forward(Runtime())
    with pytest.raises(SetupError, match="takes no connection"):
        forward(WORDS)


@pytest.mark.parametrize("fault", ["408", "500", "broken"])
def test_a_failure_is_the_input_s_only_if_another_passes(fault: str, local: LocalService) -> None:
    forward = made(local.fault(fault)).forward(Runtime())
    local.asked.clear()
    with pytest.raises(BadInput):
        forward(["!", "bell"])
    assert local.inputs == [["!", "bell"], ["a"]]


def test_what_is_wrong_with_the_service_is_said_at_load(local: LocalService) -> None:
    with pytest.raises(SetupError, match="answers 404"):
        made(local.root).forward(Runtime())
    with pytest.raises(SetupError, match="3 dimensions, not 4"):
        made(local.url, dim=4).forward(Runtime())


def test_usage_is_what_the_service_counted(local: LocalService) -> None:
    embedder = made(local.url, max_inputs=4)
    assert embedder.usage == {"requests": 0, "tokens": 0}
    embedder.embed(WORDS)
    assert embedder.usage == {"requests": 3, "tokens": 7}  # one for the look at load
    assert pickle.loads(pickle.dumps(embedder)).usage == {"requests": 0, "tokens": 0}


def test_the_key_is_read_from_the_named_variable_and_is_in_nothing_that_is_kept(
    local: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETTERS_ACCESS", "  local-secret\n")
    embedder = made(local.url, api_key_env="LETTERS_ACCESS")
    embedder.embed(["bell"])
    assert {headers["authorization"] for headers in local.headers} == {"Bearer local-secret"}
    kept = f"{embedder!r} {embedder.fingerprint(Runtime())} {pickle.dumps(embedder)!r} {embedder.spec}"
    assert "secret" not in kept
    assert "LETTERS_ACCESS" in kept


def test_openai_s_own_key_goes_to_openai_alone(local: LocalService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "local-secret")
    made(local.url).embed(["bell"])
    assert all("authorization" not in headers for headers in local.headers)


@pytest.mark.parametrize(
    ("key", "message"),
    [("", "no key"), ("  \n", "no key"), ("two words", "more than a key"), ("a\r\nb: words", "more than a key")],
)
def test_a_key_that_is_none_is_named_without_it(key: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(SetupError, match=f"OPENAI_API_KEY holds {message}") as caught:
        OpenAIService().load(Runtime())
    assert "words" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "space", "dim"),
    [
        ({}, "openai:text-embedding-3-small", 1536),
        ({"model": "text-embedding-3-large"}, "openai:text-embedding-3-large", 3072),
        ({"model": "text-embedding-ada-002"}, "openai:text-embedding-ada-002", 1536),
        ({"dimensions": 256}, "openai:text-embedding-3-small/dimensions=256", 256),
    ],
)
def test_openai_s_models_are_known_without_a_network(options: dict[str, Any], space: str, dim: int) -> None:
    spec = OpenAIService(**options).spec
    assert (spec.modality, spec.space, spec.dim, spec.normalized) == ("text", space, dim, True)


def test_the_same_name_at_another_service_is_another_space() -> None:
    spec = OpenAIService(base_url="https://service.example/v1").spec
    assert (spec.space, spec.normalized) == ("openai:text-embedding-3-small@service.example", False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "own"}, "How many dimensions 'own' has is not known. Say it: dim=1024"),
        ({"dimensions": 4096}, "dimensions is 4096; text-embedding-3-small has 1536"),
        ({"model": "text-embedding-ada-002", "dimensions": 8}, "cannot be asked for other dimensions"),
        ({"dimensions": 0}, "dimensions is 0; it must be a whole number above 0"),
        ({"max_inputs": True}, "max_inputs is True"),
        ({"max_tokens": 1.5}, "max_tokens is 1.5"),
        ({"retries": -1}, "retries is -1; it must be a whole number from 0"),
        ({"timeout": 0}, "timeout is 0"),
        ({"encoding_format": "base46"}, "Did you mean 'base64'"),
        ({"base_url": "service.example"}, "is no base URL"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        OpenAIService(**options)


def test_a_run_goes_on_with_other_patience(local: LocalService, tmp_path: Path) -> None:
    first = rows_of(local.url, WORDS, tmp_path / "set")
    again = rows_of(local.url, WORDS, tmp_path / "set", timeout=5, retries=2, max_inputs=3, max_tokens=50)
    assert all(np.array_equal(first[word][2], again[word][2]) for word in WORDS)
