"""What installed packages declare: kinds, extras, versions; and modalities that fail or claim what another has."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import embedders
from embedders import ContractError, SetupError
from embedders.registry import EMBEDDERS, ENCODINGS, MODALITIES, Entry, Registry
from tests.embedders.test_registry import Installed, installed, point
from tests.toy import Letters, Toy, Unit


def test_an_encoding_is_told_apart_by_its_group_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = installed(monkeypatch, ("words", "toy.bow", "nowhere:Bow"), group=ENCODINGS)
    assert registry.entries() == {"toy.bow": Entry("toy.bow", "nowhere:Bow", "words 1.2", kind="encoding")}
    assert registry.entries(MODALITIES) == {}
    letters = type("Letters", (Letters,), {"kind": "encoding"})
    registry.register("toy.letters", letters)
    assert registry.entries()["toy.letters"].kind == "encoding"


def test_an_embedder_and_an_encoding_of_one_name_are_refused_naming_both(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [point("one", "toy.a", "x:A"), point("two", "toy.a", "x:A", ENCODINGS)]
    monkeypatch.setattr(metadata, "entry_points", lambda group: [p for p in points if p.group == group])
    with pytest.raises(SetupError, match=r"Two packages provide 'toy.a': one 1.2 and two 1.2"):
        Registry().find("toy.a")


def test_what_an_extra_lacks_is_known_without_importing(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = [
        "numpy>=2",
        "numpy>=2 ; extra == 'words'",
        'not_installed_anywhere[fast]>=1 ; python_version > "3" and extra == "words"',
        "nor-this; extra == 'others'",
    ]
    monkeypatch.setattr(Installed, "requires", needs)
    entry = installed(monkeypatch, ("birds", "toy.birds", "nowhere:A [words]")).entries()["toy.birds"]
    assert (entry.missing, entry.extra) == (("not_installed_anywhere",), "birds[words]")
    assert installed(monkeypatch, ("birds", "toy.birds", "nowhere:A")).entries()["toy.birds"].missing == ()


@pytest.mark.parametrize(
    ("provider", "name"),
    [("birds 1.2", "birds"), ("register()", ""), ("given by path", ""), ("unknown", ""), ("a 1 and b 2", "")],
)
def test_an_entry_knows_its_distribution(provider: str, name: str) -> None:
    assert Entry("toy.a", "x:A", provider).distribution == name


def test_vectors_are_owed_to_the_packages_of_the_class_and_of_its_modality(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        point("letters", "toy.letters", "tests.toy:Letters"),
        point("birds", "toy.birds", "birds.song:Song"),
        point("toys", "toy", "somewhere:Toy", MODALITIES),
    ]
    monkeypatch.setattr(metadata, "entry_points", lambda group: [p for p in points if p.group == group])
    assert Registry().distributions(Unit()) == ("letters", "toys")
    assert Registry().distributions(embedders.create("text.starter")) == ()


# ---- modalities of strangers -------------------------------------------------------------------------------


class Cranky(Toy):
    name = "cranky"

    def __init__(self) -> None:
        raise OSError("no tape drive")


@pytest.mark.parametrize(
    ("name", "target", "complaint"),
    [
        ("birds", "os.path:join", "not a Modality class"),
        ("birds", "tests.toy:Toy", r"'birds' from stranger 1.2 has the name 'toy'"),
        ("birds", "embedders:Modality", r"from stranger 1.2 has the name None and the suffixes None"),
        (
            "cranky",
            "tests.embedders.test_registry_packages:Cranky",
            r"from stranger 1.2 cannot be made: OSError: no tape",
        ),
        ("birds", "nowhere_at_all:A", "needs the package 'nowhere_at_all'"),
    ],
)
def test_a_modality_that_cannot_be_used_is_named_and_costs_no_other(
    monkeypatch: pytest.MonkeyPatch, name: str, target: str, complaint: str
) -> None:
    registry = installed(
        monkeypatch, ("stranger", name, target), ("toys", "toy", "tests.toy:Toy"), group=MODALITIES
    )
    with pytest.raises((ContractError, SetupError), match=complaint):
        registry.modality(name)
    with pytest.warns(UserWarning, match=f"The modality '{name}' is left out: "):
        assert [modality.name for modality in registry.modalities()] == ["toy"]


class Rival(Toy):
    name = "rival"
    suffixes = frozenset({".rival", ".toy"})


def test_a_suffix_that_two_modalities_claim_goes_to_one_of_them_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    here = "tests.embedders.test_registry_packages:Rival"
    strangers = [("one", "rival", here), ("two", "toy", "tests.toy:Toy")]
    with pytest.warns(UserWarning, match=r"Files in .toy go to rival: rival \(one 1.2\) and toy \(two 1.2\)"):
        found = installed(monkeypatch, *strangers, group=MODALITIES).suffixes()
    assert found == {".rival": "rival", ".toy": "rival"}
    built_in = [("one", "rival", here), ("multimodal-embedders", "toy", "tests.toy:Toy")]
    with pytest.warns(UserWarning, match=r"Files in .toy go to toy: .*--embed rival=\.\.\. gives them to rival"):
        found = installed(monkeypatch, *built_in, group=MODALITIES).suffixes()
    assert found == {".rival": "rival", ".toy": "toy"}
    assert installed(monkeypatch, *built_in, group=MODALITIES).suffixes(["rival"])[".toy"] == "rival"


def test_suffixes_stand_in_the_order_of_their_modalities() -> None:
    assert list(dict.fromkeys(Registry().suffixes().values())) == sorted(set(Registry().suffixes().values()))


def test_a_hundred_plugins_are_listed_at_once_and_none_is_imported(tmp_path: Path) -> None:
    (tmp_path / "stranger.py").write_text("raise SystemExit('imported')\n")
    for number in range(100):
        folder = tmp_path / f"stranger{number}-1.{number}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: stranger{number}\nVersion: 1.{number}\n")
        (folder / "entry_points.txt").write_text(f"[{EMBEDDERS}]\ntoy.stranger{number} = stranger:A\n")
    script = """
import sys, time
from embedders.registry import Registry
began = time.process_time()
found = Registry().entries()
print(time.process_time() - began, sum(n.startswith("toy.stranger") for n in found), "stranger" in sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    seconds, count, imported = found.stdout.split()
    assert (count, imported) == ("100", "False")
    assert float(seconds) < 1
