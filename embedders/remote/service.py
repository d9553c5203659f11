"""Ask a JSON service that the user named: one POST at a time, tried again where that may help.

What comes back decides who is at fault. Where another input could fare better (the service refuses this one, breaks
over it, or answers it with too much), the failure is a BadInput; where none could (the key, the address, the model,
the network), it is a SetupError, and the run stops with what it has.

The key is sent to the host that was named and nowhere else: no redirect is followed, no proxy is read from the
environment, and unencrypted HTTP leads to loopback and private addresses only. No message holds the key.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import random
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from embedders.errors import BadInput, SetupError, Status, UsageError
from embedders.redaction import redacted
from embedders.remote.addresses import PRIVATE, Policy, Resolver, Target, addresses_of, look_up, target_of
from embedders.remote.wire import MOVED, Deadline, MayPass, Wire, connect, explained, retry_after

__all__ = ["Service"]

BACKOFF = 0.5
"""Seconds before the first further attempt, doubled for each one after it."""
LONGEST_BACKOFF = 30.0
"""Seconds; also what is obeyed of a longer Retry-After."""

ERROR_BYTES = 16 << 10
"""Of an answer that reports a failure: all that is read."""
QUOTED = 200
"""Characters of a service's own words in a message."""

KEY_REFUSED = (401, 403)
INPUT_REFUSED = (400, 413, 422)
TRANSIENT = (408, 409, 500, 501, 502, 503, 504, 520, 522, 524, 529)
"""Timeout, conflict, and 5xx with those of content networks and of overload."""
BUSY = 429


class Service:
    """A service at a base URL; from any thread.

    ``key`` goes into the ``Authorization`` header, where there is one; ``key_name`` is what messages call it.
    ``seconds`` bound one attempt in all, ``retries`` are the attempts after the first. ``resolve`` and ``sleep``
    stand in for the system's.

    Raises UsageError for a URL that is none, and for http to a public address.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str = "",
        key_name: str = "a key",
        seconds: float = 60.0,
        retries: int = 5,
        resolve: Resolver | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._policy = Policy(enabled=True, allow_private=True, seconds=seconds, read_seconds=seconds)
        self._url = url.rstrip("/")
        try:
            self.host = target_of(self._url, self._policy).authority
        except BadInput as problem:
            raise UsageError(f"{redacted(url)!r} is no base URL: {problem}", "Write https://host/v1") from problem
        if urlsplit(self._url).query:
            raise UsageError(f"The base URL of {self.host} has a query", "Write https://host/v1")
        self._key, self._key_name = key, key_name
        self._retries = retries
        self._resolve = resolve
        self._sleep = sleep

    def post(self, path: str, content: Mapping[str, Any], longest: int) -> Any:
        """The JSON answer to a JSON content at ``path`` under the base URL, at most ``longest`` bytes of it.

        Timeouts, broken connections, and 408, 409, 429 and 5xx are tried again after the service's Retry-After,
        or after a pause that doubles and is shortened at random, so that many clients do not come back at once.

        Raises BadInput where the content may be at fault, with the code ``HTTP_<status>``, ``URL_SECONDS``,
        ``URL_SHORT``, ``REMOTE_SIZE`` or ``REMOTE_JSON``; SetupError where it cannot be.
        """
        for attempt in range(self._retries + 1):
            try:
                return self._answer(*self._ask(path, json.dumps(content), longest))
            except MayPass as later:
                if attempt == self._retries:
                    raise later.problem from later
                backoff = min(BACKOFF * 2**attempt, LONGEST_BACKOFF) * random.uniform(0.5, 1)
                self._sleep(backoff if later.pause is None else min(later.pause, LONGEST_BACKOFF))
        raise AssertionError("the last attempt returns or raises")

    def quoted(self, text: str) -> str:
        """The service's own words, as one short line without secrets."""
        text = redacted(text.replace(self._key, "***") if self._key else text)
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:QUOTED]

    def _ask(self, path: str, content: str, longest: int) -> tuple[http.client.HTTPResponse, bytes]:
        """The answer's head and its body; every wait is timed, every byte counted."""
        target = target_of(f"{self._url}/{path}", self._policy)
        deadline = Deadline(self._policy)
        try:
            with explained(target, deadline), contextlib.closing(self._connect(target, deadline)) as wire:
                key = [f"Authorization: Bearer {self._key}"] if self._key else []
                headers = ("Content-Type: application/json", f"Content-Length: {len(content)}", *key)
                response = wire.ask("POST", target, "application/json", *headers, content=content)
                return response, self._body(response, wire, longest)
        except BadInput as problem:
            if problem.code == "URL_SECONDS":
                raise MayPass(problem) from problem
            if not problem.code.startswith("URL_"):
                raise
            stop = SetupError(f"{self.host} cannot be asked: {problem}", "Check the base URL and the network")
            if problem.code in ("URL_CONNECT", "URL_NAME"):
                raise MayPass(stop) from problem
            raise stop from problem

    def _connect(self, target: Target, deadline: Deadline) -> Wire:
        places = addresses_of(target, self._policy, self._resolve or look_up(deadline.wait()))
        public = [str(place[0]) for _, place in places if not _private(str(place[0]))]
        if public and not target.secure:
            raise UsageError(
                f"{self.host} is asked by http, and leads to {public[0]}: text and key would travel open",
                "Write https://; http is for loopback and private addresses",
            )
        return connect(target, places, deadline)

    def _body(self, response: http.client.HTTPResponse, wire: Wire, longest: int) -> bytes:
        excess = BadInput(Status.REMOTE_ERROR, "REMOTE_SIZE", f"{self.host} answers with more than {longest} bytes")
        if response.status != 200:
            wire.expect(ERROR_BYTES, excess)
            with contextlib.suppress(BadInput, OSError, http.client.HTTPException):
                return response.read(ERROR_BYTES)
            return b""
        declared = response.length
        if declared is not None and declared > longest:
            raise excess
        return wire.content(response, longest, excess)

    def _answer(self, response: http.client.HTTPResponse, body: bytes) -> Any:
        if response.status != 200:
            raise self._failure(response, body)
        kind = response.getheader("Content-Type", "nothing").partition(";")[0].strip().lower()
        packed = response.getheader("Content-Encoding", "identity").strip().lower()
        if kind != "application/json" or packed not in ("identity", ""):
            form = kind if packed in ("identity", "") else f"{kind} packed by {packed}"
            raise SetupError(
                f"{self.host} answers with {self.quoted(form)} where JSON belongs",
                "Check the base URL: most end in /v1",
            )
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            message = f"the answer of {self.host} is no JSON"
            raise BadInput(Status.REMOTE_ERROR, "REMOTE_JSON", message) from error

    def _failure(self, response: http.client.HTTPResponse, body: bytes) -> Exception:
        """What an answer other than 200 means."""
        status = response.status
        said, code = _said(body)
        told = f"{self.host} answers {status}" + (f": {self.quoted(said)}" if said else "")
        problem = BadInput(Status.REMOTE_ERROR, f"HTTP_{status}", told)
        pause = retry_after(response.getheader("Retry-After"))
        if status in INPUT_REFUSED:
            return problem
        if status in KEY_REFUSED:  # its words are left out: services quote the key they refuse
            return SetupError(
                f"{self.host} answers {status}: it does not accept {self._key_name}",
                "Check that the key is valid, for this address, and allowed to use this model",
            )
        if status == BUSY and code == "insufficient_quota":
            return SetupError(told, "The account has no credit left; what is committed stays")
        if status == BUSY:
            return MayPass(SetupError(told, "Run the same command again later: what is committed stays"), pause)
        if status in TRANSIENT:
            return MayPass(problem, pause)
        if status in MOVED:
            place = urlsplit(response.getheader("Location") or "").hostname or "elsewhere"
            return SetupError(
                f"{self.host} redirects to {self.quoted(place)}, which is not followed: it would get the key",
                "Give the base URL that it redirects to, if you trust it",
            )
        return SetupError(told, "Check the base URL and the model")


def _private(address: str) -> bool:
    return any(ipaddress.ip_address(address) in network for network in PRIVATE)


def _said(body: bytes) -> tuple[str, str]:
    """The message and the code of a failure, in the forms that services give them."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""  # a page for people
    said = found.get("error", found) if isinstance(found, dict) else found
    if isinstance(said, dict):
        message = next((said[name] for name in ("message", "detail", "error") if said.get(name)), "")
        return message if isinstance(message, str) else json.dumps(message), str(said.get("code") or "")
    return str(said), ""
