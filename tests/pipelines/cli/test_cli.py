"""The command as a person meets it: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipelines import VectorSet
from pipelines.cli.main import app

Embed = Callable[..., Result]


@pytest.fixture
def embed(monkeypatch: pytest.MonkeyPatch) -> Embed:
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call


@pytest.fixture
def words(tmp_path: Path) -> Path:
    root = tmp_path / "words"
    root.mkdir()
    for word in ("bell", "drum", "siren"):
        (root / f"{word}.toy").write_text(word)
    return root


def test_a_clean_run_exits_0_and_leaves_stdout_to_programs(embed: Embed, words: Path, tmp_path: Path) -> None:
    found = embed("run", words, "-o", tmp_path / "out")
    assert found.exit_code == 0, found.output
    assert found.stdout == ""
    assert "3 records in 1 part; columns: toy_letters" in found.stderr
    assert len(VectorSet.open(tmp_path / "out")) == 3


def test_failed_rows_exit_3_and_are_summed_up_by_reason(embed: Embed, words: Path, tmp_path: Path) -> None:
    for name in ("e1", "e2", "e3", "e4"):
        (words / f"{name}.toy").write_text("")
    found = embed("run", words, "-o", tmp_path / "out")
    assert found.exit_code == 3
    assert "4 x empty (TOY_EMPTY): e1, e2, e3 and 1 more" in found.stderr
    assert max(map(len, found.stderr.splitlines())) <= 80


def test_a_record_that_never_ends_is_given_up_by_the_clock(embed: Embed, words: Path, tmp_path: Path) -> None:
    (words / "endless.toy").write_text("!hang")
    poison = "toy=tests.pipelines.engines.poison:Poison"
    found = embed("run", words, "-o", tmp_path / "out", "-e", poison, "--max", "wall=1", "--max", "characters=50")
    assert found.exit_code == 3, found.output
    assert list(VectorSet.open(tmp_path / "out")["toy_poison"].status) == ["ok", "ok", "timeout", "ok"]


def test_flags_are_counted_in_the_summary(embed: Embed, words: Path, tmp_path: Path) -> None:
    (words / "long.toy").write_text("Extraordinary")
    found = embed("run", words, "-o", tmp_path / "out")
    assert "toy_letters (1 long, 1 lowered)" in found.stderr
    assert VectorSet.open(tmp_path / "out")["toy_letters"].flags == {"long": 1, "lowered": 1}


def test_random_weights_are_called_meaningless_before_and_after(embed: Embed, words: Path, tmp_path: Path) -> None:
    found = embed("run", words, "-o", tmp_path / "out", "--weights", "random:0")
    assert found.stderr.count("carry no meaning") == 2


def test_json_is_the_only_thing_on_stdout(embed: Embed, words: Path, tmp_path: Path) -> None:
    outcome = json.loads(embed("run", words, "-o", tmp_path / "out", "--json").stdout)
    assert outcome["rows"] == 3
    assert outcome["columns"][0]["statuses"] == {"ok": 3}
    assert outcome["failures"] == []


def test_a_dry_run_writes_nothing_and_loads_nothing(embed: Embed, words: Path, tmp_path: Path) -> None:
    found = embed("run", words, "-o", tmp_path / "out", "--dry-run", "--part-rows", 2)
    assert found.exit_code == 0
    assert "3 records in 2 parts of 2" in found.stdout
    assert not (tmp_path / "out").exists()
    assert json.loads(embed("run", words, "--dry-run", "--json").stdout)["vector_bytes"] == 36


def test_every_option_can_stand_in_a_file_and_the_command_line_wins(
    embed: Embed, words: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.toml").write_text(
        f"""source = "{words}"
            out = "{tmp_path}/from_file"
            limit = 1
            part_rows = 2
            [embed]
            toy = ["toy.letters", "toy.unit"]
            [weights]
            "toy.unit" = "random:1"
            [max]
            characters = 4"""
    )
    assert embed("run", "--config", tmp_path / "run.toml").exit_code == 0
    vs = VectorSet.open(tmp_path / "from_file")
    assert (len(vs), list(vs)) == (1, ["toy_letters", "toy_unit"])
    assert embed("run", "--config", tmp_path / "run.toml", "--limit", 3, "-o", tmp_path / "b").exit_code == 3
    assert VectorSet.open(tmp_path / "b")["toy_letters"].statuses == {"limit": 1, "ok": 2}


def test_limits_are_named_on_the_command_line(embed: Embed, words: Path, tmp_path: Path) -> None:
    embed("run", words, "-o", tmp_path / "out", "--max", "characters=4")
    assert VectorSet.open(tmp_path / "out")["toy_letters"].statuses == {"limit": 1, "ok": 2}


def test_files_of_one_stem_can_be_records_of_their_own(embed: Embed, words: Path, tmp_path: Path) -> None:
    embed("run", words, "-o", tmp_path / "out", "--no-join")
    assert list(VectorSet.open(tmp_path / "out").ids) == ["bell.toy", "drum.toy", "siren.toy"]


def test_paths_of_a_table_need_a_root_that_holds_them(embed: Embed, words: Path, tmp_path: Path) -> None:
    table = tmp_path / "lists" / "table.csv"
    table.parent.mkdir()
    table.write_text(f"id,word\na,{words}/bell.toy\n")
    choice = ("--embed", "word=tests.toy:Filed")
    embed("run", table, "-o", tmp_path / "a", *choice)
    assert VectorSet.open(tmp_path / "a")["word_filed"].statuses == {"blocked": 1}
    embed("run", table, "-o", tmp_path / "b", *choice, "--root", "/")
    assert VectorSet.open(tmp_path / "b")["word_filed"].statuses == {"ok": 1}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run"], 2, "There is no source"),
        (["run", "{words}"], 2, "no folder to write to"),
        (["run", "/no/such", "-o", "x"], 2, "/no/such"),
        (["run", "{words}", "-o", "{words}"], 6, "holds other files"),
        (["run", "{words}", "-o", "x", "--embed", "toy"], 2, "Write FIELD=NAME"),
        (["run", "{words}", "-o", "x", "--embed", "toy=toy.lettres"], 2, "Did you mean 'toy.letters'"),
        (["run", "{words}", "-o", "x", "--embed", "toi=toy"], 2, "Did you mean 'toy'"),
        (["run", "{words}", "-o", "x", "--max", "pixel=1"], 2, "Did you mean 'pixels'"),
        (["run", "{words}", "-o", "x", "--max", "pixels"], 2, "LIMIT=NUMBER"),
        (["run", "{words}", "-o", "x", "--max", "pixels=-1"], 2, "positive"),
        (["run", "{words}", "-o", "x", "--device", "gpu"], 2, "no device 'gpu'"),
        (["run", "{words}", "-o", "x", "--device", "cuda:7"], 7, "cannot be used"),
        (["run", "{words}", "-o", "x", "--precision", "fp8"], 2, "no precision 'fp8'"),
        (["run", "{words}", "-o", "x", "--batch-size", "0"], 2, "batch_size is 0"),
        (["run", "{words}", "-o", "x", "--weights", "a", "--weights", "b"], 2, "stands alone"),
        (["run", "--config", "/no/such.toml"], 2, "no file"),
        (["info", "toy.lettres"], 2, "Did you mean"),
        (["show", "{words}"], 2, "no vector set"),
    ],
)
def test_mistakes_are_one_line_that_names_the_cure(
    embed: Embed,
    words: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    found = embed(*(argument.replace("{words}", str(words)) for argument in arguments))
    assert found.exit_code == code, found.output
    assert says in found.stderr
    assert found.stderr.splitlines()[-1].startswith("embed: ")
    assert "Traceback" not in found.stderr
    assert found.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('sorce = "x"', "Did you mean 'source'"),
        ('source = "x"\npart_rows = "many"', "'part_rows'"),
        ("source = ", "cannot be read"),
    ],
)
def test_a_wrong_file_of_options_is_said(embed: Embed, tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "run.toml").write_text(text)
    found = embed("run", "--config", tmp_path / "run.toml")
    assert found.exit_code == 2
    assert says in found.stderr


def test_list_names_every_embedder_and_marks_defaults(embed: Embed) -> None:
    found = embed("list")
    assert "* toy.letters" in found.stdout
    assert "  toy.unit" in found.stdout
    assert "* image.clip" in found.stdout
    rows = {row["name"]: row for row in json.loads(embed("list", "--json").stdout)}
    assert rows["text.bert"]["default"] is False
    assert rows["text.bert"]["class"] == "embedders.models.bert:Bert"


def test_info_describes_an_embedder_with_its_options(embed: Embed) -> None:
    found = embed("info", "toy.letters(scale=2)")
    assert "Length, number of vowels" in found.stdout
    assert "space: toy:2" in found.stdout
    facts: dict[str, Any] = json.loads(embed("info", "toy", "--json").stdout)
    assert (facts["dim"], facts["modality"]) == (3, "toy")


def test_show_prints_a_set_and_its_failures(embed: Embed, words: Path, tmp_path: Path) -> None:
    (words / "bad.toy").write_text("!bad")
    embed("run", words, "-o", tmp_path / "out")
    found = embed("show", tmp_path / "out")
    assert "4 records" in found.stdout
    assert "1 x invalid (TOY_BAD): bad" in found.stdout
    listed = embed("show", tmp_path / "out", "--failures")
    assert listed.stdout == "bad\ttoy_letters\tinvalid\tTOY_BAD: a bad word\n"
    assert json.loads(embed("show", tmp_path / "out", "--failures", "--json").stdout)[0]["id"] == "bad"
    assert json.loads(embed("show", tmp_path / "out", "--json").stdout)["rows"] == 4


def test_an_interrupt_exits_130(embed: Embed, words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.pipeline.run_parts", interrupt)
    found = embed("run", words, "-o", tmp_path / "out")
    assert found.exit_code == 130
    assert "interrupted" in found.stderr


def test_scenes_are_written_run_and_evaluated(embed: Embed, tmp_path: Path) -> None:
    assert embed("samples", "scenes", "--count", 3, "--out", tmp_path / "scenes").exit_code == 0
    assert len(list((tmp_path / "scenes").iterdir())) == 3 * 3 + 1
    records = [{"id": str(i), "word": word, "same": word} for i, word in enumerate(("bell", "drum", "siren"))]
    table = tmp_path / "t.jsonl"
    table.write_text("\n".join(map(json.dumps, records)))
    embed("run", table, "-o", tmp_path / "v", "-e", "word=toy.unit", "-e", "same=toy.unit")
    figures = json.loads(embed("evaluate", tmp_path / "v", "--json", "--protocol", "retrieval").stdout)
    assert figures
    found = json.loads(
        embed("search", tmp_path / "v", "drum", "--in", "word_unit", "-k", 1, "--by", "toy", "--json").stdout
    )
    assert [hit["id"] for hit in found] == ["1"]


def test_an_unknown_training_is_refused(embed: Embed, tmp_path: Path) -> None:
    found = embed("train", "photos", "--out", tmp_path / "w")
    assert found.exit_code == 2
    assert "No such command 'photos'" in found.stderr
