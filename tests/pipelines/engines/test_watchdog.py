"""Who is late, by a clock that the test turns."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from pipelines.embedding.part import Stage
from pipelines.engines import Settings
from pipelines.engines.ledger import Ledger
from pipelines.engines.watchdog import START_SECONDS, Verdict, Watchdog

ROWS = 10


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    made = Ledger()
    yield made
    made.close()


def watch(ledger: Ledger, seconds: float, *, step: float = 1.0, beating: bool = True) -> Verdict | None:
    """Look every ``step`` seconds for so long."""
    settings = Settings(silence_seconds=30, record_seconds=120, forward_seconds=300)
    dog, now = Watchdog(ledger, settings, ROWS, 0.0), 0.0
    while now < seconds:
        now += step
        if beating:
            ledger.beat()
        verdict = dog.look(now)
        if verdict is not None:
            return verdict
    return None


def test_a_worker_that_gives_signs_of_life_may_take_its_time(ledger: Ledger) -> None:
    assert watch(ledger, 10_000) is None


def test_pro_07_silence_is_death(ledger: Ledger) -> None:
    ledger.beat()
    assert watch(ledger, 30, beating=False) is None
    assert watch(ledger, 32, beating=False) == Verdict("no sign of life for 30 s")


def test_an_interpreter_may_take_longer_to_its_first_sign(ledger: Ledger) -> None:
    assert watch(ledger, START_SECONDS, beating=False) is None
    assert watch(ledger, START_SECONDS + 2, beating=False) is not None


@pytest.mark.parametrize("gap", [60.0, 3600.0, 1e6])
def test_pro_17_a_machine_that_slept_has_made_nobody_late(ledger: Ledger, gap: float) -> None:
    ledger.beat()
    ledger.mark([3], Stage.OPENING)
    dog = Watchdog(ledger, Settings(silence_seconds=30), ROWS, 0.0)
    for now in (1.0, 2.0, 2.0 + gap, 3.0 + gap):
        assert dog.look(now) is None


def test_fs_10_a_record_is_opened_for_so_long_and_no_longer(ledger: Ledger) -> None:
    ledger.mark([3], Stage.OPENING)
    assert watch(ledger, 120) is None
    found = watch(ledger, 125)
    assert found == Verdict("opening a record took longer than 120 s", {3: Stage.OPENING})


def test_only_the_late_one_is_named(ledger: Ledger) -> None:
    settings = Settings(record_seconds=2)
    ledger.mark([3], Stage.OPENING)
    dog = Watchdog(ledger, settings, ROWS, 0.0)
    for look in range(1, 10):
        ledger.beat()
        assert dog.look(look / 4) is None
    ledger.mark([4], Stage.OPENING)
    ledger.beat()
    found = dog.look(2.5)
    assert found is not None
    assert found.overdue == {3: Stage.OPENING}


def test_a_forward_has_a_bound_of_its_own(ledger: Ledger) -> None:
    ledger.mark([1, 2], Stage.FORWARD)
    assert watch(ledger, 300) is None
    found = watch(ledger, 310)
    assert found is not None
    assert set(found.overdue) == {1, 2}


def test_the_ledger_is_shared_by_descriptor_and_forgets_rows_that_rest(ledger: Ledger) -> None:
    ledger.mark([0, 7], Stage.FORWARD)
    ledger.mark([7], Stage.RESTING)
    ledger.mark([ledger.ROWS + 5], Stage.OPENING)  # beyond what it can tell apart
    assert ledger.busy(ROWS) == {0: Stage.FORWARD}
    ledger.clear(ROWS)
    assert ledger.busy(ROWS) == {}


def test_the_pulse_is_zero_before_the_first_sign_and_never_after(ledger: Ledger) -> None:
    assert ledger.pulse == 0
    seen = []
    for _ in range(600):
        ledger.beat()
        seen.append(ledger.pulse)
    assert 0 not in seen
    assert all(a != b for a, b in pairwise(seen))
