"""Outcomes as Markdown: what a person needs to judge a figure stands beside it, within 80 columns."""

from __future__ import annotations

import numpy as np

from pipelines.uses.evaluation import Figure, Outcome, as_markdown, retrieval


def test_a_section_says_what_was_compared_and_with_how_many_rows() -> None:
    outcome = Outcome(
        "retrieval",
        (Figure("hit_rate@1", 0.5, 0.01, 0.25, 0.75), Figure("tie_rate", 0.0, None, 0.0, 0.0)),
        n=1000,
        against=1200,
        left_out={"not ok in photo_clip (queries)": 3},
        notes=("k = 10 is left out",),
        seed=7,
        columns=("photo_clip", "caption_clip"),
        fingerprints=("0123456789ab", "ba9876543210"),
    )
    assert as_markdown([outcome]) == (
        "### retrieval: photo_clip -> caption_clip\n"
        "\n"
        "1,000 queries, 1,200 gallery, seed 7, fingerprints 0123456789ab ba9876543210\n"
        "\n"
        "| metric     |  value |    95 % interval | chance |\n"
        "| :--------- | -----: | ---------------: | -----: |\n"
        "| hit_rate@1 | 0.5000 | 0.2500 to 0.7500 | 0.0100 |\n"
        "| tie_rate   | 0.0000 | 0.0000 to 0.0000 |        |\n"
        "\n"
        "- left out: 3 not ok in photo_clip (queries)\n"
        "- k = 10 is left out\n"
    )


def test_large_ranks_have_no_four_decimals() -> None:
    assert "| 1234.0 |" in as_markdown([Outcome("retrieval", (Figure("median_rank", 1234.0),), 5)])


def test_long_remarks_are_wrapped_to_80_columns() -> None:
    outcome = Outcome("probe", (Figure("accuracy", 0.5),), 10, 10, {"not in the labels": 4}, ("word " * 40,))
    assert max(map(len, as_markdown([outcome]).splitlines())) <= 80


def test_a_real_outcome_fits_80_columns() -> None:
    rng = np.random.default_rng(0)
    printed = as_markdown([retrieval(rng.random((12, 3)), rng.random((12, 3)))])
    assert max(map(len, printed.splitlines())) <= 80
