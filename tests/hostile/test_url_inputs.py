"""Fields that hold URLs: off unless asked for, fetched where they may lead, and no secret in what is written."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from embedders import Runtime
from embedders.remote import Policy
from pipelines import Pipeline, VectorSet
from tests.hostile.servers import Server, answer, here, serving
from tests.toy import Filed, Letters

CANARY = "c4n4ry-7d1f0a5b"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No device is looked for, and every name is this machine."""
    monkeypatch.setattr(Runtime, "of", classmethod(lambda cls, device="auto", precision="auto": cls()))
    monkeypatch.setattr("embedders.remote.fetching.look_up", lambda seconds: here)


def embedded(out: Path, values: Sequence[str], urls: Policy | None = None) -> VectorSet:
    records = [{"id": str(row), "file": value, "word": "bell"} for row, value in enumerate(values)]
    return Pipeline({"file": Filed(), "word": Letters()}, urls=urls).run(records, out)


def results(vs: VectorSet) -> list[str]:
    """Per row ``ok``, or status and code."""
    rows = vs.to_arrow(["file_filed_status", "file_filed_error"]).to_pylist()
    return [
        "/".join([r["file_filed_status"], *(r["file_filed_error"] or "").split(":")[:1]]).strip("/") for r in rows
    ]


def test_inputs_by_url_are_blocked_unless_asked_for(tmp_path: Path) -> None:
    vs = embedded(tmp_path / "out", ["http://127.0.0.1:9/a", "HTTPS://files.example/a"])
    assert results(vs) == ["blocked/URL_OFF"] * 2
    assert list(vs["word_letters"].status) == ["ok"] * 2


def test_a_text_that_is_a_url_stays_a_text(tmp_path: Path) -> None:
    vs = Pipeline({"word": Letters()}).run(
        [{"id": "a", "word": "https://files.example/?token=abcdefgh"}], tmp_path / "o"
    )
    assert list(vs["word_letters"].status) == ["ok"]
    assert vs.to_arrow(["word"]).to_pylist() == [{"word": "https://files.example/?token=abcdefgh"}]


def test_inputs_by_url_are_embedded_like_files(tmp_path: Path) -> None:
    def urls(server: Server) -> list[str]:
        return [server.url("/a"), server.url("/b"), "http://other.example/c"]

    policy = Policy(enabled=True, allow_private=True, hosts=("files.example",), seconds=5)
    with serving(answer(body=b"bell"), answer("404 Not Found")) as server:
        records = [{"id": u, "file": u} for u in urls(server)]
        vs = Pipeline({"file": Filed()}, urls=policy, threads=1).run(records, tmp_path / "out")
    assert results(vs) == ["ok", "remote_error/URL_HTTP_404", "blocked/URL_HOST"]
    assert vs["file_filed"].vectors[0].tolist() == [4, 1, 2]


def test_sec_01_no_byte_of_a_set_holds_what_a_url_was_signed_with(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    values = [
        f"https://user:{CANARY}@files.example/a",
        f"https://{CANARY}@files.example/a",
        f"http://files.example:1/a?sig={CANARY}",
        f"http://files.example:1/a?X-Amz-Signature={CANARY}&b=1",
        f"https://files.example:1/\\?token={CANARY}",
    ]
    for number, policy in enumerate((None, Policy(enabled=True), Policy(enabled=True, allow_private=True))):
        vs = embedded(tmp_path / str(number), values, policy)
        assert "ok" not in results(vs)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) >= 12
    assert not [file for file in files if CANARY.encode() in file.read_bytes()]
    assert CANARY not in "".join([*capfd.readouterr(), caplog.text])
    stored = vs.to_arrow(["file"]).column(0).to_pylist()
    assert stored[0] == "https://***@files.example/a"
