"""A loopback service that gives the vectors of :class:`tests.toy.Letters` by OpenAI's protocol, well or badly.

``/v1`` is as it should be. ``/fault/<name>/v1`` goes wrong in one way as soon as a text begins with ``!``, so that
a single harmless text is always answered.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse

from tests.toy import Letters

__all__ = ["LocalService", "served", "vectors_of"]

Answer = dict[str, Any]


class LocalService:
    """Where it is, and what it was asked."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/v1"
        self.asked: list[Answer] = []
        self.headers: list[dict[str, str]] = []

    def fault(self, name: str) -> str:
        """The base URL at which it goes wrong so."""
        return f"{self.root}/fault/{name}/v1"

    @property
    def inputs(self) -> list[list[str]]:
        """The texts of all requests so far."""
        return [asked["input"] for asked in self.asked]


def vectors_of(texts: list[str]) -> Any:
    """What an honest answer holds."""
    return np.array([Letters()._vector(text) for text in texts], np.float32)


@contextlib.contextmanager
def served() -> Iterator[LocalService]:
    """The service, in a thread of its own."""
    listening = socket.create_server(("127.0.0.1", 0))  # whoever connects before it runs waits in the queue
    service = LocalService(listening.getsockname()[1])
    config = uvicorn.Config(_app(service), log_config=None, lifespan="off", http="h11", ws="none", loop="asyncio")
    server = uvicorn.Server(config)
    running = threading.Thread(target=server.run, args=([listening],), daemon=True)
    running.start()
    try:
        yield service
    finally:
        server.should_exit = server.force_exit = True
        running.join()
        listening.close()


def _app(service: LocalService) -> FastAPI:
    app = FastAPI()

    async def embeddings(request: Request, name: str = "") -> Response:
        asked = await request.json()
        service.asked.append(asked)
        service.headers.append(dict(request.headers))
        good = _answer(asked)
        if any(text.startswith("!") for text in asked["input"]) and name:
            return FAULTS[name](asked, good)
        return JSONResponse(good)

    app.add_api_route("/v1/embeddings", embeddings, methods=["POST"])
    app.add_api_route("/fault/{name}/v1/embeddings", embeddings, methods=["POST"])
    return app


def _answer(asked: Answer) -> Answer:
    texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
    rows = vectors_of(texts)[:, : asked.get("dimensions")]
    packed = asked.get("encoding_format") == "base64"
    listed = [base64.b64encode(row.tobytes()).decode() if packed else row.tolist() for row in rows]
    return {
        "object": "list",
        "model": asked["model"],
        "data": [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(listed)],
        "usage": {"prompt_tokens": len(texts), "total_tokens": len(texts)},
    }


def _with(change: Callable[[list[Answer]], object]) -> Callable[[Answer, Answer], Response]:
    def fault(asked: Answer, good: Answer) -> Response:
        change(good["data"])
        return Response(json.dumps(good), media_type="application/json")  # NaN, which the framework refuses

    return fault


def _first(value: Any) -> Callable[[Answer, Answer], Response]:
    return _with(lambda rows: rows[0].update(embedding=value))


def _status(status: int, error: Any = None, **headers: str) -> Callable[[Answer, Answer], Response]:
    def fault(asked: Answer, good: Answer) -> Response:
        return JSONResponse(error or {"error": {"message": f"no {status}"}}, status, headers)

    return fault


def _slow(asked: Answer, good: Answer) -> Response:
    async def trickle() -> AsyncIterator[bytes]:
        yield b'{"data": ['
        await asyncio.Event().wait()  # until the client hangs up

    return StreamingResponse(trickle(), media_type="application/json")


def _endless(asked: Answer, good: Answer) -> Response:
    async def flood() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536
            await asyncio.sleep(0)  # lets the loop notice that nobody listens any more

    return StreamingResponse(flood(), media_type="application/json")


def _broken(asked: Answer, good: Answer) -> Response:
    return Response(b"{", media_type="application/json", headers={"Content-Length": "100"})


def _refusing(refused: Callable[[list[str]], bool], status: int) -> Callable[[Answer, Answer], Response]:
    def fault(asked: Answer, good: Answer) -> Response:
        return _status(status)(asked, good) if refused(asked["input"]) else JSONResponse(good)

    return fault


def _once(first: Callable[[Answer, Answer], Response]) -> Callable[[Answer, Answer], Response]:
    """Wrong at the first and every other time."""
    seen: list[None] = []

    def fault(asked: Answer, good: Answer) -> Response:
        seen.append(None)
        return first(asked, good) if len(seen) % 2 else JSONResponse(good)

    return fault


LATER = "Wed, 01 Jan 2200 00:00:00 GMT"
QUOTA = {"error": {"message": "no credit", "code": "insufficient_quota"}}

FAULTS: dict[str, Callable[[Answer, Answer], Response]] = {
    **{str(status): _status(status) for status in (400, 401, 403, 404, 408, 409, 413, 418, 422, 429, 500, 503)},
    "quota": _status(429, QUOTA),
    "detail": _status(422, {"detail": [{"loc": ["body"], "msg": "too long"}]}),
    "echo": lambda asked, good: _status(400, {"error": "key sk-local-0123456789abcdef, token plainsecret"})(
        asked, good
    ),
    "wait": _once(_status(429, **{"Retry-After": "7"})),
    "wait-for-ages": _once(_status(503, **{"Retry-After": "86400"})),
    "wait-until": _once(_status(503, **{"Retry-After": LATER})),
    "hiccup": _once(_status(500)),
    "hangs-up-once": _once(_broken),
    "fewer": _with(lambda rows: rows.pop()),
    "more": _with(lambda rows: rows.append(dict(rows[0], index=len(rows)))),
    "permuted": _with(lambda rows: rows.reverse()),
    "twice": _with(lambda rows: rows[-1].update(index=0)),
    "beyond": _with(lambda rows: rows[0].update(index=99)),
    "negative": _with(lambda rows: rows[0].update(index=-1)),
    "no-index": _with(lambda rows: rows[0].pop("index")),
    "nan": _first([float("nan"), 1.0, 2.0]),
    "too-large": _first([1e300, 1.0, 2.0]),
    "huge": _first([10**400, 1.0, 2.0]),
    "null": _first([None, 1.0, 2.0]),
    "nothing": _first(None),
    "words": _first(["1.0", "2.0", "3.0"]),
    "nested": _first([[1.0, 2.0, 3.0]]),
    "base64-cut": _with(lambda rows: rows[0].update(embedding=base64.b64encode(b"12345678901").decode())),
    "base64-damaged": _first("*" * 16),
    "other-length": _first([1.0, 2.0]),
    "no-list": lambda asked, good: JSONResponse({"error": {"message": "as 200"}}),
    "cut-json": lambda asked, good: Response(b'{"data": [', media_type="application/json"),
    "deep-json": lambda asked, good: Response(b"[" * 50_000, media_type="application/json"),
    "page": lambda asked, good: Response("<html>log in</html>", media_type="text/html"),
    "packed": lambda asked, good: Response(
        gzip.compress(json.dumps(good).encode(), mtime=0),
        media_type="application/json",
        headers={"Content-Encoding": "gzip"},
    ),
    "other-model": lambda asked, good: JSONResponse({**good, "model": "another"}),
    "redirect": lambda asked, good: RedirectResponse("https://elsewhere.example/v1/embeddings"),
    "many-headers": lambda asked, good: JSONResponse(good, headers={f"x-{i}": "y" for i in range(200)}),
    "declares-too-much": lambda asked, good: Response(
        b"{}", media_type="application/json", headers={"Content-Length": str(1 << 40)}
    ),
    "slow": _slow,
    "endless": _endless,
    "broken": _broken,
    "bad-text": _refusing(lambda texts: "!bad" in texts, 400),
    "breaks-over-text": _refusing(lambda texts: "!bad" in texts, 500),
    "too-many": _refusing(lambda texts: len(texts) > 3, 413),
}
