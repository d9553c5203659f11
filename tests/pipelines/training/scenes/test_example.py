"""Examples: the same bytes whenever, wherever and in whatever order they are made."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from embedders import UsageError
from pipelines.training.scenes import SPLITS, VERSION, Example, example, examples
from tests.pipelines.training.scenes.made import heard, read

# to change a picture, caption or sound, raise VERSION and record the new value here
GOLDEN = {1: "a772030f0745dbf16696a5f75152d931b45c5e497db662fb84ce0cc50c19fcd1"}

CODE = """
from tests.pipelines.training.scenes.test_example import digest
from pipelines.training.scenes import example
print(digest(example("train", 17, 3)))
"""


def digest(found: Example) -> str:
    content = found.picture.tobytes() + found.caption.encode() + found.sound.astype("<f4").tobytes()
    return hashlib.sha256(content).hexdigest()


def test_a_version_stands_for_its_bytes() -> None:
    assert digest(example("train", 17, 3)) == GOLDEN[VERSION]


def test_another_process_makes_the_same_bytes() -> None:
    # other hash seed, other vector instructions
    environment = {"PYTHONHASHSEED": "7", "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4"}
    found = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=environment
    )
    assert found.stdout.strip() == digest(example("train", 17, 3))


@pytest.mark.parametrize("split", SPLITS)
def test_iterating_makes_what_each_number_makes(split: str) -> None:
    made = list(examples(split, 3, seed=2))
    assert [digest(one) for one in made] == [digest(example(split, i, 2)) for i in range(3)]
    assert [one.id for one in made] == [f"{split}-2-{i:06d}" for i in range(3)]


def test_no_two_examples_share_a_picture_or_a_sound() -> None:
    made = [one for split in SPLITS for seed in (0, 1) for one in examples(split, 20, seed)]
    assert len({one.picture.tobytes() for one in made}) == len(made)
    assert len({one.sound.tobytes() for one in made}) == len(made)
    assert len({one.id for one in made}) == len(made)


def test_an_example_renders_its_own_scene() -> None:
    one = example("iid", 0)
    assert read(one.caption).graph() == one.scene.graph()
    assert len(heard(one.sound)) == sum(group.count for group in one.scene.groups)


def test_an_unknown_split_is_refused_at_the_first_example() -> None:
    with pytest.raises(UsageError, match="no split 'test'"):
        next(examples("test", 1))
