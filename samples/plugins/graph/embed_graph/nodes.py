"""Nodes by name, and the embedder that learns them from the edges between them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from embed_graph.walks import Graph, read_graph
from embedders import (
    BadInput,
    BaseEmbedder,
    Decoded,
    EmbedderSpec,
    Limits,
    Modality,
    Runtime,
    SetupError,
    Status,
    UsageError,
)
from embedders.base import Forward, Vectors
from embedders.runtime.machine import cache_folder
from embedders.weights import sha256_file

__all__ = ["Node", "Node2Vec"]

METHOD = 1
"""Raised where walks or training change: spaces of another number are other spaces."""


class Node(Modality):
    """Nodes by their names: a ``str``, or a ``.node`` file with one in it. White space around it does not count."""

    name: ClassVar[str] = "node"
    suffixes: ClassVar[frozenset[str]] = frozenset({".node"})
    inline: ClassVar[bool] = True

    def decode_content(self, content: bytes, limits: Limits) -> Decoded:
        """Decode a file with one name."""
        try:
            return self.accept(content.decode("utf-8-sig"), limits)
        except UnicodeDecodeError as error:
            raise BadInput(Status.INVALID, "NODE_ENCODING", f"it is not UTF-8 ({error.reason})") from error

    def accept(self, media: Any, limits: Limits) -> Decoded:
        """Check a name."""
        if not isinstance(media, str):
            raise BadInput(Status.INVALID, "NODE_TYPE", f"{type(media).__name__} is no name of a node")
        if not media.strip():
            raise BadInput(Status.EMPTY, "NODE_EMPTY", "there is no name")
        if len(media) > limits.characters:
            raise BadInput(Status.LIMIT, "NODE_CHARACTERS", f"{len(media)} characters; {limits.characters} at most")
        return Decoded(media.strip())


class Node2Vec(BaseEmbedder):
    """Nodes that walks meet together get vectors that point the same way: node2vec over the graph in ``edges``.

    ``edges`` is a ``.tsv`` or ``.csv`` table or a ``.graphml`` file, see :func:`~embed_graph.walks.read_graph`.
    From every node start ``number`` walks of ``length`` nodes; a small ``p`` turns back often, a small ``q`` leads
    away. ``window`` is how far apart two nodes of a walk may stand to count as met. The defaults are the paper's.

    Trained when it is loaded and kept in the cache folder; the same edges, options and versions give the same
    vectors. A node that has no edge is ``invalid`` (``NODE_UNKNOWN``). Vectors of two trainings cannot be compared,
    though they be of one graph: the space holds the hash of edges and options.
    """

    libraries: ClassVar[tuple[str, ...]] = ("gensim", "numpy")
    batch_cost: ClassVar[int] = 4096

    def __init__(
        self,
        *,
        edges: str | Path = "",
        dim: int = 128,
        p: float = 1.0,
        q: float = 1.0,
        length: int = 80,
        number: int = 10,
        window: int = 10,
        epochs: int = 1,
        seed: int = 0,
    ) -> None:
        if not str(edges):
            raise UsageError("Node2Vec needs the edges", "Name their file: node.node2vec(edges=FILE)")
        for name, value in (("p", p), ("q", q), ("dim", dim), ("length", length), ("number", number)):
            if not value > 0:
                raise UsageError(f"{name} is {value!r}; it must be above 0")
        self.edges = Path(edges).expanduser()
        self._lock = threading.Lock()

    @property
    def spec(self) -> EmbedderSpec:
        """The space is the graph with the whole recipe; vectors are of any length, and compared by their angle."""
        recipe = {name: value for name, value in self.options.items() if name != "edges"}
        said = json.dumps([METHOD, recipe, self.weights_identity], sort_keys=True)
        space = f"node2vec/{hashlib.sha256(said.encode()).hexdigest()[:16]}"
        return EmbedderSpec("node", space, int(self.options["dim"]), False, {"method": METHOD, **recipe})

    @property
    def weights_identity(self) -> Mapping[str, Any]:
        """The SHA-256 of the edges, from which all else follows."""
        if not self.edges.is_file():
            raise SetupError(f"There is no file {str(self.edges)!r}", "Give the file of the edges: edges=FILE")
        return {"edges_sha256": sha256_file(self.edges)}

    @functools.cached_property
    def _graph(self) -> Graph:
        return read_graph(self.edges)

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self._graph.neighbours)}

    def _known(self) -> dict[str, int]:
        """Every node with its row; the file is read once, whoever asks first."""
        with self._lock:
            return self._places

    def prepare(self, media: str) -> int:
        """The node's place in the graph; raises BadInput where it has none."""
        places = self._known()
        if media not in places:
            message = f"{media!r} is none of the {len(places):,} nodes in {self.edges.name!r}"
            raise BadInput(Status.INVALID, "NODE_UNKNOWN", message)
        return places[media]

    def collate(self, samples: Sequence[int]) -> npt.NDArray[np.int64]:
        """Places, ``(n,)`` int64."""
        return np.array(samples, np.int64)

    def load(self, runtime: Runtime) -> Forward:
        """Look the vectors up, in the cache or in what training leaves; on the CPU whatever the device."""
        versions = json.dumps(self.identity["versions"], sort_keys=True).encode()
        name = f"{self.spec.space.rpartition('/')[2]}-{hashlib.sha256(versions).hexdigest()[:8]}.npy"
        file = cache_folder() / "node2vec" / name
        try:
            table = np.load(file)
        except (OSError, ValueError, EOFError):
            table = self._trained()
            with contextlib.suppress(OSError):  # what cannot be kept is trained again
                file.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as made:
                    np.save(made, table)
                os.replace(made.name, file)  # whole or not at all, whoever trains beside us
        return lambda places: table[places]

    def examples(self) -> list[str]:
        """The first, the middle and the last node of the file."""
        names = list(self._known())
        return [names[0], names[len(names) // 2], names[-1]]

    def _trained(self) -> Vectors:
        from gensim.models import Word2Vec

        asked, names = self.options, list(self._known())
        walks = self._graph.walks(**{name: asked[name] for name in ("p", "q", "length", "number", "seed")})
        # no word is too rare or too frequent here; more than one worker would end in another order each time
        model = Word2Vec(
            list(walks),
            vector_size=asked["dim"],
            window=asked["window"],
            epochs=asked["epochs"],
            seed=asked["seed"],
            sg=1,
            negative=5,
            min_count=0,
            sample=0,
            workers=1,
        )
        return np.stack([model.wv[name] for name in names])
