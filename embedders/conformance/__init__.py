"""The checks that every embedder must pass, for plugin authors as for the embedders in this package.

The test file of an installed plugin needs two lines::

    from embedders.conformance import contract

    TestSongs = contract("audio.songs", weights="random:0")

Or, with embedders made by hand, for one test per check::

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_contract(check):
        check(SongEmbedder(weights="random:0"))

A check returns what it found at worst, and raises ContractError, naming what it found and what the contract says.
Checks whose names begin with ``vectors`` load the weights. ``embed check NAME`` runs them all on the command line.

::

    before.py        without weights: facts, names, options, decoding, preparing
    after.py         with weights: the vectors, and what making them leaves behind
    elsewhere.py     another process, in which nothing has happened yet
    surroundings.py  what an embedder does to the process around it
"""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from embedders.base import BaseEmbedder
from embedders.conformance.after import (
    vectors_agree_in_half_precision,
    vectors_are_repeatable,
    vectors_are_the_same_in_another_process,
    vectors_differ_between_inputs,
    vectors_have_the_promised_shape,
    vectors_ignore_their_neighbours,
    vectors_keep_the_order,
    vectors_leave_no_traces,
    vectors_leave_the_embedder_small,
)
from embedders.conformance.before import (
    damaged_input_is_refused,
    importing_is_cheap,
    modality_is_sound,
    names_are_its_own,
    options_rebuild_the_embedder,
    prepare_holds_in_threads,
    prepare_is_a_pure_function,
    spec_is_sound,
)
from embedders.conformance.trial import TOLERANCE
from embedders.errors import BadInput, ContractError, EmbedError
from embedders.registry import registry

__all__ = ["CHECKS", "TOLERANCE", "Check", "Finding", "contract", "examine", "importing_is_cheap"]

Check: TypeAlias = Callable[[BaseEmbedder], str]

CHECKS: tuple[Check, ...] = (
    spec_is_sound,
    names_are_its_own,
    options_rebuild_the_embedder,
    importing_is_cheap,
    modality_is_sound,
    damaged_input_is_refused,
    prepare_is_a_pure_function,
    prepare_holds_in_threads,
    vectors_leave_no_traces,
    vectors_have_the_promised_shape,
    vectors_differ_between_inputs,
    vectors_are_repeatable,
    vectors_are_the_same_in_another_process,
    vectors_keep_the_order,
    vectors_ignore_their_neighbours,
    vectors_agree_in_half_precision,
    vectors_leave_the_embedder_small,
)
"""All checks: cheapest first, and what could disturb the others before them."""


@dataclass(frozen=True)
class Finding:
    """What one check came to: the worst figure it met, or why it failed."""

    check: str
    passed: bool
    words: str
    seconds: float


def examine(embedder: BaseEmbedder, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """Run the checks one by one, whatever an author's code raises.

    Only what says nothing of the embedder comes through: a SetupError for weights or a library that are not there,
    a UsageError for options that contradict each other.
    """
    for check in checks:
        began, passed = time.perf_counter(), False
        try:
            words, passed = check(embedder), True
        except (ContractError, BadInput) as error:
            words = str(error)
        except EmbedError:
            raise
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            words = f"{type(error).__name__}: {error} ({frame.filename}, line {frame.lineno})"
        yield Finding(check.__name__, passed, words, time.perf_counter() - began)


def contract(embedder: str | BaseEmbedder, **options: Any) -> type:
    """Tests of one embedder, one per check, as a class for pytest: assign it to a name that begins with ``Test``.

    A name is looked up when the tests run, so that they prove the installed entry point too.
    """

    @functools.cache
    def made() -> BaseEmbedder:
        return registry.create(embedder, **options) if isinstance(embedder, str) else embedder

    def method(check: Check) -> Callable[[Any], None]:
        def test(self: Any) -> None:
            check(made())

        test.__doc__ = check.__doc__
        return test

    return type("Contract", (), {f"test_{check.__name__}": method(check) for check in CHECKS})
