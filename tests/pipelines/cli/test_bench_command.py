"""`embed bench`: rates of a user's own records, the limit they set, and one line of advice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from embedders import UsageError
from pipelines.cli.bench import bench_command
from pipelines.engines.measure import Rates

RATES = Rates(
    records=10,
    failed=0,
    opening=100.0,
    forward={"photo_clip": 50.0},
    writing=1000.0,
    together=29.0,
    shares_cores=True,
    runtimes={"photo_clip": {"device": "cpu", "precision": "bf16", "accel": "openvino"}},
)


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("words.csv").write_text("id,w\n" + "".join(f"r{row},word{row}\n" for row in range(40)) + "last,!bad\n")
    return "words.csv"


def test_the_table_has_every_stage_the_limit_and_the_advice(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    bench_command(words, {"embed": {"w": "toy.letters"}, "device": "cpu"}, rows=100, as_json=False)
    out, err = capsys.readouterr()
    starts = [line.split("  ")[0] for line in out.splitlines()]
    assert starts[:-1] == [
        "stage alone",
        "open (read, decode, prepare)",
        "w_letters (cpu, fp32, none)",
        "write",
        "limit",
        "all together",
    ]
    assert err.splitlines() == [
        "41 records; weights are loaded and each stage is run alone.",
        "1 of 41 records failed.",
    ]
    assert max(map(len, out.splitlines())) <= 100
    assert [path.name for path in Path().iterdir()] == ["words.csv"]


def test_json_holds_the_same_figures(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    bench_command(words, {"embed": {"w": "toy.letters"}, "device": "cpu"}, rows=7, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["records"], found["failed"]) == (7, 0)
    assert min(found["opening"], found["forward"]["w_letters"], found["writing"], found["together"]) > 0
    assert found["advice"]


def test_no_rows_are_refused(words: str) -> None:
    with pytest.raises(UsageError, match="--rows is 0"):
        bench_command(words, {}, rows=0, as_json=False)


def test_times_add_up_where_stages_share_the_cores() -> None:
    assert RATES.limit == pytest.approx(1 / (1 / 100 + 1 / 50 + 1 / 1000))


def test_the_slowest_stage_decides_beside_an_accelerator() -> None:
    assert replace(RATES, shares_cores=False).limit == 50


@pytest.mark.parametrize(
    ("rates", "advice"),
    [
        (RATES, "The network of photo_clip is the limit: a smaller model or a GPU"),
        (replace(RATES, runtimes={"photo_clip": {"device": "cpu", "precision": "fp32", "accel": "none"}}), "auto"),
        (
            replace(RATES, runtimes={"photo_clip": {"device": "cuda", "precision": "bf16", "accel": "none"}}),
            "device",
        ),
        (replace(RATES, opening=10.0, together=9.0), "Reading and decoding is the limit: more cores, a faster"),
        (replace(RATES, opening=10.0, together=9.0, shares_cores=False), "beside the accelerator"),
        (replace(RATES, writing=5.0, together=4.5), "The disk is the limit"),
        (replace(RATES, together=10.0), "Something else uses this machine"),
    ],
)
def test_the_advice_is_about_the_slowest_stage(rates: Rates, advice: str) -> None:
    assert advice in rates.advice
