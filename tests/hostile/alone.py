"""Decode damaged files in a process of its own, so that a crash is seen as one and C libraries may grumble.

Reads ``{"modality", "contents": {name: base64}, "masks", "cuts"}`` as JSON from stdin, decodes every content as it
is, with every byte XOR every mask, and with ``cuts`` cut at every byte; writes a :class:`Found` per name. While it
does, an audit hook counts every file that is opened, every program started and every socket.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from embedders import BadInput, Decoded, Limits, Modality
from embedders.registry import registry

LIMITS = Limits(pixels=1_000_000, seconds=10.0)

FORBIDDEN = ("open", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "socket.")

FULL = os.environ.get("EMBED_SWEEP") == "full"
"""``EMBED_SWEEP=full`` flips every bit alone and cuts at every byte, too."""

MASKS = (0xFF, *(1 << bit for bit in range(8))) if FULL else (0xFF,)


@dataclass
class Found:
    """What became of one file's variants: how many in all, per status, and what must not have happened."""

    variants: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    codes: list[str] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds of processor time."""
    warned: list[str] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)
    """Files opened, programs started, sockets made."""


class Reckless(Modality):
    """What this folder is there to catch: a decoder that opens a file of its own, or kills its process."""

    def decode_content(self, content: bytes, limits: Limits) -> Decoded:
        if content == b"die":
            os.abort()
        with open(os.devnull) as file:
            return Decoded(file.read())


def decode_alone(
    modality: str, contents: Mapping[str, bytes], masks: Sequence[int] = (), cuts: bool = False
) -> dict[str, Found]:
    """Decode variants of the contents in another process; raises AssertionError if it does not end well."""
    asked = {
        "modality": modality,
        "contents": {name: base64.b64encode(content).decode() for name, content in contents.items()},
        "masks": list(masks),
        "cuts": cuts,
    }
    command = [sys.executable, "-X", "faulthandler", "-m", __name__]
    answer = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
    done = answer.stdout.splitlines()
    assert answer.returncode == 0, (
        f"ended with {answer.returncode} after {len(done)} files:\n{answer.stderr[-2000:]}"
    )
    return {name: Found(**json.loads(line)) for name, line in zip(contents, done, strict=True)}


def _variants(content: bytes, masks: Sequence[int], cuts: bool) -> Iterator[bytes]:
    yield content
    for position in range(len(content)):
        for mask in masks:
            yield content[:position] + bytes([content[position] ^ mask]) + content[position + 1 :]
        if cuts:
            yield content[:position]


def _decode(modality: Modality, content: bytes) -> tuple[str, str]:
    try:
        modality.decode(content, LIMITS)
    except BadInput as bad:
        return bad.status.value, bad.code
    return "ok", ""


def _main() -> None:
    asked: dict[str, Any] = json.loads(sys.stdin.read())
    modality = Reckless() if asked["modality"] == "reckless" else registry.modality(asked["modality"])
    contents = [base64.b64decode(content) for content in asked["contents"].values()]
    for content in contents:
        _decode(modality, content)  # imports open files
    found = Found()

    def watch(event: str, arguments: Any) -> None:
        if event.startswith(FORBIDDEN):
            found.touched.append(f"{event} {arguments!r}"[:200])

    def warn(message: Warning | str, *rest: object) -> None:
        found.warned.append(str(message))

    warnings.simplefilter("always")
    warnings.showwarning = warn
    sys.addaudithook(watch)
    for content in contents:
        found = Found()
        statuses: Counter[str] = Counter()
        codes: set[str] = set()
        for variant in _variants(content, asked["masks"], asked["cuts"]):
            began = time.process_time()
            status, code = _decode(modality, variant)
            found.slowest = max(found.slowest, time.process_time() - began)
            found.variants += 1
            statuses[status] += 1
            codes.add(code)
        found.statuses, found.codes = dict(statuses), sorted(codes)
        sys.stdout.write(json.dumps(asdict(found)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
