"""Fetch the content of a URL: every byte that comes in is counted and every wait is timed, headers included.

The standard library speaks HTTP; it is given a connection to the address that was judged, under the name that was
asked for. It reads no proxies, cookies, credentials or further settings from the environment.
"""

from __future__ import annotations

import contextlib
import email.utils
import functools
import http.client
import io
import random
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urljoin

from embedders.errors import BadInput, Status
from embedders.modality import Limits
from embedders.remote.addresses import Policy, Resolver, Target, addresses_of, look_up, target_of

__all__ = ["fetch"]

REDIRECTS = 3
ATTEMPTS = 4
"""Requests for one input, redirects not counted."""

HEADER_BYTES = 64 << 10
"""Of an answer before its content; the standard library also stops at 100 headers."""

LONGEST_PAUSE = 30.0
"""Seconds of a server's Retry-After that are obeyed."""

PIECE = 1 << 16
AGAIN = (429, 500, 502, 503, 504)
MOVED = (301, 302, 303, 307, 308)


class _Again(Exception):
    """A failure that may pass: what it is, and how many seconds the server wants us to wait."""

    def __init__(self, problem: BadInput, pause: float | None = None) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.pause = pause


class _Deadline:
    """The time that is left for one input."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._end = time.monotonic() + policy.seconds

    def left(self) -> float:
        """Seconds for everything that is still to come; raises BadInput ``timeout`` where there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.missed()
        return left

    def wait(self) -> float:
        """Seconds for a single wait."""
        return min(self._policy.read_seconds, self.left())

    def missed(self) -> BadInput:
        """The failure of an input that took too long."""
        limits = f"{self._policy.seconds:g} s in all, {self._policy.read_seconds:g} s per wait"
        return BadInput(Status.TIMEOUT, "URL_SECONDS", f"the server took too long; the limit is {limits}")


class _Wire(io.RawIOBase):
    """A connected socket that stops at a number of bytes and at a moment, whatever the other end does."""

    def __init__(self, connected: socket.socket, deadline: _Deadline) -> None:
        self._socket = connected
        self._deadline = deadline
        self._left = HEADER_BYTES
        self._excess = BadInput(Status.LIMIT, "URL_HEADERS", f"more than {HEADER_BYTES} bytes before the content")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self._left]
        if not view:
            raise self._excess
        self._socket.settimeout(self._deadline.wait())
        count = self._socket.recv_into(view)
        self._left -= count
        return count

    def expect(self, content: int, excess: BadInput) -> None:
        """From now on content of so many bytes, and its framing, may come."""
        self._left, self._excess = 2 * content + HEADER_BYTES, excess

    def send(self, request: str) -> None:
        """Send a request in ASCII."""
        self._socket.settimeout(self._deadline.wait())
        self._socket.sendall(request.encode("ascii"))

    def makefile(self, mode: str) -> io.BufferedReader:
        """What an answer of the standard library reads from."""
        return io.BufferedReader(self, 8192)

    def close(self) -> None:
        self._socket.close()
        super().close()


def fetch(url: str, limits: Limits, policy: Policy, *, resolve: Resolver | None = None) -> bytes:
    """The content at an http or https URL, at most ``limits.bytes``.

    Redirects are followed three times, each judged like the first, from https to https only. An answer of 429 or
    5xx and a connection that breaks are tried again while time is left. ``resolve`` stands in for the system's
    resolver.

    Raises nothing but BadInput: ``blocked`` for what the policy does not allow, ``limit``, ``timeout``, and
    ``remote_error`` for whatever goes wrong at the other end. No message quotes the URL's path or query, which may
    hold a signature.
    """
    if not policy.enabled:
        message = "inputs by URL are off; switch them on with --urls, best with --url-host HOST"
        raise BadInput(Status.BLOCKED, "URL_OFF", message)
    deadline = _Deadline(policy)
    for attempt in range(ATTEMPTS):
        try:
            return _follow(url, limits, policy, resolve, deadline)
        except _Again as again:
            backoff = policy.backoff * 2**attempt * random.uniform(0.5, 1)
            pause = backoff if again.pause is None else min(again.pause, LONGEST_PAUSE)
            if attempt + 1 == ATTEMPTS or pause >= deadline.left():
                raise again.problem from again.__cause__
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _follow(url: str, limits: Limits, policy: Policy, resolve: Resolver | None, deadline: _Deadline) -> bytes:
    secure = False
    for _ in range(REDIRECTS + 1):
        target = target_of(url, policy)
        if secure and not target.secure:
            raise BadInput(Status.BLOCKED, "URL_DOWNGRADE", f"a redirect leads from https to http://{target.host}")
        secure = target.secure
        with _explained(target, deadline), contextlib.closing(_connect(target, policy, resolve, deadline)) as wire:
            response = _ask(wire, target)
            moved = response.getheader("Location") if response.status in MOVED else None
            if moved is None:
                return _content(response, wire, target, limits)
            url = urljoin(url, moved.encode("latin-1").decode("utf-8", "replace"))
    raise BadInput(
        Status.REMOTE_ERROR, "URL_REDIRECTS", f"more than {REDIRECTS} redirects, the last at {target.host}"
    )


def _connect(target: Target, policy: Policy, resolve: Resolver | None, deadline: _Deadline) -> _Wire:
    """A connection to the first judged address that takes one, with the certificate checked for the name."""
    places = addresses_of(target, policy, resolve or look_up(deadline.wait()))
    for number, (family, place) in enumerate(places, start=1):
        connected = socket.socket(family, socket.SOCK_STREAM)
        try:
            connected.settimeout(deadline.wait())
            connected.connect(place)
            if target.secure:
                # without close_notify an answer of unknown length may have been cut off by a stranger
                connected = _trust().wrap_socket(connected, server_hostname=target.host, suppress_ragged_eofs=False)
            return _Wire(connected, deadline)
        except BaseException as error:
            connected.close()
            if number == len(places) or not isinstance(error, OSError) or isinstance(error, ssl.SSLError):
                raise
    raise AssertionError("there is at least one address, and the last one returns or raises")


@functools.cache
def _trust() -> ssl.SSLContext:
    """The system's certificates, without the default context's habit of logging keys where the environment says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    return context


def _ask(wire: _Wire, target: Target) -> http.client.HTTPResponse:
    """Send the request, which holds nothing of this machine, and read the answer up to its content."""
    wire.send(
        f"GET {target.path} HTTP/1.1\r\n"
        f"Host: {target.authority}\r\n"
        "User-Agent: multimodal-embedders\r\n"
        "Accept: */*\r\n"
        "Accept-Encoding: identity\r\n"
        "Connection: close\r\n\r\n"
    )
    response = http.client.HTTPResponse(cast("socket.socket", wire), method="GET")
    response.begin()
    return response


def _content(response: http.client.HTTPResponse, wire: _Wire, target: Target, limits: Limits) -> bytes:
    status, declared = response.status, response.length
    if status != 200:
        problem = BadInput(Status.REMOTE_ERROR, f"URL_HTTP_{status}", f"{target.host} answered {status}")
        if status in AGAIN:
            raise _Again(problem, _pause(response.getheader("Retry-After")))
        raise problem
    packed = response.getheader("Content-Encoding", "identity").strip().lower()
    framing = response.getheader("Transfer-Encoding", "chunked").strip().lower()
    if packed not in ("identity", "") or framing != "chunked":
        message = f"{target.host} sends packed content, which was not asked for"
        raise BadInput(Status.REMOTE_ERROR, "URL_ENCODING", message)
    if declared is not None and declared > limits.bytes:
        raise BadInput(Status.LIMIT, "BYTES", f"{declared} bytes; the limit is {limits.bytes}")
    excess = BadInput(Status.LIMIT, "BYTES", f"more bytes than the limit, which is {limits.bytes}")
    wire.expect(limits.bytes, excess)
    content = bytearray()
    while piece := response.read(PIECE):
        content += piece
        if len(content) > limits.bytes:
            raise excess
    if declared is not None and len(content) != declared:
        raise http.client.IncompleteRead(b"", declared - len(content))
    return bytes(content)


def _pause(wanted: str | None) -> float | None:
    """Seconds of a Retry-After header, given as a number or as a date; None where it says neither."""
    wanted = (wanted or "").strip()
    if wanted.isascii() and wanted.isdigit():
        return min(float(wanted[:9]), LONGEST_PAUSE) if len(wanted) <= 9 else LONGEST_PAUSE
    try:
        until = email.utils.parsedate_to_datetime(wanted)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


@contextlib.contextmanager
def _explained(target: Target, deadline: _Deadline) -> Iterator[None]:
    """Turn what sockets and the standard library raise into BadInput, or into _Again where it may pass."""
    host = target.host
    try:
        yield
    except (BadInput, _Again):
        raise
    except ssl.SSLCertVerificationError as error:
        message = f"the certificate of {host} is not valid: {error.verify_message}"
        raise BadInput(Status.REMOTE_ERROR, "URL_TLS", message) from error
    except TimeoutError as error:
        raise deadline.missed() from error
    except ConnectionRefusedError as error:
        raise BadInput(Status.REMOTE_ERROR, "URL_CONNECT", f"{host} takes no connection") from error
    except (http.client.IncompleteRead, ssl.SSLEOFError, ConnectionError) as error:
        broken = BadInput(Status.REMOTE_ERROR, "URL_SHORT", f"the connection to {host} ended before the content")
        raise _Again(broken) from error
    except ssl.SSLError as error:
        message = f"no secure connection to {host}: {error.reason or 'TLS failed'}"
        raise BadInput(Status.REMOTE_ERROR, "URL_TLS", message) from error
    except OSError as error:
        message = f"{host} cannot be reached: {error.strerror or type(error).__name__}"
        raise BadInput(Status.REMOTE_ERROR, "URL_CONNECT", message) from error
    except (http.client.HTTPException, ValueError) as error:
        if isinstance(error, http.client.LineTooLong) or "headers" in str(error):
            raise BadInput(
                Status.LIMIT, "URL_HEADERS", f"the headers of {host} are too many or too long"
            ) from error
        raise BadInput(Status.REMOTE_ERROR, "URL_PROTOCOL", f"{host} does not speak HTTP") from error
