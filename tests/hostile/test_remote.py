"""Servers that lie, stall, flood and lead astray: NET-06, NET-09, NET-10, NET-11, SEC-02, on loopback alone."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from embedders import BadInput, Limits
from embedders.remote import Policy, fetch, fetching, wire
from embedders.remote.addresses import Address
from tests.hostile.servers import CERTIFICATE, HOST, KEY, Script, Server, answer, chunked, endless, here, serving

PATIENT = Policy(enabled=True, allow_private=True, seconds=5, read_seconds=5, backoff=0.001)
HASTY = Policy(enabled=True, allow_private=True, seconds=0.3, read_seconds=0.1, backoff=0.001)
SMALL = Limits(bytes=1000)


def fetched(server: Server, policy: Policy = PATIENT, limits: Limits = SMALL, *, scheme: str = "http") -> bytes:
    return fetch(server.url(scheme=scheme), limits, policy, resolve=here)


def failure(*scripts: bytes | Script, policy: Policy = PATIENT, limits: Limits = SMALL) -> str:
    """How a fetch ends: status and code."""
    with serving(*scripts) as server, pytest.raises(BadInput) as caught:
        fetched(server, policy, limits)
    return f"{caught.value.status}/{caught.value.code}"


@pytest.mark.parametrize(
    "script",
    [
        answer(body=b"content"),
        answer(body=b"content", length=False),
        chunked(b"con", b"t", b"ent"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + answer(body=b"content"),
        answer(body=b"content") + b"and what nobody asked for",
        answer("200 OK", "Content-Encoding: identity", body=b"content"),
    ],
    ids=["length", "until the end", "chunks", "continue", "more than said", "identity"],
)
def test_content_comes_as_it_is_and_only_what_is_needed_is_said(script: bytes) -> None:
    with serving(script) as server:
        assert fetched(server) == b"content"
    (request,) = server.requests
    headers = request.split("\r\n")[1:-2]
    assert request.startswith("GET /a HTTP/1.1\r\n")
    assert sorted(line.split(":")[0] for line in headers) == [
        "Accept",
        "Accept-Encoding",
        "Connection",
        "Host",
        "User-Agent",
    ]
    assert f"Host: {HOST}:{server.port}" in headers


CASES: dict[str, tuple[str, bytes]] = {
    "not found": ("remote_error/URL_HTTP_404", answer("404 Not Found")),
    "no content": ("remote_error/URL_HTTP_204", answer("204 No Content")),
    "partial": ("remote_error/URL_HTTP_206", answer("206 Partial Content", body=b"con")),
    "forbidden": ("remote_error/URL_HTTP_403", answer("403 Forbidden", body=b"secret reason")),
    "unchanged, without a place": ("remote_error/URL_HTTP_302", answer("302 Found")),
    "too long by its word": ("limit/BYTES", answer("200 OK", "Content-Length: 99999999999", length=False)),
    "too long in fact": ("limit/BYTES", answer(body=b"x" * 1001, length=False)),
    "too long in chunks": ("limit/BYTES", chunked(*[b"x" * 500] * 3)),
    "shorter than said": ("remote_error/URL_SHORT", answer("200 OK", "Content-Length: 9", length=False) + b"short"),
    "cut in a chunk": ("remote_error/URL_SHORT", chunked(b"content")[:-9]),
    "cut in the headers": ("remote_error/URL_SHORT", b""),
    "gzip": (
        "remote_error/URL_ENCODING",
        answer("200 OK", "Content-Encoding: gzip", body=gzip.compress(bytes(100_000), mtime=0)),
    ),
    "gzip in transfer": (
        "remote_error/URL_ENCODING",
        answer("200 OK", "Transfer-Encoding: gzip, chunked", length=False),
    ),
    "10,000 headers": ("limit/URL_HEADERS", answer("200 OK", *(f"A{n}: b" for n in range(10_000)))),
    "one long header": ("limit/URL_HEADERS", answer("200 OK", "A: " + "b" * 70_000)),
    "long headers": ("limit/URL_HEADERS", answer("200 OK", *(f"A{n}: " + "b" * 1000 for n in range(90)))),
    "no HTTP": ("remote_error/URL_PROTOCOL", b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
    "a bad chunk": (
        "remote_error/URL_SHORT",
        answer("200 OK", "Transfer-Encoding: chunked", length=False) + b"zz\r\nx\r\n",
    ),
    "a negative chunk": (
        "remote_error/URL_PROTOCOL",
        answer("200 OK", "Transfer-Encoding: chunked", length=False) + b"-5\r\nx\r\n",
    ),
}


@pytest.mark.parametrize(("expected", "script"), CASES.values(), ids=CASES)
def test_net_09_an_answer_that_is_none_becomes_a_status(expected: str, script: bytes) -> None:
    assert failure(script) == expected


@pytest.mark.parametrize(
    ("expected", "script"),
    [
        ("limit/BYTES", endless(b"x" * 5000, head=answer(length=False))),
        (
            "limit/BYTES",
            endless(b"1\r\nx\r\n" * 100, head=answer("200 OK", "Transfer-Encoding: chunked", length=False)),
        ),
        ("limit/BYTES", endless(b"A: b\r\n" * 100, head=chunked(b"content")[:-2])),
        ("limit/URL_HEADERS", endless(b"HTTP/1.1 100 Continue\r\n\r\n")),
        ("limit/URL_HEADERS", endless(b"x" * 100)),
        ("timeout/URL_SECONDS", endless(b"x", every=0.01)),
        ("timeout/URL_SECONDS", endless(b"x", head=answer(length=False), every=0.01)),
        ("timeout/URL_SECONDS", endless(b"", every=0.02)),
    ],
    ids=["body", "chunks", "trailers", "continue", "first line", "slow headers", "slow body", "silence"],
)
def test_net_09_a_server_that_never_ends_is_left_at_the_limit(expected: str, script: Script) -> None:
    policy = HASTY if expected.startswith("timeout") else PATIENT
    began = time.monotonic()
    assert failure(script, policy=policy) == expected
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with serving(answer(f"{status} Later"), b"", answer(body=b"content")) as server:
        assert fetched(server) == b"content"
    assert len(server.requests) == 3


def test_what_does_not_pass_ends_with_its_last_answer() -> None:
    with serving(answer("503 Later")) as server, pytest.raises(BadInput, match="answered 503"):
        fetched(server)
    assert len(server.requests) == fetching.ATTEMPTS


@pytest.mark.parametrize(
    ("wanted", "slept"),
    [
        ("2", 2.0),
        ("0", 0.0),
        ("9999999999", wire.LONGEST_PAUSE),
        ("Fri, 31 Dec 9999 23:59:59 GMT", wire.LONGEST_PAUSE),
        ("Sat, 01 Jan 2000 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1e99", None),
        ("\xb2", None),
    ],
)
def test_net_06_a_retry_after_is_obeyed_up_to_a_cap(
    monkeypatch: pytest.MonkeyPatch, wanted: str, slept: float | None
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("embedders.remote.fetching.time.sleep", pauses.append)
    patient = Policy(enabled=True, allow_private=True, backoff=0.004)
    with serving(answer("429 Slower", f"Retry-After: {wanted}"), answer(body=b"content")) as server:
        assert fetched(server, patient) == b"content"
    (pause,) = pauses
    assert pause == slept if slept is not None else 0.002 <= pause <= 0.004


def test_a_pause_longer_than_the_time_left_is_not_begun() -> None:
    began = time.monotonic()
    assert failure(answer("503 Later", "Retry-After: 20")) == "remote_error/URL_HTTP_503"
    assert time.monotonic() - began < 1


def moved(place: str) -> bytes:
    return answer("302 Found", f"Location: {place}")


def test_three_redirects_are_followed_and_no_more() -> None:
    with serving(moved("/b")) as server:
        elsewhere = moved(f"//other.example:{server.port}/d")
        server.scripts = [moved("/b"), moved("c?d=1"), elsewhere, answer(body=b"content")]
        assert fetched(server) == b"content"
    assert [request.split()[1] for request in server.requests] == ["/a", "/b", "/c?d=1", "/d"]
    assert [request.split("Host: ")[1].split(":")[0] for request in server.requests] == [HOST] * 3 + [
        "other.example"
    ]
    assert failure(moved("/a")) == "remote_error/URL_REDIRECTS"


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("http://169.254.169.254/latest/meta-data", "URL_ADDRESS"),
        ("http://[::ffff:127.0.0.1]/", "URL_ADDRESS"),
        ("http://2130706433/", "URL_FORM"),
        ("http://user:word@files.example/", "URL_CREDENTIALS"),
        ("file:///etc/passwd", "URL_SCHEME"),
        ("ftp://files.example/", "URL_SCHEME"),
        ("javascript:alert(1)", "URL_SCHEME"),
        ("\\\\127.0.0.1\\share", "URL_FORM"),
        ("http://b\xfccher.example/", "URL_FORM"),
    ],
)
def test_sec_02_a_redirect_is_judged_like_the_first_address(place: str, code: str) -> None:
    assert failure(moved(place)) == f"blocked/{code}"


def test_net_10_a_redirect_leaves_the_list_of_hosts_no_more_than_a_url_does() -> None:
    policy = Policy(enabled=True, allow_private=True, hosts=(HOST,))
    assert failure(moved("http://other.example/"), policy=policy) == "blocked/URL_HOST"


def test_sec_02_a_name_is_resolved_once_and_connected_to_where_it_was_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connected: list[object] = []

    class Recorded(socket.socket):
        def connect(self, place: object) -> None:
            connected.append(place)
            raise ConnectionRefusedError

    flips = iter([["93.184.216.34", "93.184.216.35"], ["127.0.0.1"]])

    def flipping(host: str, port: int) -> Sequence[Address]:
        return [(socket.AF_INET, (place, port)) for place in next(flips)]

    monkeypatch.setattr("embedders.remote.wire.socket.socket", Recorded)
    with pytest.raises(BadInput, match="takes no connection"):
        fetch(f"http://{HOST}/a", SMALL, Policy(enabled=True), resolve=flipping)
    assert connected == [("93.184.216.34", 80), ("93.184.216.35", 80)]


def test_the_next_address_is_tried_where_one_takes_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        closed = nobody.getsockname()[1]

    def two(host: str, port: int) -> Sequence[Address]:
        return [(socket.AF_INET, ("127.0.0.1", closed)), *here(host, port)]

    with serving(answer(body=b"content")) as server:
        assert fetch(server.url(), SMALL, PATIENT, resolve=two) == b"content"


def test_a_resolver_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def hanging(*args: object, **options: object) -> list[object]:
        never.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    with pytest.raises(BadInput, match="no answer for the name") as caught:
        fetch(f"http://{HOST}/", SMALL, HASTY)
    assert caught.value.status == "timeout"
    never.set()


def test_sec_14_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    with serving(answer(body=b"content")) as server:
        assert fetched(server) == b"content"


@pytest.fixture
def context(tmp_path: Path) -> Iterator[ssl.SSLContext]:
    """A server's; the certificate stands in certificate.pem, for those who want to trust it."""
    for name, kind, text in (("certificate", "CERTIFICATE", CERTIFICATE), ("key", "PRIVATE KEY", KEY)):
        (tmp_path / f"{name}.pem").write_text(f"-----BEGIN {kind}-----{text}-----END {kind}-----\n")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    wire.trust.cache_clear()
    yield made
    wire.trust.cache_clear()


def test_net_11_a_certificate_that_nobody_signed_is_refused(context: ssl.SSLContext) -> None:
    complaint = r"certificate of files\.example is not valid: self-signed"
    with (
        serving(answer(body=b"content"), context=context) as server,
        pytest.raises(BadInput, match=complaint) as bad,
    ):
        fetched(server, scheme="https")
    assert (bad.value.status, bad.value.code) == ("remote_error", "URL_TLS")
    assert server.requests == []


def test_net_11_there_is_no_way_down_from_https() -> None:
    with serving(answer(body=b"content")) as server, pytest.raises(BadInput) as caught:
        fetched(server, scheme="https")
    assert (caught.value.status, caught.value.code) == ("remote_error", "URL_TLS")


def test_a_trusted_certificate_is_checked_for_the_name_and_not_for_the_address(
    context: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[object] = []
    context.sni_callback = lambda connected, name, context: names.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    with serving(answer(body=b"content"), context=context) as server:
        assert fetched(server, scheme="https") == b"content"
        with pytest.raises(BadInput, match=r"certificate of other\.example is not valid: Hostname mismatch"):
            fetch(f"https://other.example:{server.port}/", SMALL, PATIENT, resolve=here)
    assert names == [HOST, "other.example"]


def test_a_redirect_from_https_to_http_is_refused(
    context: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    complaint = r"from https to http://files\.example"
    with (
        serving(moved(f"http://{HOST}/a"), context=context) as server,
        pytest.raises(BadInput, match=complaint) as bad,
    ):
        fetched(server, scheme="https")
    assert (bad.value.status, bad.value.code) == ("blocked", "URL_DOWNGRADE")


def test_sec_01_no_message_quotes_what_a_url_may_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    canary = "canary-7d1f0a"
    scripts = [script for _, script in CASES.values()]
    for script in [*scripts, moved(f"http://{canary}@files.example/"), moved(f"/{canary}\\")]:
        with serving(script) as server, pytest.raises(BadInput) as caught:
            fetch(server.url(f"/{canary}?sig={canary}#{canary}"), SMALL, PATIENT, resolve=here)
        assert canary not in str(caught.value)
