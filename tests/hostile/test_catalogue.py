"""Every case of the catalogue is tested here, or named here with whoever tests it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.hostile import (
    test_files,
    test_images,
    test_numbers,
    test_sounds,
    test_surroundings,
    test_sweeps,
    test_texts,
)

ROOT = Path(__file__).parents[2]

TABLES = {"IMG": 40, "AUD": 22, "TXT": 12, "FS": 15, "NUM": 20}
"""Cases per table."""

MODULES = (test_files, test_images, test_numbers, test_sounds, test_surroundings, test_sweeps, test_texts)

WORKERS = "tests/pipelines/engines"
HOSTILE = "tests/hostile"

ELSEWHERE = {
    "IMG-35": ("a decoder that dies takes its process with it", WORKERS),
    "IMG-36": ("only another process can stop an endless decoder", WORKERS),
    "IMG-37": ("memory is bounded for a whole process", WORKERS),
    "AUD-18": ("padding is the model's matter", "tests/embedders/models"),
    "TXT-05": ("the encoding of a table is judged before there are records", "tests/pipelines/records"),
    "FS-10": ("only another process can give up a read that hangs", WORKERS),
    "NUM-02": ("a run stops by the share of its failures", WORKERS),
    "NUM-14": ("what an embedder does to its process is undone between parts", WORKERS),
    "NUM-15": ("a leak shows over a long run", "tests/benchmarks/large_run.py"),
    "NUM-16": ("plugins", HOSTILE),
    "NUM-17": ("weights", HOSTILE),
    "NUM-18": ("weights", HOSTILE),
    "NUM-19": ("weights", HOSTILE),
    "NUM-20": ("devices are chosen by the command line", "tests/pipelines/cli/test_cli.py"),
}
"""Case: why it is not tested in these files, and where it is."""


def names(module: ModuleType) -> Iterator[str]:
    """Names of a module's tests and of their parameters."""
    for name, test in vars(module).items():
        if not name.startswith("test_"):
            continue
        yield name
        for mark in getattr(test, "pytestmark", []):
            ids, values = mark.kwargs.get("ids"), mark.args[1:2]
            for position, value in enumerate(values[0] if values else ()):
                given = getattr(value, "id", "")
                yield ids(value) if callable(ids) else ids[position] if ids else given


@pytest.mark.parametrize("table", TABLES)
def test_every_case_of_a_table_is_tested_or_named_with_its_place(table: str) -> None:
    found = {name for module in MODULES for name in names(module)}
    here = {f"{table}-{number}" for name in found for number in re.findall(rf"{table}[-_](\d\d)", name)}
    elsewhere = {case for case in ELSEWHERE if case.startswith(table)}
    assert here | elsewhere == {f"{table}-{number:02d}" for number in range(1, TABLES[table] + 1)}
    assert here.isdisjoint(elsewhere)


@pytest.mark.parametrize("case", ELSEWHERE)
def test_the_place_of_a_case_exists(case: str) -> None:
    reason, place = ELSEWHERE[case]
    assert reason
    assert (ROOT / place).exists()
