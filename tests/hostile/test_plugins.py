"""Plugins that were not asked for, fail, or take what is not theirs: SEC-09, NUM-16."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from embedders import EmbedError, SetupError, UsageError
from embedders.registry import EMBEDDERS, MODALITIES, Registry
from tests.embedders.test_registry import installed
from tests.toy import Letters


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Modules that plugins could bring; importing one of them leaves a file."""
    touch = f"from pathlib import Path\nPath({str(tmp_path)!r}, f'{{__name__}}.imported').touch()\n"
    bodies = {
        "calm": "from tests.toy import Letters as Calm\n",
        "raising": "raise OSError('libfoo.so is missing')\n",
        "leaving": "import sys\nsys.exit(0)\n",
        "needing": "import not_installed_anywhere\n",
        "broken": "this is no Python\n",
    }
    for name, body in bodies.items():
        (tmp_path / f"stranger_{name}.py").write_text((touch if name != "broken" else "") + body)
        monkeypatch.delitem(sys.modules, f"stranger_{name}", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_sec_09_a_plugin_is_imported_when_it_is_named_and_not_before(
    strangers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = installed(
        monkeypatch, ("one", "toy.calm", "stranger_calm:Calm"), ("two", "toy.bad", "stranger_raising:A")
    )
    assert list(registry.entries()) == ["toy.bad", "toy.calm"]
    assert not list(strangers.glob("*.imported"))
    assert registry.find("toy.calm") is Letters
    assert [path.name for path in strangers.glob("*.imported")] == ["stranger_calm.imported"]


@pytest.mark.parametrize(
    ("points", "name", "complaint"),
    [
        ([("bad", "toy.a", "stranger_raising:A")], "toy.a", r"from bad 1\.2.*libfoo\.so"),
        ([("bad", "toy.a", "stranger_leaving:A")], "toy.a", r"from bad 1\.2.*SystemExit"),
        ([("bad", "toy.a", "stranger_needing:A")], "toy.a", "needs the package 'not_installed_anywhere'"),
        ([("bad", "toy.a", "stranger_broken:A")], "toy.a", r"from bad 1\.2.*SyntaxError"),
        ([("bad", "toy.a", "stranger_nowhere:A")], "toy.a", r"comes from bad 1\.2"),
        ([("bad", "toy.a", "os.path:join")], "toy.a", "not an embedder class"),
        ([("bad", "toy.a", "x:A"), ("worse", "toy.a", "y:A")], "toy.a", r"bad 1\.2 and worse 1\.2"),
        (
            [("built-in", "image.clip", "x:A"), ("bad", "image.clip", "y:A")],
            "image.clip",
            r"built-in 1\.2 and bad 1\.2",
        ),
        ([("bad", "../evil.a", "x:A")], "../evil.a", r"from bad 1\.2, is no name"),
        ([("bad", "toy.\x1b[2J", "x:A")], "toy.\x1b[2J", r"from bad 1\.2, is no name"),
        ([("bad", "toy", "x:A")], "toy.b", "There is no embedder"),
    ],
    ids=[
        *("raises", "leaves", "needs more", "no Python", "not there", "no class", "two packages", "shadows"),
        *("a path", "steers", "a modality's name"),
    ],
)
def test_num_16_a_bad_plugin_is_refused_by_the_names_of_its_packages_and_costs_no_other(
    strangers: Path, monkeypatch: pytest.MonkeyPatch, points: list[tuple[str, str, str]], name: str, complaint: str
) -> None:
    registry = installed(monkeypatch, *points, ("good", "toy.good", "stranger_calm:Calm"))
    assert "toy.good" in registry.entries()
    with pytest.raises((SetupError, UsageError, EmbedError), match=complaint) as caught:
        registry.find(name)
    assert caught.value.exit_code in (2, 7)
    assert registry.find("toy.good") is Letters


def test_num_16_a_modality_that_two_packages_claim_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = installed(
        monkeypatch, ("one", "toy", "tests.toy:Toy"), ("two", "toy", "tests.toy:Shelf"), group=MODALITIES
    )
    with pytest.raises(SetupError, match=r"'toy': one 1\.2 and two 1\.2"):
        registry.modality("toy")


def test_no_built_in_name_is_contested_here() -> None:
    entries = [entry for group in (EMBEDDERS, MODALITIES) for entry in Registry().entries(group).values()]
    assert [entry for entry in entries if entry.problem] == []
