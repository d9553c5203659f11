"""A conversation with a server: every byte that comes in is counted and every wait is timed, headers included.

The standard library speaks HTTP; it is given a connection to the address that was judged, under the name that was
asked for. It reads no proxies, cookies, credentials or further settings from the environment.
"""

from __future__ import annotations

import contextlib
import email.utils
import functools
import http.client
import io
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from embedders.errors import BadInput, EmbedError, Status
from embedders.remote.addresses import Address, Policy, Target

__all__ = ["MOVED", "Deadline", "MayPass", "Wire", "connect", "explained", "retry_after", "trust"]

HEADER_BYTES = 64 << 10
"""Of an answer before its content; the standard library also stops at 100 headers."""

LONGEST_PAUSE = 30.0
"""Seconds of a server's Retry-After that are obeyed."""

PIECE = 1 << 16
MOVED = (301, 302, 303, 307, 308)


class MayPass(Exception):
    """A failure that may pass: what it is, and how many seconds the server wants us to wait."""

    def __init__(self, problem: EmbedError, pause: float | None = None) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.pause = pause


class Deadline:
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


class Wire(io.RawIOBase):
    """A connected socket that stops at a number of bytes and at a moment, whatever the other end does."""

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._socket = connected
        self._deadline = deadline
        self._left = HEADER_BYTES
        self._excess = BadInput(Status.LIMIT, "URL_HEADERS", f"more than {HEADER_BYTES} bytes before the content")

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Receive what fits and is still allowed; raises BadInput where nothing is."""
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

    def ask(
        self, method: str, target: Target, accept: str, *headers: str, content: str = ""
    ) -> http.client.HTTPResponse:
        """Send a request in ASCII, which tells nothing of this machine, and read the answer up to its content."""
        lines = (
            f"{method} {target.path} HTTP/1.1",
            f"Host: {target.authority}",
            "User-Agent: multimodal-embedders",
            f"Accept: {accept}",
            "Accept-Encoding: identity",
            *headers,
            "Connection: close",
        )
        self._socket.settimeout(self._deadline.wait())
        self._socket.sendall("\r\n".join((*lines, "", content)).encode("ascii"))
        response = http.client.HTTPResponse(cast("Any", self), method=method)
        response.begin()
        return response

    def content(self, response: http.client.HTTPResponse, longest: int, excess: BadInput) -> bytes:
        """All of an answer's content; raises ``excess`` for more than ``longest`` bytes of it."""
        declared = response.length
        self.expect(longest, excess)
        content = bytearray()
        while piece := response.read(PIECE):
            content += piece
            if len(content) > longest:
                raise excess
        if declared is not None and len(content) != declared:
            raise http.client.IncompleteRead(b"", declared - len(content))
        return bytes(content)

    def makefile(self, mode: str) -> io.BufferedReader:
        """What an answer of the standard library reads from."""
        return io.BufferedReader(self, 8192)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def connect(target: Target, places: Sequence[Address], deadline: Deadline) -> Wire:
    """A connection to the first judged place that takes one, with the certificate checked for the name."""
    for number, (family, place) in enumerate(places, start=1):
        connected = socket.socket(family, socket.SOCK_STREAM)
        try:
            connected.settimeout(deadline.wait())
            connected.connect(place)
            if target.secure:
                # without close_notify an answer of unknown length may have been cut off by a stranger
                connected = trust().wrap_socket(connected, server_hostname=target.host, suppress_ragged_eofs=False)
            return Wire(connected, deadline)
        except BaseException as error:
            connected.close()
            if number == len(places) or not isinstance(error, OSError) or isinstance(error, ssl.SSLError):
                raise
    raise AssertionError("there is at least one address, and the last one returns or raises")


@functools.cache
def trust() -> ssl.SSLContext:
    """The system's certificates, without the default context's habit of logging keys where the environment says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    return context


def retry_after(wanted: str | None) -> float | None:
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
def explained(target: Target, deadline: Deadline) -> Iterator[None]:
    """Turn what sockets and the standard library raise into BadInput, or into MayPass where it may pass."""
    host = target.host
    try:
        yield
    except (BadInput, MayPass):
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
        raise MayPass(broken) from error
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
