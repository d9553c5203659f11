"""A growth may be killed anywhere: the set stays what it was, or is what was asked for, and the command goes on."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import pytest

from embedders import RefusedError
from pipelines import VectorSet, pipeline
from pipelines.growth import growing
from pipelines.vectors import Storage, verify
from pipelines.vectors.lock import Lock
from tests.pipelines.growth.sets import records, run
from tests.toy import Letters, Unit

BEFORE = records(a="bell", b="!bad", c="wave")
AFTER = records(a="bell", aa="star", b="!bad", c="moved", d="wave")


class Killed(BaseException):
    """As SIGKILL: nothing more is done to the disk."""


class Dying(Storage):
    """Dies at one of its operations, and does none after that."""

    left: ClassVar[int] = 0

    @classmethod
    def step(cls) -> None:
        cls.left -= 1
        if cls.left < 0:
            raise Killed

    def take_lock(self, path: Path) -> Lock:
        self.step()
        return super().take_lock(path)

    def make_folder(self, path: Path) -> None:
        self.step()
        super().make_folder(path)

    def open_new(self, path: Path) -> BinaryIO:
        self.step()
        return super().open_new(path)

    def flush(self, file: BinaryIO) -> None:
        self.step()
        super().flush(file)

    def rename(self, old: Path, new: Path) -> None:
        self.step()
        super().rename(old, new)

    def link(self, old: Path, new: Path) -> None:
        self.step()
        super().link(old, new)

    def unlink(self, path: Path) -> None:
        self.step()
        super().unlink(path)

    def flush_folder(self, path: Path) -> None:
        self.step()
        super().flush_folder(path)


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Runs die at their n-th operation, of whatever kind."""

    def at(step: int) -> None:
        Dying.left = step

    monkeypatch.setattr(pipeline, "Storage", Dying)
    monkeypatch.setattr(growing, "Storage", Dying)
    return at


NEVER = 1 << 30

DRAWN = 14
"""Steps of a growth that are tried, of some sixty."""

GROWTHS: dict[str, tuple[list[dict[str, Any]], list[type[Letters]], dict[str, Any]]] = {
    "update": (AFTER, [Letters], {"grow": "update"}),
    "retry": (BEFORE, [Letters], {"grow": "retry_failed"}),
    "add": (BEFORE, [Letters, Unit], {}),
}


@pytest.mark.parametrize("kind", GROWTHS)
def test_PRO_03_killed_at_any_of_its_steps_the_same_command_ends_equal(
    where: Path, dying: Callable[[int], None], kind: str
) -> None:
    source, embedders, options = GROWTHS[kind]
    manifests = []
    for name, columns, words in (("old", [Letters], BEFORE), ("new", embedders, source)):
        dying(NEVER)
        run(words, where / name, *[column() for column in columns])
        manifests.append((where / name / "manifest.json").read_bytes())

    def grow(out: Path) -> None:
        run(source, out, *[column() for column in embedders], **options)

    def begin(out: Path, step: int) -> bool:
        dying(NEVER)
        run(BEFORE, out)
        dying(step)
        try:
            grow(out)
        except Killed:
            return True
        return False

    assert not begin(where / "all", NEVER)
    steps = NEVER - Dying.left
    assert steps > 50
    drawn = random.Random(kind).sample(range(steps), DRAWN)
    for step in sorted(drawn):
        out = where / f"v{step}"
        assert begin(out, step)
        if (out / "manifest.json").exists():
            assert VectorSet.open(out).storage.read_bytes("manifest.json") in manifests
        else:
            with pytest.raises(RefusedError, match="has not finished"):
                VectorSet.open(out)
        assert not [finding for finding in verify(out) if finding.kind == "damaged"]
        dying(step // 2)  # and again, on the way back
        with contextlib.suppress(Killed):
            grow(out)
        dying(NEVER)
        grow(out)
        assert (out / "manifest.json").read_bytes() == manifests[1]
        assert verify(out) == []
        assert sorted(path.name for path in out.iterdir()) == ["commits", "data", "manifest.json", "run.json"]


def test_the_old_command_finishes_what_was_complete(where: Path, dying: Callable[[int], None]) -> None:
    out = where / "out"
    dying(NEVER)
    run(BEFORE, out)
    dying(NEVER)
    run(AFTER, where / "other", grow="update")
    (where / "other").rename(out / "next")
    with pytest.raises(RefusedError, match="--update"):  # it is the set of another source now, and said to be
        run(BEFORE, out)
    assert len(VectorSet.open(out)) == len(AFTER)


def test_PRO_12_a_growth_keeps_others_out(where: Path) -> None:
    out = where / "out"
    run(BEFORE, out)
    met: list[str] = []

    class Meeting(Unit):
        def collate(self, samples: Any) -> Any:
            with pytest.raises(RefusedError) as refused:
                run(AFTER, out, grow="update")
            met.append(str(refused.value))
            return super().collate(samples)

    Meeting.__qualname__ = "Meeting"
    run(BEFORE, out, Meeting())
    assert met
    assert all("A run is writing" in said for said in met)
    assert list(VectorSet.open(out)) == ["word_letters", "word_meeting"]
