"""What a run finds around it changes no byte of the set: streams that fail, few open files, no home, a locale."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.crash.workload import COMPLETE, Ended, Workload, contents, differing


def closed(*descriptors: int) -> Callable[[], None]:
    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return close


def shell(line: str) -> tuple[str, ...]:
    return ("bash", "-c", line, "bash")


@dataclass(frozen=True)
class Case:
    """Options of the command, what it is started in, and the exit code that is right."""

    options: tuple[str, ...] = ()
    popen: Mapping[str, Any] = field(default_factory=dict)
    code: int = COMPLETE


NOWHERE = {"HOME": None, "TMPDIR": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"}
OTHER_LOCALE = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

CASES = {
    "RES-12 full stdout": Case(("--json",), {"stdout": "/dev/full"}, 5),
    "RES-12 full stderr": Case(("--json",), {"stderr": "/dev/full"}),
    "RES-12 all closed": Case((), {"preexec_fn": closed(0, 1, 2)}),
    "RES-12 head -1": Case(("--json",), {"before": shell('set -o pipefail; "$@" | head -1')}),
    "FS-12 few open files": Case((), {"before": shell('ulimit -n 64; exec "$@"')}),
    "FS-13 no home, a read-only working folder": Case((), {"env": NOWHERE, "cwd": "/proc"}),
    "FS-14 locale C": Case((), {"env": OTHER_LOCALE}),
    "RES-10 files are limited": Case(("--workers", "0"), {"before": shell('ulimit -f 7; exec "$@"')}, 5),
}


@pytest.fixture(scope="module")
def runs(workload: Workload, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[Path, Ended]]:
    def one(case: Case) -> tuple[Path, Ended]:
        out = tmp_path_factory.mktemp("case") / "set"
        with contextlib.ExitStack() as files:
            streams = {
                name: files.enter_context(open(path, "w"))
                for name, path in case.popen.items()
                if name in ("stdout", "stderr")
            }
            return out, workload.run(out, *case.options, **{**case.popen, **streams})

    with ThreadPoolExecutor(2) as threads:
        return dict(zip(CASES, threads.map(one, CASES.values()), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_it_ends_as_it_should_and_says_so(runs: Mapping[str, tuple[Path, Ended]], name: str) -> None:
    _, ended = runs[name]
    assert (ended.code, ended.orphans) == (CASES[name].code, ()), ended
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("RES-10")])
def test_the_set_is_the_same(runs: Mapping[str, tuple[Path, Ended]], workload: Workload, name: str) -> None:
    assert differing(contents(runs[name][0]), workload.reference) == []


def test_RES_10_what_was_too_large_is_named_and_the_run_goes_on_without_the_limit(
    runs: Mapping[str, tuple[Path, Ended]], workload: Workload
) -> None:
    out, ended = runs["RES-10 files are limited"]
    assert "File too large, after 7,168 bytes" in " ".join(ended.err.split())
    assert str(out) in "".join(ended.err.splitlines())
    assert workload.run(out, "--workers", "0").code == COMPLETE
    assert differing(contents(out), workload.reference) == []
