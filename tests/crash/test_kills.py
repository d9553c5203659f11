"""Kills at moments drawn from a seed, one after the other on the same folder, and whether their harness sees."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crash.kills import Outcome, drawn, experiment
from tests.crash.workload import Workload

SEED, EXPERIMENTS, STRIKES = 1, 4, 3

SECONDS = 0.1
"""Longest delay: about what the parts take, once the first is begun."""


def test_PRO_03_PRO_04_a_dozen_kills_change_nothing(workload: Workload, tmp_path: Path) -> None:
    def one(number: int) -> Outcome:
        strikes = [drawn(SEED, STRIKES * number + more, SECONDS)[0] for more in range(STRIKES)]
        return experiment(workload, tmp_path / str(number), strikes)

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(one, range(EXPERIMENTS)))
    assert [outcome.wrong for outcome in found] == [[]] * EXPERIMENTS
    assert sum(len(outcome.landed) for outcome in found) >= EXPERIMENTS * STRIKES // 2


def test_victims_kinds_and_moments_are_drawn_as_said() -> None:
    experiments = [drawn(0, number, 2.0) for number in range(3000)]
    strikes = [strike for one in experiments for strike in one]
    victims, kinds = (Counter(getattr(strike, name) for strike in strikes) for name in ("victim", "kind"))
    assert victims["main"] / len(strikes) == pytest.approx(0.5, abs=0.03)
    assert victims["worker"] / len(strikes) == pytest.approx(0.3, abs=0.03)
    assert kinds["term"] / len(strikes) == pytest.approx(0.1, abs=0.02)
    assert kinds["stop"] / len(strikes) == pytest.approx(0.05, abs=0.02)
    assert sum(len(one) > 1 for one in experiments) / len(experiments) == pytest.approx(0.2, abs=0.03)
    delays = [strike.delay for strike in strikes]
    assert 0.001 <= min(delays) < max(delays) <= 2.0
    assert statistics.median(delays) == pytest.approx(math.sqrt(0.001 * 2.0), rel=0.1)


FINDS = {
    "untidy": "does not belong there",
    "forgetful": "data/part-000000.parquet differs",
    "eager": "readers take it for complete: data/part-000003.parquet is missing",
    "restless": "data/part-000002.parquet was touched",
}


@pytest.fixture(scope="module")
def found(workload: Workload, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Outcome]:
    def one(mutant: str) -> Outcome:
        return experiment(workload.broken(mutant), tmp_path_factory.mktemp(mutant) / "set", [])

    with ThreadPoolExecutor(2) as threads:
        return dict(zip(FINDS, threads.map(one, FINDS), strict=True))


@pytest.mark.parametrize("mutant", FINDS)
def test_the_harness_finds_a_run_that_is(found: Mapping[str, Outcome], mutant: str) -> None:
    assert any(FINDS[mutant] in wrong for wrong in found[mutant].wrong), found[mutant].wrong


def test_the_harness_counts_rows(found: Mapping[str, Outcome]) -> None:
    assert {name: outcome.rows for name, outcome in found.items() if any(outcome.rows)} == {"forgetful": (8, 8, 8)}
