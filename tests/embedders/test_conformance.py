"""The conformance kit passes a good embedder and catches every kind of bad one, each by the right check."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedders import BaseEmbedder, ContractError, SetupError
from embedders.conformance import CHECKS, contract, examine
from embedders.conformance.after import AGREEMENT
from embedders.registry import ENCODINGS, Registry, registry
from embedders.runtime import trial
from pipelines import Pipeline
from tests.embedders import liars
from tests.embedders.test_registry import installed
from tests.toy import Letters, Unit

BY_NAME = {check.__name__: check for check in CHECKS}


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry of this process, which forgets at the end what a test registered."""
    for held in ("_classes", "_instances", "_installed"):
        monkeypatch.setattr(registry, held, dict(getattr(registry, held)))
    monkeypatch.setattr(registry, "_registered", {group: dict(e) for group, e in registry._registered.items()})
    return registry


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("cls", [Letters, Unit])
def test_a_good_embedder_passes_and_says_how_far(check: Callable[[BaseEmbedder], str], cls: Any) -> None:
    words = check(cls())
    assert 0 < len(words) <= 32  # it stands in a table of 80 columns
    assert "\n" not in words


@pytest.mark.parametrize(
    ("cls", "caught_by", "complaint"),
    [
        (
            liars.LiesAboutDim,
            "vectors_have_the_promised_shape",
            r"'toy:lies' returned shape \(\d, 3\).*promises \(\d, 5\)",
        ),
        (liars.LosesARow, "vectors_have_the_promised_shape", r"'toy:1.0' returned shape \(1, 3\) for a batch of 2"),
        (liars.IsNaN, "vectors_have_the_promised_shape", "an example cannot be embedded: nonfinite"),
        (liars.IsNotUnit, "vectors_have_the_promised_shape", "promises unit length"),
        (liars.Grades, "vectors_have_the_promised_shape", "carry gradients"),
        (liars.IsConstant, "vectors_differ_between_inputs", "examples 0 and 1 have the same vector"),
        (liars.IsRandom, "vectors_are_repeatable", "two equal calls gave different vectors"),
        (liars.Remembers, "vectors_are_repeatable", "two equal calls gave different vectors"),
        (liars.Hashes, "vectors_are_the_same_in_another_process", r"example \d moves .* in another process"),
        (liars.ReversesRows, "vectors_ignore_their_neighbours", r"example \d moves .* when embedded alone"),
        (liars.AddsTheBatchMean, "vectors_ignore_their_neighbours", r"example \d moves .* when embedded alone"),
        (liars.AddsTheBatchMean, "vectors_keep_the_order", r"example \d moves .* in another order"),
        (liars.KeepsWeights, "vectors_leave_the_embedder_small", "leaves 1024 bytes of arrays"),
        (liars.PicklesWeights, "vectors_leave_the_embedder_small", r"pickles to \d+ bytes, a fresh one to \d+"),
        (liars.CannotBePickled, "options_rebuild_the_embedder", "cannot be pickled: TypeError: .*socket"),
        (liars.ChangesItsSpec, "spec_is_sound", "differs between two readings"),
        (liars.HasNoSpace, "spec_is_sound", "space is empty"),
        (liars.HasNoDimensions, "spec_is_sound", "spec.dim is 0"),
        (liars.HasObjectsInDetails, "spec_is_sound", "spec.details must hold plain JSON"),
        (liars.PreparesAtRandom, "prepare_is_a_pure_function", "two different samples for one input$"),
        (liars.MutatesItsInput, "prepare_is_a_pure_function", "for one input: it changes its input"),
        (liars.MutatesInSecret, "prepare_is_a_pure_function", "^prepare changes its input"),
        (liars.CostsNothing, "prepare_is_a_pure_function", "cost is 0"),
        (liars.FlagsNumbers, "prepare_is_a_pure_function", "flags must be"),
        (liars.HasTwoExamples, "prepare_is_a_pure_function", "gives 2 inputs"),
        (liars.SharesItsPrepare, "prepare_holds_in_threads", r"\d+ of 96 samples made in 8 threads differ"),
        (liars.Prints, "vectors_leave_no_traces", "it prints while it embeds: 'embedding, please wait'"),
        (liars.PrintsBelowPython, "vectors_leave_no_traces", "prints .* 'a C library says hello'"),
        (liars.ChangesTheFolder, "vectors_leave_no_traces", "it changes the working folder"),
        (liars.ChangesTheEnvironment, "vectors_leave_no_traces", r"the environment \(LIARS_WERE_HERE\)"),
        (liars.SeedsPython, "vectors_leave_no_traces", "Python's random state"),
        (liars.SeedsNumpy, "vectors_leave_no_traces", "numpy's random state"),
        (liars.SilencesNumpy, "vectors_leave_no_traces", "numpy's handling of errors"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_a_bad_embedder_is_caught_and_told_what_it_does(cls: Any, caught_by: str, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        BY_NAME[caught_by](cls())


@pytest.mark.parametrize(
    ("cls", "caught_by", "complaint"),
    [
        (liars.Restless, "modality_is_sound", "'restless' decodes one input to two different media"),
        (liars.Loud, "modality_is_sound", r"claims the suffix '.LOUD'"),
        (liars.Greedy, "damaged_input_is_refused", r"b'' was taken for an input of modality 'greedy'"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_a_bad_modality_is_caught_by_its_embedders(
    alone: Registry, cls: Any, caught_by: str, complaint: str
) -> None:
    alone.register(cls.name, cls)
    with pytest.raises(ContractError, match=complaint):
        BY_NAME[caught_by](liars.OfAnother(modality=cls.name))


def test_what_a_library_does_when_it_is_first_imported_is_put_back_and_forgiven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import os, random\nrandom.random()\nos.environ['LIBRARY_WAS_HERE'] = '1'\n"
    (tmp_path / "library_of_theirs.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))

    class Imports(Letters):
        def load(self, runtime: Any) -> Any:
            import library_of_theirs  # type: ignore[import-not-found]  # noqa: F401  # written above

            return super().load(runtime)

    state = random.getstate()
    assert BY_NAME["vectors_leave_no_traces"](Imports()) == "silent"
    assert "library_of_theirs" in sys.modules
    assert "LIBRARY_WAS_HERE" not in os.environ
    assert random.getstate() == state


def test_nothing_that_a_liar_does_outlives_its_check(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.getcwd(), dict(os.environ), np.geterr()
    for cls in (liars.ChangesTheFolder, liars.ChangesTheEnvironment, liars.SilencesNumpy, liars.Prints):
        BY_NAME["vectors_keep_the_order"](cls())
    assert (os.getcwd(), dict(os.environ), np.geterr()) == before


def test_a_module_that_loads_something_heavy_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy_plugin.py").write_text(
        "import PIL\nfrom tests.toy import Letters\nclass Heavy(Letters): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from heavy_plugin import Heavy  # type: ignore[import-not-found]  # written above

    with pytest.raises(ContractError, match="loads PIL"):
        BY_NAME["importing_is_cheap"](Heavy())


def test_an_embedder_that_kills_the_other_process_is_named_and_the_next_gets_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly_plugin.py").write_text(
        "import os\nfrom tests.toy import Letters\nHOME = os.getpid()\n"
        f"if os.path.exists({str(tmp_path / 'armed')!r}): os._exit(9)\nclass Deadly(Letters): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from deadly_plugin import Deadly  # type: ignore[import-not-found]  # written above

    (tmp_path / "armed").touch()
    check = BY_NAME["vectors_are_the_same_in_another_process"]
    with pytest.raises(ContractError, match="it died with exit code 9"):
        check(Deadly())
    assert check(Letters()) == "equal bits"


@pytest.mark.parametrize(
    ("name", "group", "cls", "complaint"),
    [
        (
            "toy.secret",
            "",
            liars.IsAnEncodingInSecret,
            "registered as an embedder.*kind = 'encoding'",
        ),
        ("toy.fake", ENCODINGS, liars.LiesAboutDim, "registered as an encoding.*kind = 'embedder'"),
        ("shelf.words", "", liars.LosesARow, "registered as 'shelf.words', and embeds inputs of modality 'toy'"),
    ],
)
def test_a_name_that_lies_is_caught(
    alone: Registry, monkeypatch: pytest.MonkeyPatch, name: str, group: str, cls: Any, complaint: str
) -> None:
    group = group or "multimodal_embedders.embedders"
    found = installed(monkeypatch, ("liar", name, f"{cls.__module__}:{cls.__qualname__}"), group=group)
    monkeypatch.setattr(registry, "_installed", found._installed)
    with pytest.raises(ContractError, match=complaint):
        BY_NAME["names_are_its_own"](cls())


def test_a_class_of_several_modalities_may_be_any_of_them(alone: Registry) -> None:
    for name in ("shelf.any", "toy.any"):
        alone.register(name, liars.OfAnother)
    assert BY_NAME["names_are_its_own"](liars.OfAnother()) == "toy.any"


def test_half_precision_must_point_where_full_does(monkeypatch: pytest.MonkeyPatch) -> None:
    check = BY_NAME["vectors_agree_in_half_precision"]
    assert check(Letters()) == "not offered"

    class Halves(Letters):
        accelerators = ("openvino",)
        error = 0.01

        def embed(self, inputs: Any, *, precision: str = "fp32", **options: Any) -> Any:
            found = super().embed(inputs, **options)
            return found + self.error * found.max() if precision == "bf16" else found

    monkeypatch.setattr(Halves, "error", 0.0)
    assert check(Halves()) == "smallest cosine 1.00000"
    monkeypatch.setattr(Halves, "error", 0.5)
    with pytest.raises(ContractError, match=r"example 1 in half precision has cosine 0\.\d{4} to full"):
        check(Halves())
    assert trial.AGREEMENT == AGREEMENT  # a run asks for the same before it chooses half


def test_every_check_is_tried_whatever_the_authors_code_raises() -> None:
    findings = {finding.check: finding for finding in examine(liars.HasABug())}
    assert list(findings) == list(BY_NAME)
    assert findings["spec_is_sound"].passed
    bug = findings["vectors_keep_the_order"]
    assert not bug.passed
    assert bug.words.startswith("AttributeError: 'list' object has no attribute 'upper' (")
    assert "liars.py, line" in bug.words


def test_what_says_nothing_of_the_embedder_is_no_finding() -> None:
    class Without(Letters):
        def load(self, runtime: Any) -> Any:
            raise SetupError("the weights are not there")

    with pytest.raises(SetupError, match="the weights"):
        list(examine(Without(), [BY_NAME["vectors_keep_the_order"]]))


def test_one_line_makes_a_class_of_tests() -> None:
    made = contract("toy.letters", scale=2.0)
    tests = {name: test for name, test in vars(made).items() if name.startswith("test_")}
    assert list(tests) == [f"test_{name}" for name in BY_NAME]
    tests["test_spec_is_sound"](made())
    with pytest.raises(ContractError, match="'toy:lies'"):
        contract(liars.LiesAboutDim())().test_vectors_keep_the_order()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("cls", "outcome"),
    [
        (liars.LiesAboutDim, "space 'toy:lies' returned shape"),
        (liars.LosesARow, "space 'toy:1.0' returned shape"),
        (liars.IsNotUnit, "space 'toy:long' promises unit length"),
        (liars.HasABug, "HasABug.* no attribute 'upper'"),
        (liars.IsNaN, {"nonfinite": 3}),
        *((cls, {"ok": 3}) for cls in (liars.ReversesRows, liars.AddsTheBatchMean, liars.IsRandom)),
        *((cls, {"ok": 3}) for cls in (liars.Prints, liars.KeepsWeights, liars.CannotBePickled)),
        *((cls, {"ok": 3}) for cls in (liars.ChangesTheFolder, liars.ChangesTheEnvironment)),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_a_run_refuses_a_liar_by_name_or_gives_its_cells_a_status(cls: Any, outcome: Any, tmp_path: Path) -> None:
    """Rows out of order or drawn at random are what a run cannot see, and why there is a kit."""
    here = os.getcwd()
    records = [{"id": word, "toy": word} for word in ("bell", "drum", "wonderful")]
    pipeline = Pipeline({"toy": cls()}, device="cpu")
    if isinstance(outcome, dict):
        assert pipeline.run(records, tmp_path / "out")[f"toy_{cls.__name__.lower()}"].statuses == outcome
    else:
        with pytest.raises(ContractError, match=outcome):
            pipeline.run(records, tmp_path / "out")
        assert not (tmp_path / "out" / "manifest.json").exists()
    assert os.getcwd() == here
    assert "LIARS_WERE_HERE" not in os.environ
