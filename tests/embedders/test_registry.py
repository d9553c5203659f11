from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from embedders import ContractError, Modality, SetupError, UsageError
from embedders.registry import EMBEDDERS, MODALITIES, Entry, Registry, parse
from tests.toy import Letters, Toy, Unit


class Installed:
    """Stands for an installed distribution."""

    version = "1.2"
    requires: list[str] | None = None

    def __init__(self, name: str) -> None:
        self.name = name


def point(distribution: str, name: str, value: str, group: str = EMBEDDERS) -> metadata.EntryPoint:
    """An entry point of an installed distribution, or of none."""
    made = metadata.EntryPoint(name, value, group)
    vars(made)["dist"] = Installed(distribution) if distribution else None
    return made


def installed(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str, str], group: str = EMBEDDERS) -> Registry:
    """A registry that finds these entry points: (distribution, name, value)."""
    made = [point(*given, group) for given in points]
    monkeypatch.setattr(metadata, "entry_points", lambda group: [p for p in made if p.group == group])
    return Registry()


@pytest.fixture
def toys() -> Registry:
    registry = Registry()
    registry.register("toy", Toy)
    registry.register("toy.letters", Letters)
    return registry


def test_the_built_in_names_come_through_the_entry_points() -> None:
    found = Registry().entries()
    assert {"image.resnet50", "image.clip", "text.clip", "audio.wav2vec2", "text.bert"} <= found.keys()
    assert found["image.clip"].target == "embedders.models.clip:ClipImage"
    assert found["image.clip"].provider.startswith("multimodal-embedders ")
    assert list(found) == sorted(found)
    assert {"audio", "image", "text"} <= Registry().entries(MODALITIES).keys()


def test_listing_imports_nothing() -> None:
    script = """
import sys
import embedders
assert "image.clip" in embedders.entries()
loaded = [name for name in sys.modules if name.startswith(("embedders.models.", "embedders.modalities."))]
print(loaded, [name for name in ("torch", "transformers", "open_clip", "PIL", "soundfile") if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[] []"


def test_a_name_a_modality_and_a_path_lead_to_the_class(toys: Registry) -> None:
    assert toys.find("toy.letters") is Letters
    assert toys.find("toy") is Letters
    assert toys.find("tests.toy:Unit") is Unit
    assert [toys.full_name(name) for name in ("toy", "toy.unit", "a:B")] == ["toy.letters", "toy.unit", "a:B"]


def test_every_embedder_of_a_registered_name_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = installed(monkeypatch, ("birds", "toy.birds", "tests.toy:Letters"))
    assert registry.entries() == {"toy.birds": Entry("toy.birds", "tests.toy:Letters", "birds 1.2")}
    assert registry.find("toy.birds") is Letters


def test_a_name_that_two_packages_provide_is_refused_naming_both(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = installed(monkeypatch, ("one", "toy.a", "x:A"), ("two", "toy.a", "y:A"), ("two", "toy.b", "y:B"))
    assert [entry.provider for entry in registry.entries().values()] == ["one 1.2 and two 1.2", "two 1.2"]
    with pytest.raises(SetupError, match=r"'toy.a': one 1.2 and two 1.2.* x:A or y:A"):
        registry.find("toy.a")


def test_the_same_target_twice_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = installed(monkeypatch, ("one", "toy.a", "x:A"), ("one", "toy.a", "x:A"))
    assert list(registry.entries()) == ["toy.a"]


def test_metadata_without_a_distribution_is_still_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert installed(monkeypatch, ("", "toy.a", "x:A")).entries()["toy.a"].provider == "unknown"


@pytest.mark.parametrize("name", ["Toy.a", "toy.", ".a", "toy.a.b", "toy-a", "1toy", "", "toy a"])
def test_a_name_out_of_pattern_cannot_be_registered(toys: Registry, name: str) -> None:
    with pytest.raises(UsageError, match="is no name"):
        toys.register(name, Letters)


@pytest.mark.parametrize(("name", "cls"), [("toy", Letters), ("toy.a", Toy), ("toy.a", int), ("toy.a", "Letters")])
def test_only_a_class_of_the_kind_can_be_registered(toys: Registry, name: str, cls: Any) -> None:
    with pytest.raises(UsageError, match=r"it is not a (Modality|BaseEmbedder) class"):
        toys.register(name, cls)


def test_a_taken_name_is_refused_naming_both(toys: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"'toy.letters' is taken: tests.toy:Letters .* and now tests.toy:Unit"):
        toys.register("toy.letters", Unit)
    registry = installed(monkeypatch, ("birds", "toy.birds", "x:A"))
    with pytest.raises(UsageError, match=r"taken: x:A from birds 1.2, and now tests.toy:Unit"):
        registry.register("toy.birds", Unit)


def test_a_class_defined_again_takes_the_place_of_the_old(toys: Registry) -> None:
    again = type("Letters", (Letters,), {"__module__": "tests.toy", "__qualname__": "Letters"})
    toys.register("toy.letters", again)
    assert toys.find("toy.letters") is again
    old = toys.modality("toy")
    newer = type("Toy", (Toy,), {"__module__": "tests.toy", "__qualname__": "Toy"})
    toys.register("toy", newer)
    assert type(toys.modality("toy")) is newer is not type(old)


def test_an_unknown_name_suggests_the_nearest(toys: Registry) -> None:
    for name in ("toy.leters", "image.clipp", "vision"):
        with pytest.raises(UsageError, match=r"There is no embedder .* Known: "):
            toys.find(name)
    with pytest.raises(UsageError, match=r"Did you mean 'toy.letters'\?"):
        toys.find("toy.leters")
    with pytest.raises(UsageError, match=r"no modality 'toys'. Did you mean 'toy'\?"):
        toys.modality("toys")


def test_a_modality_without_default_asks_for_a_name(toys: Registry) -> None:
    class Bare(Toy):
        name = "bare"
        defaults = ()

    toys.register("bare", Bare)
    with pytest.raises(UsageError, match="has no default embedder"):
        toys.find("bare")


def test_what_is_no_embedder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ContractError, match="not an embedder class"):
        Registry().find("tests.toy:Toy")
    registry = installed(monkeypatch, ("birds", "birds", "tests.toy:Letters"), group=MODALITIES)
    with pytest.raises(ContractError, match="not a Modality class"):
        registry.modality("birds")


@pytest.mark.parametrize(
    ("value", "source", "complaint"),
    [
        (
            "made_here:A [mteb]",
            "import not_installed_anywhere",
            r"needs .*'not_installed_anywhere'.*'birds\[mteb\]'",
        ),
        ("made_here:A", "import not_installed_anywhere", "pip install 'not_installed_anywhere'"),
        ("made_here:A", "raise OSError('libfoo.so is missing')", "cannot be imported: OSError: libfoo.so"),
        ("made_here:A", "B = 1", "cannot be imported: AttributeError"),
        ("made_there:A", "", "'toy.birds' comes from birds 1.2"),
        ("made_there.deeper:A", "", "'toy.birds' comes from birds 1.2"),
    ],
)
def test_an_import_that_fails_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, source: str, complaint: str
) -> None:
    (tmp_path / "made_here.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "made_here", raising=False)
    registry = installed(monkeypatch, ("birds", "toy.birds", value))
    with pytest.raises(SetupError, match=complaint):
        registry.find("toy.birds")


def test_options_in_brackets_win(toys: Registry) -> None:
    embedder = toys.create("toy.letters(scale=3)", scale=2.0, weights="random:1")
    assert embedder.options == {"scale": 3, "weights": "random:1"}


def test_a_modality_has_one_instance(toys: Registry) -> None:
    assert toys.modality("toy") is toys.modality("toy")
    assert "toy" in [modality.name for modality in toys.modalities()]
    assert all(isinstance(modality, Modality) for modality in toys.modalities())


@pytest.mark.parametrize(
    ("reference", "name", "options"),
    [
        ("image.clip", "image.clip", {}),
        (" image.clip ( ) ", "image.clip", {}),
        (
            "a.b(pooling=cls, n=3, x=0.5, on=true, none=null)",
            "a.b",
            {"pooling": "cls", "n": 3, "x": 0.5, "on": True, "none": None},
        ),
        ('a.b(prefix="one, (two)", layers=[1, 2])', "a.b", {"prefix": "one, (two)", "layers": [1, 2]}),
        (r'a.b(prefix="say \"no, yes\"", n=1)', "a.b", {"prefix": 'say "no, yes"', "n": 1}),
        (r'a.b(folder="C:\\", n=1)', "a.b", {"folder": "C:\\", "n": 1}),
        ("a.b(weights=/some/where=x.pt)", "a.b", {"weights": "/some/where=x.pt"}),
        ("package.module:Class(n=1)", "package.module:Class", {"n": 1}),
        ("a.b(weights=org/name@v1,)", "a.b", {"weights": "org/name@v1"}),
    ],
)
def test_a_reference_is_a_name_and_options(reference: str, name: str, options: dict[str, Any]) -> None:
    assert parse(reference) == (name, options)


@pytest.mark.parametrize(
    "reference", ["", "a b", "a.b(", "a.b(n=1", "a.b(n)", "a.b(=1)", "a.b(1n=1)", "a.b(n=1, n=2)", "(n=1)"]
)
def test_a_reference_that_is_none_is_refused(reference: str) -> None:
    with pytest.raises(UsageError):
        parse(reference)
