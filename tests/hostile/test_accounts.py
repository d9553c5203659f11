"""Every case of the whole catalogue is accounted for: by a test of its name, one of another name, or a reason.

The tables of single inputs are held to more in ``test_catalogue``; here are all of them, those of machines too.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

TABLES = {
    "IMG": 40,
    "AUD": 22,
    "TXT": 12,
    "REC": 26,
    "TAR": 14,
    "FS": 15,
    "NUM": 20,
    "RES": 19,
    "PRO": 20,
    "NET": 14,
    "SEC": 15,
    "SNK": 9,
    "RAY": 5,
}
"""Cases per table."""

RECORDS = "pipelines/records"
UNDER_ANOTHER_NAME = {
    "REC-01": (f"{RECORDS}/test_plan.py", "test_a_table_of_a_header_alone_holds_no_records"),
    "REC-02": (f"{RECORDS}/test_plan.py", "test_no_more_than_ten_duplicates_are_named"),
    "REC-03": (f"{RECORDS}/test_table.py", "test_ids_are_distinct_texts"),
    "REC-04": (f"{RECORDS}/test_jsonl.py", "test_a_missing_id_is_refused_by_line"),
    "REC-05": (f"{RECORDS}/test_delimited.py", "test_a_repeated_column_is_refused"),
    "REC-06": (f"{RECORDS}/test_delimited.py", "test_a_ragged_row_keeps_its_place_and_id"),
    "REC-08": (f"{RECORDS}/test_delimited.py", "test_quotes_and_line_ends_are_read_as_the_csv_module_reads_them"),
    "REC-11": (f"{RECORDS}/test_jsonl.py", "test_a_broken_line_costs_only_itself"),
    "REC-12": (f"{RECORDS}/test_jsonl.py", "test_a_giant_line_is_not_held_in_memory"),
    "REC-13": (f"{RECORDS}/test_jsonl.py", "test_values_keep_their_type"),
    "REC-16": (f"{RECORDS}/test_parquet.py", "test_a_cut_file_is_refused_at_every_length"),
    "REC-17": (f"{RECORDS}/test_parquet.py", "test_a_flipped_byte_is_refused_or_harmless"),
    "REC-22": ("pipelines/vectors/test_commit.py", "test_two_things_of_one_name_are_refused"),
    "REC-24": (f"{RECORDS}/test_plan.py", "test_reading_holds_one_part_at_a_time"),
    "PRO-01": ("pipelines/vectors/test_crashes.py", "test_RES_07_RES_08_RES_09_any_operation_may_fail"),
    "NET-01": ("embedders/test_weights.py", "test_what_is_not_in_the_cache_ends_with_the_way_out"),
    "NET-02": (
        "embedders/test_weights.py",
        "test_a_download_that_was_cut_off_is_completed_and_never_taken_for_whole",
    ),
    "SNK-05": ("pipelines/uses/test_search.py", "test_rows_that_are_not_ok_are_never_found_however_large_k"),
}
"""Case: the file that tests it, and the test's name."""

ENDPOINT = "there is no embedder behind a service's endpoint"
SINK = "nothing is indexed or sent elsewhere: search reads the set itself"
RAY = "parts are embedded on one machine"
NOT_HERE = {
    "REC-09": "nothing is exported as CSV",
    "REC-20": "a source is one table; several files are never read as one",
    "REC-23": "fields that are not embedded are not carried into the set",
    "RES-15": "nothing lies in /dev/shm: what a worker shares with its parent is a file without a name",
    "PRO-19": "a worker is a program of its own, started by its path; nothing forks",
    **dict.fromkeys(["NET-03", "NET-04", "NET-05", "NET-07", "NET-08", "NET-12", "NET-13"], ENDPOINT),
    **dict.fromkeys(["SNK-01", "SNK-02", "SNK-03", "SNK-04", "SNK-06", "SNK-07", "SNK-08", "SNK-09"], SINK),
    **dict.fromkeys(["RAY-01", "RAY-02", "RAY-03", "RAY-04", "RAY-05"], RAY),
}
"""Case: why nothing can go wrong that way."""


def named() -> set[str]:
    """Cases that stand in the name of a test, in the id of a parameter, or in a module's own words."""
    case = re.compile(rf"(?<![A-Za-z])({'|'.join(TABLES)})[-_](\d\d)(?!\d)", re.IGNORECASE)
    texts = [path.read_text() for path in TESTS.rglob("*.py") if path != Path(__file__)]
    return {f"{table.upper()}-{number}" for text in texts for table, number in case.findall(text)}


@pytest.mark.parametrize("table", TABLES)
def test_every_case_has_an_account(table: str) -> None:
    accounts = named() | UNDER_ANOTHER_NAME.keys() | NOT_HERE.keys()
    missing = {f"{table}-{number:02d}" for number in range(1, TABLES[table] + 1)} - accounts
    assert not missing


def test_no_case_is_excused_that_is_tested() -> None:
    assert not NOT_HERE.keys() & (named() | UNDER_ANOTHER_NAME.keys())


@pytest.mark.parametrize("case", UNDER_ANOTHER_NAME)
def test_the_test_of_another_name_exists(case: str) -> None:
    file, name = UNDER_ANOTHER_NAME[case]
    tree = ast.parse((TESTS / file).read_text())
    tests = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert name in tests
