"""What `embed verify` prints, and the code that it ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from embedders import UsageError
from pipelines.cli.verify import verify_command
from tests.pipelines.vectors.made import write


def test_a_good_set_is_one_line_and_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "v")
    assert verify_command(tmp_path / "v", as_json=False) == 0
    assert capsys.readouterr().out.startswith("10 records in 2 parts, as they were committed: ")


def test_a_damaged_part_is_named_with_its_cure_and_5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "v")
    (tmp_path / "v/data/part-000001.parquet").write_bytes(b"rot")
    assert verify_command(tmp_path / "v", as_json=False) == 5
    printed = capsys.readouterr().out
    assert printed.startswith("data/part-000001.parquet: ")
    assert "has 3 bytes" in " ".join(printed.split())
    assert "  -> The command that made the set makes exactly this again\n" in printed
    assert "records in" not in printed


def test_an_unfinished_set_is_5_and_says_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "v", parts=7, only=[0, 1, 2])
    assert verify_command(tmp_path / "v", as_json=False) == 5
    assert "resumable: 3 of 7 parts" in " ".join(capsys.readouterr().out.split())


def test_a_leftover_is_printed_and_no_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "v")
    (tmp_path / "v/LOCK").touch()
    assert verify_command(tmp_path / "v", as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("LOCK: ")
    assert lines[-1].startswith("10 records")


def test_json_has_the_state_and_every_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "v")
    assert verify_command(tmp_path / "v", as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {"path": str(tmp_path / "v"), "state": "good", "findings": []}
    (tmp_path / "v/manifest.json").unlink()
    assert verify_command(tmp_path / "v", as_json=True) == 5
    found = json.loads(capsys.readouterr().out)
    assert found["state"] == "unfinished"
    assert set(found["findings"][0]) == {"file", "problem", "cure", "kind"}


def test_SEC_07_names_of_files_move_no_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "v")
    (tmp_path / "v/data/part-\x1b[2J.parquet").touch()
    verify_command(tmp_path / "v", as_json=False)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "part-\\x1b[2J.parquet" in printed


def test_where_there_is_no_set_it_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no vector set"):
        verify_command(tmp_path, as_json=False)
