"""A made-up world as pictures, captions and sounds: for training the small starter, for samples and for tests.

::

    (split, number, seed) ──▶ Scene ──┬──▶ picture   names nothing, shows everything
                                      ├──▶ caption   names every attribute of every group
                                      └──▶ sound     tells shape, size, count and order; colour is silent

Everything is a pure function of its arguments and :data:`VERSION`: the same example on every machine, nothing to
download, nothing to store. A scene belongs to one split by what it holds, so that no scene of a test split was
trained on. Only numpy and Pillow are used::

    for example in examples("train", 3):
        example.picture, example.caption, example.sound
"""

from pipelines.training.scenes.captions import words
from pipelines.training.scenes.ceiling import ceiling
from pipelines.training.scenes.example import Example, example, examples
from pipelines.training.scenes.pictures import SIDE
from pipelines.training.scenes.probe import swapped
from pipelines.training.scenes.sounds import RATE, SAMPLES
from pipelines.training.scenes.splits import SPLITS, scene
from pipelines.training.scenes.world import VERSION, Group, Scene

__all__ = [
    "RATE",
    "SAMPLES",
    "SIDE",
    "SPLITS",
    "VERSION",
    "Example",
    "Group",
    "Scene",
    "ceiling",
    "example",
    "examples",
    "scene",
    "swapped",
    "words",
]
