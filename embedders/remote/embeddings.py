"""Vectors of texts by OpenAI's protocol: what is asked, and whether the answer is one.

A service may leave out a text, give them in another order, write a vector badly or become another model in the
middle of a run. Rows go by the index they carry, and an answer with any doubt about it gives no vector at all.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from embedders.errors import BadInput, SetupError, Status
from embedders.remote.service import Service

__all__ = ["Embeddings", "Meter"]

NUMBER_BYTES, VECTOR_BYTES, ANSWER_BYTES = 32, 1024, 64 << 10
"""What an answer may take: per number written out, per vector and in all around them."""

BLAMED = ("URL_SECONDS", "URL_SHORT", "HTTP_408", "HTTP_409", "HTTP_5")
"""How the codes begin of failures by which a service that is down looks like one that breaks over an input."""


class Meter:
    """Adds up what a service was asked for, from any thread: answered requests, and tokens as it counts them."""

    def __init__(self) -> None:
        self.requests = self.tokens = 0
        self._lock = threading.Lock()

    def add(self, tokens: int) -> None:
        """Count an answered request."""
        with self._lock:
            self.requests += 1
            self.tokens += tokens


class Embeddings:
    """One model of a service, ``dim`` numbers per text; ``dimensions`` asks it to cut its vectors to as many."""

    def __init__(
        self, service: Service, model: str, dim: int, dimensions: int | None, encoding: str, meter: Meter
    ) -> None:
        self._service, self._model, self._dim, self._meter = service, model, dim, meter
        self._asked = {"model": model, "encoding_format": encoding}
        self._cut = {} if dimensions is None else {"dimensions": dimensions}
        self._answers_as: str | None = None

    def check(self) -> None:
        """Raise SetupError where the service cannot embed a single letter."""
        try:
            self._ask(["a"])
        except BadInput as problem:
            raise SetupError(
                f"{self._service.host} does not embed with {self._model!r}: {problem}",
                "Check the model and its options, or come back later: what is committed stays",
            ) from problem

    def of(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """``(n, dim)`` float32 in the order of the texts; a number that is not finite stays so.

        Raises BadInput where a smaller request could do better; SetupError where the service is down, or is not
        what it should be.
        """
        try:
            return self._ask(texts)
        except BadInput as problem:
            if problem.code.startswith(BLAMED):
                self.check()
            raise

    def _ask(self, texts: list[str]) -> npt.NDArray[np.float32]:
        longest = ANSWER_BYTES + len(texts) * (VECTOR_BYTES + NUMBER_BYTES * self._dim)
        answer = self._service.post("embeddings", {**self._asked, **self._cut, "input": texts}, longest)
        if not isinstance(answer, Mapping) or not isinstance(answer.get("data"), list):
            raise self._wrong("REMOTE_ANSWER", "no list of vectors")
        self._meter.add(_tokens(answer))
        self._same_model(self._service.quoted(str(answer.get("model"))))
        return self._rows(answer["data"], len(texts))

    def _same_model(self, name: str) -> None:
        if self._answers_as not in (None, name):
            raise SetupError(
                f"{self._service.host} changed its model in the middle, from {self._answers_as!r} to {name!r}",
                "Their vectors cannot be mixed: find out which one it is, and begin a set anew",
            )
        self._answers_as = name

    def _rows(self, found: list[Any], count: int) -> npt.NDArray[np.float32]:
        if len(found) != count:
            raise self._wrong("REMOTE_COUNT", f"{len(found)} vectors for {count} texts")
        rows: dict[int, npt.NDArray[np.float32]] = {}
        for one in found:
            index = one.get("index") if isinstance(one, Mapping) else None
            if type(index) is not int or index in rows or not 0 <= index < count:
                said = self._service.quoted(repr(index))
                raise self._wrong("REMOTE_INDEX", f"the index {said}, which is none of {count} or there twice")
            rows[index] = self._row(one.get("embedding"))
        return np.stack([rows[index] for index in range(count)])

    def _row(self, value: Any) -> npt.NDArray[np.float32]:
        row: npt.NDArray[np.floating[Any]]
        try:
            if isinstance(value, str):
                row = np.frombuffer(base64.b64decode(value, validate=True), "<f4")
            elif isinstance(value, list) and all(type(number) in (float, int) for number in value):
                row = np.array(value, np.float64)  # which of itself would also take strings for numbers
            else:
                raise self._wrong("REMOTE_VECTOR", "a vector that is no list of numbers")
        except OverflowError as error:
            raise self._wrong("REMOTE_VECTOR", "a number beyond all bounds") from error
        except (binascii.Error, ValueError) as error:
            raise self._wrong("REMOTE_BASE64", "a vector whose base64 is cut off or damaged") from error
        if len(row) != self._dim:
            raise SetupError(
                f"{self._service.host} gives {self._model!r} {len(row)} dimensions, not {self._dim}",
                "Say what the model has by dim, and ask for less by dimensions only where it can be cut",
            )
        with np.errstate(over="ignore"):  # beyond float32 becomes inf, which is reported as such
            return row.astype(np.float32)

    def _wrong(self, code: str, found: str) -> BadInput:
        return BadInput(Status.REMOTE_ERROR, code, f"the answer of {self._service.host} holds {found}")


def _tokens(answer: Mapping[str, Any]) -> int:
    usage = answer.get("usage")
    found = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    return found if type(found) is int and found > 0 else 0
