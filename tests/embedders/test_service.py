"""Asking a service over HTTP: what is tried again, what is the input's fault, and what stops a run."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from embedders import BadInput, EmbedError, SetupError, UsageError
from embedders.remote.addresses import Address
from embedders.remote.service import Service
from tests.embedders.openai_server import LocalService, served

KEY = "local-0123456789"


@pytest.fixture(scope="module")
def local() -> Iterator[LocalService]:
    with served() as service:
        yield service


def ask(url: str, *, text: str = "!", longest: int = 100_000, **options: Any) -> Any:
    """One request; pauses are passed over."""
    options = {"sleep": lambda seconds: None, "key": KEY, "key_name": "the key in SERVICE_KEY", **options}
    content = {"model": "letters", "input": [text]}
    return Service(url, **options).post("embeddings", content, longest)


def test_an_answer_is_given_as_it_came(local: LocalService) -> None:
    assert ask(local.url, text="bell")["data"][0]["embedding"] == [4.0, 1.0, 2.0]


def test_the_key_travels_in_the_header_and_nowhere_else(local: LocalService) -> None:
    ask(local.url, text="bell")
    headers = dict(local.headers[-1])
    assert headers.pop("authorization") == f"Bearer {KEY}"
    assert KEY not in str(headers) + str(local.asked[-1])


def test_without_a_key_no_header_is_sent(local: LocalService) -> None:
    ask(local.url, text="bell", key="")
    assert "authorization" not in local.headers[-1]


@pytest.mark.parametrize(
    ("fault", "pause"),
    [("wait", 7.0), ("wait-for-ages", 30.0), ("wait-until", 30.0)],
    ids=["seconds", "a day", "a date"],
)
def test_retry_after_is_obeyed_up_to_half_a_minute(fault: str, pause: float, local: LocalService) -> None:
    pauses: list[float] = []
    ask(local.fault(fault), sleep=pauses.append)
    assert pauses == [pause]


@pytest.mark.parametrize("fault", ["hiccup", "hangs-up-once"])
def test_what_passes_is_tried_again(fault: str, local: LocalService) -> None:
    assert ask(local.fault(fault), retries=1)["model"] == "letters"


@pytest.mark.parametrize("fault", ["408", "409", "429", "500", "503", "broken"])
def test_pauses_double_with_chance_taken_off(fault: str, local: LocalService) -> None:
    pauses: list[float] = []
    before = len(local.asked)
    with pytest.raises(EmbedError):
        ask(local.fault(fault), retries=8, sleep=pauses.append)
    assert len(local.asked) - before == 9
    longest = [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, longest, strict=True))


@pytest.mark.parametrize("fault", ["400", "413", "422"])
def test_what_an_input_causes_is_not_tried_again(fault: str, local: LocalService) -> None:
    before = len(local.asked)
    with pytest.raises(BadInput, match=f"answers {fault}: no {fault}") as caught:
        ask(local.fault(fault))
    assert (caught.value.status, caught.value.code) == ("remote_error", f"HTTP_{fault}")
    assert len(local.asked) - before == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("500", "HTTP_500"),
        ("408", "HTTP_408"),
        ("broken", "URL_SHORT"),
        ("endless", "REMOTE_SIZE"),
        ("declares-too-much", "REMOTE_SIZE"),
        ("cut-json", "REMOTE_JSON"),
        ("deep-json", "REMOTE_JSON"),
    ],
)
def test_what_an_input_may_cause_has_a_name(fault: str, code: str, local: LocalService) -> None:
    with pytest.raises(BadInput) as caught:
        ask(local.fault(fault), retries=0)
    assert (caught.value.status, caught.value.code) == ("remote_error", code)


def test_a_body_that_never_ends_is_given_up(local: LocalService) -> None:
    with pytest.raises(BadInput, match=r"took too long; the limit is 0\.2 s") as caught:
        ask(local.fault("slow"), seconds=0.2, retries=0)
    assert (caught.value.status, caught.value.code) == ("timeout", "URL_SECONDS")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("401", "does not accept the key in SERVICE_KEY"),
        ("403", "does not accept the key in SERVICE_KEY"),
        ("404", "answers 404: no 404"),
        ("418", "answers 418"),
        ("429", r"answers 429: no 429\. Run the same command again later"),
        ("quota", "no credit"),
        ("page", r"text/html where JSON belongs\. Check the base URL"),
        ("packed", "packed by gzip"),
        ("redirect", "redirects to elsewhere.example, which is not followed"),
        ("many-headers", "headers"),
    ],
)
def test_what_no_input_can_help_stops_the_run(fault: str, message: str, local: LocalService) -> None:
    with pytest.raises(SetupError, match=message) as caught:
        ask(local.fault(fault), retries=1)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("fault", ["401", "404", "quota", "redirect"])
def test_what_stops_the_run_is_not_tried_again(fault: str, local: LocalService) -> None:
    before = len(local.asked)
    with pytest.raises(SetupError):
        ask(local.fault(fault))
    assert len(local.asked) - before == 1


def test_a_failure_in_another_form_is_quoted_too(local: LocalService) -> None:
    with pytest.raises(BadInput, match="too long"):
        ask(local.fault("detail"))


def test_secrets_that_a_service_sends_back_are_hidden(local: LocalService) -> None:
    with pytest.raises(BadInput) as caught:
        ask(local.fault("echo"), key="plainsecret")
    assert str(caught.value).endswith("answers 400: key ***, token ***")


def test_where_nobody_listens_is_tried_again_and_then_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pauses: list[float] = []
    with pytest.raises(SetupError, match=f"127.0.0.1:{port} cannot be asked: 127.0.0.1 takes no connection"):
        ask(f"http://127.0.0.1:{port}/v1", retries=2, sleep=pauses.append)
    assert len(pauses) == 2


def test_a_service_without_tls_is_not_asked_without_it(local: LocalService) -> None:
    before = len(local.asked)
    with pytest.raises(SetupError, match="no secure connection"):
        ask(local.url.replace("http://", "https://"))
    assert len(local.asked) == before


def leading_to(place: str) -> Any:
    def resolve(host: str, port: int) -> Sequence[Address]:
        return [(socket.AF_INET, (place, port))]

    return resolve


def test_http_to_a_public_address_is_refused_before_any_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedders.remote.wire.socket.socket", None)
    with pytest.raises(UsageError, match=r"leads to 93\.184\.216\.34: text and key would travel open"):
        ask("http://service.example/v1", resolve=leading_to("93.184.216.34"))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_cloud_s_metadata_is_never_asked(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedders.remote.wire.socket.socket", None)
    with pytest.raises(SetupError, match=r"leads to 169\.254\.169\.254"):
        ask(f"{scheme}://service.example/v1", resolve=leading_to("169.254.169.254"))


@pytest.mark.parametrize(
    "url",
    ["localhost:8080/v1", "ftp://service.example", "https://me:hush@service.example/v1", "https://a/v1?key=1", ""],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="https://host/v1") as caught:
        Service(url)
    assert "hush" not in str(caught.value)
