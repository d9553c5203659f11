"""Secrets in keys, URLs, headers and the environment: SEC-01."""

from __future__ import annotations

import http.server
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedders.redaction import redacted
from tests.hostile.command import invoke

ROOT = Path(__file__).parent.parent.parent

CANARY = "c4n4ry-7d1f0a5b"
SECRETS = [
    f"https://user:{CANARY}@files.example/a.jpg",
    f"https://{CANARY}@files.example/a.jpg",
    f"https://user:p@{CANARY}@files.example/a.jpg",
    f"s3://{CANARY}:{CANARY}@bucket/key",
    f"https://files.example/a?X-Amz-Signature={CANARY}&X-Amz-Credential={CANARY}%2F2026&x=1",
    f"https://files.example/a?b=1&sig={CANARY}#part",
    f"https://files.example/a?access_token={CANARY};b=2",
    f"Authorization: Bearer {CANARY}",
    f"authorization: Basic {CANARY}==",
    f"{{'Authorization': 'Bearer {CANARY}', 'Accept': '*/*'}}",
    f"Cookie: session={CANARY}; other={CANARY}",
    f"x-api-key: {CANARY}",
    f"the header 'Bearer {CANARY}' is not valid",
    f'{{"api_key": "{CANARY}", "a": 1}}',
    f"connect(password={CANARY}, host='a')",
    f"api_key={CANARY}",
]


@pytest.mark.parametrize("text", SECRETS)
def test_sec_01_what_looks_like_a_secret_is_hidden(text: str) -> None:
    assert CANARY not in redacted(text)
    assert "***" in redacted(text)


@pytest.mark.parametrize(
    "key", ["hf_" + "aB3" * 11, "sk-proj-" + "aB3" * 9, "ghp_" + "aB3" * 12, "AKIA" + "AB3" * 6]
)
def test_sec_01_a_key_of_known_shape_is_hidden_wherever_it_stands(key: str) -> None:
    assert redacted(f"invalid key {key}\n") == "invalid key ***\n"


@pytest.mark.parametrize("name", ["HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "db_password", "MY_TOKEN"])
def test_sec_01_a_secret_of_the_environment_is_hidden_in_any_form(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "pl4in words/1\n")
    assert redacted("got 'pl4in words/1' or pl4in%20words%2F1") == "got '***' or ***"


@pytest.mark.parametrize(
    "text",
    [
        "there is no file 'a/b.jpg'",
        "79 tokens with the marks of start and end; the model reads 77",
        "Unexpected token: line 1 column 5 (char 4)",
        "https://example.org/a?page=2&size=10 answered 404",
        "mail to someone@example.org",
        "the key 'caption' is missing; key=value pairs are expected",
        "basic cleaning of the text",
        "",
    ],
)
def test_words_without_a_secret_stay_as_they_are(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false-false")
    monkeypatch.setenv("PWD", "example.org")
    monkeypatch.setenv("A_TOKEN", "page")
    assert redacted(text) == text


@pytest.mark.parametrize(
    "piece", ["?key", "key", "?a", "a.", "'key':'", "a://", "bearer ", "token=", "cookie:", "'key' ", "https://a@"]
)
def test_hiding_takes_no_longer_for_words_made_to_take_long(piece: str) -> None:
    began = time.process_time()
    redacted(piece * 20_000)
    assert time.process_time() - began < 1


@given(st.text())
def test_hiding_twice_hides_no_more(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


class Echo(http.server.BaseHTTPRequestHandler):
    """A hub that answers with what it was sent."""

    seen: list[str] = []

    def do_GET(self) -> None:
        said = self.headers.get("Authorization", "")
        self.seen.append(said)
        body = json.dumps({"error": f"invalid credentials {said}"}).encode()
        self.send_response(401)
        for name, value in {"X-Error-Message": f"bad {said}", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  # the name that http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the answer is what counts."""


@pytest.fixture
def echo() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_sec_01_a_hub_that_sends_the_token_back_does_not_get_it_printed(echo: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    environment |= {
        "HF_TOKEN": CANARY,
        "OPENAI_API_KEY": f"{CANARY}-2",
        "HF_ENDPOINT": echo,
        "HF_HOME": str(tmp_path),
    }
    command = [sys.executable, "-m", "pipelines.cli.main", "info", "text.bert(weights=org/none)"]
    Echo.seen.clear()
    found = subprocess.run(
        command, env={**environment, "HF_HUB_VERBOSITY": "debug"}, capture_output=True, text=True, cwd=ROOT
    )
    assert f"Bearer {CANARY}" in Echo.seen
    assert found.returncode == 7, found.stderr
    assert "org/none" in found.stderr
    assert CANARY not in found.stdout + found.stderr
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and CANARY.encode() in file.read_bytes()]


def test_sec_01_no_error_of_the_command_line_repeats_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    signed = f"https://user:{CANARY}@files.example/a.csv?sig={CANARY}"
    for arguments in (
        ("run", signed, "-o", str(tmp_path / "out")),
        ("run", str(tmp_path), "-o", str(tmp_path / "out"), "--embed", f"image={CANARY}"),
        ("run", str(tmp_path), "-o", str(tmp_path / "out"), "--weights", CANARY, "--config", signed),
        ("info", f"toy.letters({CANARY}=1)"),
        ("info", f"text.bert(weights={signed})"),
        ("show", signed),
    ):
        code, out, err = invoke(*arguments)
        assert code in (2, 7)
        assert CANARY not in out + err + caplog.text, arguments
