"""``embed new-plugin``: a package with an embedder of one's own, complete and passing its checks as it stands."""

from __future__ import annotations

import dataclasses
import importlib.util
import keyword
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import typer

from embedders import EmbedError, StorageError, UsageError
from embedders.registry import EMBEDDERS, MODALITIES, registry
from embedders.registry.entry import OURS
from pipelines.cli.escaped import escaped

__all__ = ["new_plugin_command"]

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "0.1.0"
description = "{modality}.{name} for {ours}."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["{ours}>={version}", "numpy"]
{doors}"""

DOOR = """
[project.entry-points."{group}"]
{name} = "{package}:{cls}"
"""

README = """\
# {distribution}

The embedder `{modality}.{name}` for {ours}: `embed info {modality}.{name}` describes it.
Install it with `uv pip install .`, then run `embed check {modality}.{name}`, or `pytest`.
Everything is in `{package}.py`; its names are in `pyproject.toml`.
"""

TEST = """\
from embedders.conformance import contract

TestContract = contract("{modality}.{name}")
"""

KNOWN = '''\
"""{modality}.{name}: plain figures of an input, to be replaced by what you are after."""

import numpy as np

from embedders import BaseEmbedder, EmbedderSpec, create


class {cls}(BaseEmbedder):
    """How many numbers an input has, their mean, deviation, least and greatest."""

    @property
    def spec(self):  # whoever changes what the vectors mean changes the space
        return EmbedderSpec("{modality}", space="{modality}.{name}/1", dim=5, normalized=False)

    def prepare(self, media):  # {media}; called from many threads
        numbers = {numbers}
        return np.array([numbers.size, numbers.mean(), numbers.std(), numbers.min(), numbers.max()])

    def collate(self, samples):
        return np.stack(samples)

    def load(self, runtime):  # weights are loaded here, onto runtime.device, and held by what is returned
        return lambda batch: batch

    def examples(self):  # at least three small inputs that differ
        return create("{borrowed}").examples()
'''

UNKNOWN = '''\
"""{modality}: files of numbers; {modality}.{name}: plain figures of them. Both to be replaced by your own."""

import numpy as np

from embedders import BadInput, BaseEmbedder, Decoded, EmbedderSpec, Modality, Status


class {modality_cls}(Modality):
    """Numbers in a text file, separated by white space."""

    name = "{modality}"
    suffixes = frozenset({{".{modality}"}})
    defaults = ("{modality}.{name}",)

    def decode_content(self, content, limits):  # whatever it raises makes the input a row with status `corrupt`
        numbers = np.array(content.split(), dtype=np.float64)
        if not numbers.size:
            raise BadInput(Status.EMPTY, "{code}_EMPTY", "no numbers")
        return Decoded(numbers)


class {cls}(BaseEmbedder):
    """How many numbers an input has, their mean, deviation, least and greatest."""

    @property
    def spec(self):  # whoever changes what the vectors mean changes the space
        return EmbedderSpec("{modality}", space="{modality}.{name}/1", dim=5, normalized=False)

    def prepare(self, media):  # what the modality decoded; called from many threads
        return np.array([media.size, media.mean(), media.std(), media.min(), media.max()])

    def collate(self, samples):
        return np.stack(samples)

    def load(self, runtime):  # weights are loaded here, onto runtime.device, and held by what is returned
        return lambda batch: batch

    def examples(self):  # at least three small inputs that differ
        return [b"1", b"1 2 3", b"5 4.5 -1e3 7"]
'''


def new_plugin_command(name: str, *, modality: str, out: Path | None) -> None:
    """Write the package of the embedder ``modality.name`` into a new folder and say what to do with it.

    Of a modality that is not installed, the package brings the decoder too. Raises UsageError for names that are
    none, taken or importable, and for a folder that is there.
    """
    files = _package(name, modality)
    folder = out or Path(f"{modality}_{name}")
    try:
        folder.mkdir(parents=True)
        for file, content in files.items():
            (folder / file).write_text(content, "utf-8")
    except FileExistsError as error:
        raise UsageError(f"{str(folder)!r} is there already", "Name a new folder with --out") from error
    except OSError as error:
        raise StorageError(f"{str(folder)!r} cannot be written: {error.strerror}") from error
    for file in files:
        typer.echo(escaped(str(folder / file)))
    for line in ("", "Next:", f"    uv pip install -e {folder}", f"    embed check {modality}.{name}"):
        typer.echo(escaped(line), err=True)


def _package(name: str, modality: str) -> Mapping[str, str]:
    """The files of a package, by name."""
    package = _checked(name, modality)
    words = {
        "modality": modality,
        "name": name,
        "package": package,
        "distribution": package.replace("_", "-"),
        "cls": _camel(name),
        "modality_cls": _camel(modality),
        "code": modality.upper(),
        "ours": OURS,
        "version": metadata.version(OURS),
    }
    doors = DOOR.format(**{**words, "group": EMBEDDERS, "name": f'"{modality}.{name}"'})
    if modality in registry.entries(MODALITIES):
        module = KNOWN.format(**words, **_media_of(modality))
    else:
        module = UNKNOWN.format(**words)
        doors = (
            DOOR.format(**{**words, "group": MODALITIES, "name": modality, "cls": words["modality_cls"]}) + doors
        )
    return {
        "pyproject.toml": PYPROJECT.format(**words, doors=doors),
        f"{package}.py": module,
        f"test_{package}.py": TEST.format(**words),
        "README.md": README.format(**words),
    }


def _checked(name: str, modality: str) -> str:
    """The package's name; raises UsageError where one of the names will not do."""
    for word in (name, modality):
        if not NAME.fullmatch(word) or keyword.iskeyword(_camel(word)):
            raise UsageError(f"{word!r} is no name", "Lower-case letters and digits, joined by _: 'mean_colour'")
    package, entries, suffixes = f"{modality}_{name}", registry.entries(), registry.suffixes()
    if f"{modality}.{name}" in entries:
        provider = entries[f"{modality}.{name}"].provider
        raise UsageError(f"{modality}.{name} is there already, from {provider}", "Choose another name")
    if modality not in registry.entries(MODALITIES) and f".{modality}" in suffixes:
        raise UsageError(
            f"There is no modality {modality!r}, and files in .{modality} belong to {suffixes[f'.{modality}']}",
            f"For an embedder of such files: --modality {suffixes[f'.{modality}']}",
        )
    if _camel(name) == _camel(modality):
        raise UsageError(f"{name!r} is the name of embedder and modality", "Name the embedder by what it measures")
    if importlib.util.find_spec(package) is not None:
        raise UsageError(f"There is a module {package!r} already", "Choose another name")
    return package


def _media_of(modality: str) -> dict[str, str]:
    """What the media of a modality are and how one gets at their numbers, learnt from an embedder's examples."""
    for borrowed in dict.fromkeys(
        (*registry.modality(modality).defaults, *(n for n in registry.entries() if n.startswith(f"{modality}.")))
    ):
        try:
            example = registry.create(borrowed).examples()[0]
            media = registry.modality(modality).decode(example).media
        except EmbedError:  # it needs options, or a library that is not there
            continue
        described, numbers = _described(media)
        return {"borrowed": borrowed, "media": described, "numbers": numbers}
    raise UsageError(
        f"The modality {modality!r} has no embedder that can be made here, and so no examples",
        "Install one, or choose another modality",
    )


def _described(media: Any) -> tuple[str, str]:
    if isinstance(media, str):
        return "a str", "np.frombuffer(media.encode(), np.uint8)"
    if isinstance(media, np.ndarray):
        return f"a numpy array of {media.dtype} with {media.ndim} dimensions", "media.astype(np.float64)"
    if dataclasses.is_dataclass(media):
        fields = [field.name for field in dataclasses.fields(media)]
        arrays = [name for name in fields if isinstance(getattr(media, name), np.ndarray)]
        if arrays:
            return f"a {type(media).__name__}: {', '.join(fields)}", f"media.{arrays[0]}.astype(np.float64)"
    return f"a {type(media).__name__}", "np.frombuffer(repr(media).encode(), np.uint8)"


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
