"""Servers on loopback that answer with whatever a test wants, to the byte."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from embedders.remote.addresses import Address

HOST = "files.example"
TLS_HELLO = b"\x16"

Script = Callable[[socket.socket], None]

# of files.example, valid until 2099, signed by itself; its key is here, so that nobody should trust it
CERTIFICATE = """
MIIBfTCCASOgAwIBAgIBATAKBggqhkjOPQQDAjAYMRYwFAYDVQQDDA1maWxlcy5leGFtcGxlMCAXDTAwMDEwMTAwMDAwMFoYDzIwOTkx
MjMxMjM1OTU5WjAYMRYwFAYDVQQDDA1maWxlcy5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZyYN6R6o3I8tzm9ElxIl
edxOoGfCFMI/NW+46j9fV3ncEydEgtAJkceoGD3h+tln4DynmYjdmaW7i9V+Yz8996NcMFowHQYDVR0OBBYEFGAgmpjjPIqZS5E2x9b3
aLgJtjPjMBgGA1UdEQQRMA+CDWZpbGVzLmV4YW1wbGUwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAoQwCgYIKoZIzj0EAwID
SAAwRQIgBaPV5gMstTLdKTcMPzt9dpXNfDXbioss6CJmzV1OOsMCIQDWxIWSpThVgMBHZ81yvQg6pIG3VFnIIrAcdfVBIFeC4w==
"""
KEY = """
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/KUx9ALuR4dgVx7Lk0nydFCkb8HPqRBJhOqSfGc61eihRANCAARnJg3pHqjc
jy3Ob0SXEiV53E6gZ8IUwj81b7jqP19XedwTJ0SC0AmRx6gYPeH62WfgPKeZiN2ZpbuL1X5jPz33
"""


def answer(status: str = "200 OK", *headers: str, body: bytes = b"", length: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, *([f"Content-Length: {len(body)}"] if length else [])]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(*pieces: bytes) -> bytes:
    head = answer("200 OK", "Transfer-Encoding: chunked", length=False)
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def endless(piece: bytes, *, head: bytes = b"", every: float = 0.0) -> Script:
    """Sends a piece again and again until the other end has had enough."""

    def script(connected: socket.socket) -> None:
        connected.sendall(head)
        while True:
            connected.sendall(piece)
            time.sleep(every)

    return script


class Server:
    """Answers one connection after the other with the scripts given, the last one for all that follow."""

    def __init__(self, scripts: Sequence[bytes | Script], context: ssl.SSLContext | None) -> None:
        self.scripts, self.context = scripts, context
        self.requests: list[str] = []
        self.closing = False
        self.open: list[socket.socket] = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def url(self, path: str = "/a", scheme: str = "http") -> str:
        return f"{scheme}://{HOST}:{self.port}{path}"

    def _serve(self) -> None:
        number = 0
        while True:
            connected, _ = self.listening.accept()
            if self.closing:
                connected.close()
                return
            self.open.append(connected)
            script = self.scripts[min(number, len(self.scripts) - 1)]
            number += 1
            with contextlib.suppress(OSError), connected:
                self._answer(connected, script)

    def _answer(self, connected: socket.socket, script: bytes | Script) -> None:
        if self.context is not None:
            connected = self.context.wrap_socket(connected, server_side=True)
        with connected:
            request = b""
            while b"\r\n\r\n" not in request and (piece := connected.recv(4096)):
                request += piece
                if request[:1] == TLS_HELLO:  # somebody means https where only http is spoken
                    break
            self.requests.append(request.decode("latin-1"))
            if callable(script):
                script(connected)
            else:
                connected.sendall(script)
                connected.shutdown(socket.SHUT_RDWR) if self.context is None else connected.unwrap()

    def close(self) -> None:
        self.closing = True
        for connected in self.open:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            pass
        self.thread.join()
        self.listening.close()


@contextlib.contextmanager
def serving(*scripts: bytes | Script, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(scripts, context)
    try:
        yield server
    finally:
        server.close()


def here(host: str, port: int) -> Sequence[Address]:
    """The resolver of these tests: every name is this machine."""
    return [(socket.AF_INET, ("127.0.0.1", port))]
