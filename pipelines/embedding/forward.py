"""One column's forward: a batch that fails is made smaller until what is left of it is one bad input."""

from __future__ import annotations

import gc
import sys
import threading
from dataclasses import dataclass
from typing import Any

from embedders import BadInput, ContractError, EmbedError, Runtime, Status
from embedders.base import Vectors, check_rows, row_failures
from embedders.modality import PROGRAMMING_ERRORS
from pipelines.embedding.columns import Column
from pipelines.embedding.failing import DeviceLost, is_device_lost, is_out_of_memory, said

__all__ = ["ColumnForward", "Row"]

TRY_AGAIN_AFTER = 64
"""Batches after which the full size is tried again: what filled the device may have been another program."""


@dataclass(frozen=True)
class Row:
    """What became of one sample: its vector or the reason why there is none, and what had to be done."""

    found: Any
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Failure:
    """A failed batch as plain values: an exception would keep the batch's tensors alive."""

    problem: BadInput
    memory: bool


class ColumnForward:
    """Embeds batches of one column on one device, and remembers how much of a batch fits.

    What fits is remembered as padded cost, samples times the dearest of them, since that is what batches are cut
    by: four long sounds that do not fit say nothing against forty short ones.
    """

    def __init__(self, column: Column) -> None:
        self.column = column
        self.runtime = column.runtime
        self.notes: list[str] = []
        self._lanes = threading.Semaphore(column.runtime.lanes)
        self._room: int | None = None
        self._since = 0

    def __call__(self, samples: list[Any], dearest: int) -> list[Row]:
        """A row per sample, in order; ``dearest`` is the highest cost among them. From any thread.

        Raises ContractError for a broken embedder, and DeviceLost where the process cannot go on.
        """
        if self._room is not None:
            self._since += 1
            if self._since > TRY_AGAIN_AFTER:
                self._room = None
        with self._lanes, self.runtime.lane():
            return self._in_pieces(samples, max(1, dearest))

    def _in_pieces(self, samples: list[Any], dearest: int) -> list[Row]:
        rows: list[Row] = []
        while len(rows) < len(samples):  # the room may shrink from piece to piece
            fitting = len(samples) if self._room is None else max(1, self._room // dearest)
            rows += self._piece(samples[len(rows) : len(rows) + fitting], dearest)
        return rows

    def _piece(self, samples: list[Any], dearest: int) -> list[Row]:
        found = _attempt(self.column, self.runtime, samples)
        if not isinstance(found, _Failure):
            return self._checked(samples, found)
        if len(samples) == 1:
            return [Row(found.problem)]
        half = len(samples) // 2
        if found.memory:
            _free(self.runtime)
            self.notes.append(f"{self.column.name}: {len(samples)} inputs at once did not fit into memory")
            self._room, self._since = half * dearest, 0
        return self._in_pieces(samples[:half], dearest) + self._in_pieces(samples[half:], dearest)

    def _checked(self, samples: list[Any], vectors: Vectors) -> list[Row]:
        failures = row_failures(vectors, self.column.spec)
        rows = [Row(failures.get(position, vector)) for position, vector in enumerate(vectors)]
        if self.runtime.precision != "fp32":
            for position in failures:
                rows[position] = self._in_full_precision(samples[position], failures[position])
        return rows

    def _in_full_precision(self, sample: Any, problem: BadInput) -> Row:
        flags = ("recomputed_fp32",)
        found = _attempt(self.column, Runtime(self.runtime.device, "fp32"), [sample])
        if isinstance(found, _Failure):
            _free(self.runtime)
            return Row(problem, flags)
        again = row_failures(found, self.column.spec).get(0)
        if again is None:
            return Row(found[0], flags)
        return Row(BadInput(again.status, again.code, f"{again}, in {self.runtime.precision} and in fp32"), flags)


def _attempt(column: Column, runtime: Runtime, samples: list[Any]) -> Vectors | _Failure:
    embedder = column.embedder
    try:
        return check_rows(embedder.forward(runtime)(embedder.collate(samples)), len(samples), column.spec)
    except BadInput as problem:
        return _Failure(BadInput(problem.status, problem.code, str(problem)), memory=False)
    except (EmbedError, KeyboardInterrupt):
        raise
    except PROGRAMMING_ERRORS as error:
        raise ContractError(f"{column.reference} failed: {said(error)}") from error
    except BaseException as error:  # plugins raise SystemExit, and libraries in Rust have panics of their own
        if is_device_lost(error):
            raise DeviceLost(
                f"The device {runtime.device!r} failed in {column.reference}: {said(error)}",
                "What is committed stays; start again, on another device if it comes back",
            ) from error
        if is_out_of_memory(error):
            message = f"one input alone needs more memory than {runtime.device} has"
            return _Failure(BadInput(Status.LIMIT, "OOM", message), memory=True)
        return _Failure(BadInput(Status.MODEL_ERROR, "FORWARD", said(error)), memory=False)


def _free(runtime: Runtime) -> None:
    """Give back what the failed attempt held, before anything else is tried."""
    gc.collect()
    torch = sys.modules.get("torch")
    backend = getattr(torch, runtime.device.split(":")[0], None)
    if backend is not None and hasattr(backend, "empty_cache"):
        backend.empty_cache()
