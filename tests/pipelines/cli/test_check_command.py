"""``embed check``: a table of what was found at worst, and an exit code that a script can act on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from embedders import ContractError, SetupError, UsageError
from embedders.conformance import CHECKS
from embedders.registry import EMBEDDERS, Entry, registry
from pipelines.cli import check
from pipelines.cli.check import check_command
from tests.embedders.liars import LiesAboutDim
from tests.toy import Letters, Toy


def checked(capsys: pytest.CaptureFixture[str], *names: str, **options: Any) -> tuple[int, str]:
    given = {"everything": False, "weights": None, "as_json": False} | options
    code = check_command(names, **given)
    found = capsys.readouterr()
    assert found.err == ""
    return code, found.out


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two checks, of which the second embeds."""
    chosen = [c for c in CHECKS if c.__name__ in ("spec_is_sound", "vectors_have_the_promised_shape")]
    whole = check.examine
    monkeypatch.setattr(check, "examine", lambda embedder: whole(embedder, chosen))


def test_a_good_embedder_passes_every_check_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = checked(capsys, "toy.letters")
    head, *lines, summary = out.splitlines()
    assert (code, head) == (0, "toy.letters  register()")
    assert [line[8:48].rstrip().replace(" ", "_") for line in lines] == [c.__name__ for c in CHECKS]
    assert all(line.startswith("  ok    ") and 48 < len(line) <= 80 for line in lines)
    assert summary.startswith(f"All {len(CHECKS)} checks passed in ")


@pytest.mark.usefixtures("quick")
def test_a_liar_ends_with_7_and_is_told_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = checked(capsys, "toy.letters", "tests.embedders.liars:LiesAboutDim")
    assert code == ContractError.exit_code == 7
    assert "tests.embedders.liars:LiesAboutDim  given by path\n" in out
    assert "  FAIL  vectors have the promised shape\n        The embedder of space 'toy:lies' returned" in out
    assert max(map(len, out.splitlines())) <= 80
    assert "1 of 4 checks failed in " in out


@pytest.mark.usefixtures("quick")
def test_json_holds_every_finding(capsys: pytest.CaptureFixture[str]) -> None:
    _, out = checked(capsys, "toy(scale=2)", as_json=True)
    (report,) = json.loads(out)
    assert (report["name"], report["provider"], report["passed"]) == ("toy(scale=2)", "register()", True)
    assert [finding["check"] for finding in report["findings"]] == [
        "spec_is_sound",
        "vectors_have_the_promised_shape",
    ]
    assert report["findings"][1]["words"] == "(3, 3)"
    assert report["findings"][0]["seconds"] >= 0


@pytest.mark.usefixtures("quick")
def test_weights_go_to_the_embedder_that_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(capsys, "toy.letters", weights="random:1")[0] == 0
    with pytest.raises(UsageError, match="has no option 'weights'"):
        check_command(["tests.embedders.liars:OfAnother"], everything=False, weights="random:1", as_json=False)


@pytest.mark.parametrize(
    ("names", "everything", "error", "complaint"),
    [
        ((), False, UsageError, "Name embedders to check"),
        (("toy.letters",), True, UsageError, "Name embedders to check"),
        (("toy.lettres",), False, UsageError, "Did you mean 'toy.letters'"),
        (("tests.toy:Toy",), False, ContractError, "not an embedder class"),
        (("nowhere_at_all:A",), False, SetupError, "nowhere_at_all"),
        (
            ("tests.pipelines.cli.test_check_command:Needs",),
            False,
            UsageError,
            "missing a required argument: 'head'",
        ),
        (("tests.pipelines.cli.test_check_command:Raises",), False, ContractError, "made: ZeroDivisionError"),
    ],
)
def test_what_cannot_be_checked_says_why(
    names: tuple[str, ...], everything: bool, error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        check_command(names, everything=everything, weights=None, as_json=False)


class Needs(Letters):
    def __init__(self, *, head: str) -> None:
        super().__init__()


class Raises(Letters):
    def __init__(self) -> None:
        raise ZeroDivisionError


class Unweighted(Letters):
    def load(self, runtime: Any) -> Any:
        raise SetupError("The weights are not cached", "Go online once")


@pytest.mark.usefixtures("quick")
def test_of_everything_no_embedder_stops_another(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = "tests.pipelines.cli.test_check_command"
    listed = [
        Entry("toy.absent", "nowhere_at_all:A", "absent 1", missing=("nowhere",), extra="absent[all]"),
        Entry("toy.broken", "nowhere_at_all:A", "broken 1"),
        Entry("toy.good", "tests.toy:Letters", "good 1"),
        Entry("toy.liar", f"{LiesAboutDim.__module__}:LiesAboutDim", "liar 1"),
        Entry("toy.needs", f"{here}:Needs", "needs 1"),
        Entry("toy.offline", f"{here}:Unweighted", "offline 1"),
    ]
    monkeypatch.setattr(registry, "_classes", {"toy": Toy})
    monkeypatch.setattr(registry, "_registered", {**registry._registered, EMBEDDERS: {}})
    monkeypatch.setattr(registry, "_installed", {EMBEDDERS: {entry.name: entry for entry in listed}})
    code, out = checked(capsys, everything=True, as_json=True)
    reports = {report["name"]: report for report in json.loads(out)}
    assert code == 7
    assert {name: report["passed"] for name, report in reports.items()} == {
        "toy.absent": True,
        "toy.broken": False,
        "toy.good": True,
        "toy.liar": False,
        "toy.needs": True,
        "toy.offline": True,
    }
    left_out = {name: report["left_out"] for name, report in reports.items() if report["left_out"]}
    assert left_out.keys() == {"toy.absent", "toy.needs", "toy.offline"}
    assert "Go online once" in left_out["toy.offline"]
    assert reports["toy.broken"]["findings"][0]["check"] == "it_can_be_made"
    _, out = checked(capsys, everything=True)
    assert [line for line in out.splitlines() if line.startswith("toy.")] == [
        f"{entry.name}  {entry.provider}" for entry in listed
    ]
    assert out.splitlines()[-1].startswith("2 of 6 checks failed in ")
    assert out.splitlines()[-1].endswith("; 3 not checked to the end")
