"""What a URL may lead to: its parts read strictly, its host resolved once, every address judged.

What two programs could read in two ways is refused rather than repaired. Connecting is done to the very address
that was judged here, so that a name which is answered differently the next time gains nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

from embedders.errors import BadInput, Status, UsageError

__all__ = ["Address", "Policy", "Resolver", "Target", "addresses_of", "is_url", "look_up", "target_of"]

Address: TypeAlias = tuple[socket.AddressFamily, tuple[Any, ...]]
"""A family, and what a socket of it connects to."""

Resolver: TypeAlias = Callable[[str, int], Sequence[Address]]
"""From a host's name and a port to all its addresses; raises OSError where it has none."""

LONGEST = 8192
"""Characters of a URL: what web servers take at most."""

_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*")
_NUMBER = re.compile(r"(?:\d+|0x[0-9a-f]*)")


def _networks(*names: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(name) for name in names)


# IANA's registries of special-purpose addresses; `ipaddress.is_global` answers differently from version to version
PRIVATE = _networks(
    *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
    *("::1/128", "fc00::/7"),
)
"""Loopback and the networks of one's own, the shared space of carriers included."""

FORBIDDEN = _networks(
    *("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    "168.63.129.16/32",  # Azure's wire server, which lies among public addresses
    *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),  # Teredo and 6to4 carry an IPv4 address inside
)
"""This network, link-local with the clouds' metadata, documentation, tunnels, multicast, reserved."""

PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
"""All that is given out; mapped and compatible IPv4, link-local, site-local and multicast lie outside."""

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: how a network without IPv4 reaches it; judged by the IPv4 address inside."""

ISATAP = (b"\0\0\x5e\xfe", b"\x02\0\x5e\xfe")
"""RFC 5214: bytes 8 to 11 of an address that ends in an IPv4 address."""


@dataclass(frozen=True)
class Policy:
    """Whether and where URLs may lead.

    ``hosts`` lists all that are allowed, ``example.org`` by itself or ``.example.org`` with its subdomains; empty
    means every public one. ``allow_private`` adds loopback and one's own networks; link-local addresses stay
    closed. ``seconds`` bound one input with all redirects and retries, ``read_seconds`` every single wait;
    ``backoff`` are the seconds before the first retry, doubled for each further one.
    """

    enabled: bool = False
    hosts: tuple[str, ...] = ()
    allow_private: bool = False
    seconds: float = 60.0
    read_seconds: float = 15.0
    backoff: float = 0.5

    def __post_init__(self) -> None:
        for host in self.hosts:
            if not _NAME.fullmatch(host.removeprefix(".").lower()) and not _is_address(host.strip("[]")):
                raise UsageError(f"{host!r} is no host", "Write example.org, or .example.org with its subdomains")

    def allows(self, host: str) -> bool:
        """Whether a host in lower case stands in the list, or the list is empty."""
        known = [entry.lower().strip("[]") for entry in self.hosts]
        return not known or any(host == entry or (entry[0] == "." and host.endswith(entry)) for entry in known)


@dataclass(frozen=True)
class Target:
    """A URL taken apart: ``host`` in lower case without brackets, ``path`` with its query, percent-encoded."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the ``Host`` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def is_url(value: str) -> bool:
    """Whether a field's value asks for the network rather than for a file."""
    return value[:8].lower().startswith(("http://", "https://"))


def target_of(url: str, policy: Policy) -> Target:
    """Take a URL apart; raises BadInput ``blocked`` for one that is not allowed, or could be read in two ways."""
    if len(url) > LONGEST or any(not c.isprintable() or c.isspace() or c == "\\" for c in url):
        raise _blocked("URL_FORM", "the URL is too long, or holds blanks, backslashes or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _blocked("URL_FORM", "the URL's host or port cannot be read") from error
    if parts.scheme not in ("http", "https"):
        raise _blocked("URL_SCHEME", f"the scheme {parts.scheme!r} is not http or https")
    if "@" in parts.netloc:
        raise _blocked("URL_CREDENTIALS", "the URL holds a user name or password before its host")
    secure = parts.scheme == "https"
    host = _host(parts.hostname or "", bracketed=parts.netloc.startswith("["))
    if port == 0:
        raise _blocked("URL_FORM", "port 0 is no port")
    if not policy.allows(host):
        raise _blocked("URL_HOST", f"{host} is not among the hosts allowed")
    if not policy.allow_private and (host == "localhost" or host.endswith(".localhost")):
        raise _blocked("URL_ADDRESS", f"{host} is this machine")
    path = quote(parts.path or "/", safe="/%:=&~+!$,;'@()*-._")
    query = quote(parts.query, safe="/%:=&~+!$,;'@()*-._?[]|")
    return Target(secure, host, port or (443 if secure else 80), f"{path}?{query}" if query else path)


def _host(host: str, *, bracketed: bool) -> str:
    if bracketed:
        try:
            return str(ipaddress.IPv6Address(host if "%" not in host else ""))
        except ValueError as error:
            raise _blocked("URL_FORM", "the URL's host is no IPv6 address") from error
    host = host.removesuffix(".")
    if not _NAME.fullmatch(host):
        raise _blocked("URL_FORM", "the URL's host is no name in ASCII (international names begin with xn--)")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError as error:  # 2130706433, 0x7f.1 and 0177.0.0.1 are 127.0.0.1 to some programs
            raise _blocked("URL_FORM", "the URL's host is a number that is not written as a.b.c.d") from error
    return host


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def addresses_of(target: Target, policy: Policy, resolve: Resolver) -> Sequence[Address]:
    """All addresses of a target's host, asked for once.

    Raises BadInput ``blocked`` if any of them may not be connected to, ``remote_error`` if there is none.
    """
    found: Sequence[Address]
    if _is_address(target.host):
        found = [(socket.AF_INET6 if ":" in target.host else socket.AF_INET, (target.host, target.port))]
    else:
        try:
            found = resolve(target.host, target.port)
        except TimeoutError as error:
            raise BadInput(Status.TIMEOUT, "URL_NAME", f"no answer for the name {target.host}") from error
        except (OSError, UnicodeError) as error:
            raise BadInput(Status.REMOTE_ERROR, "URL_NAME", f"there is no host {target.host}") from error
    if not found:
        raise BadInput(Status.REMOTE_ERROR, "URL_NAME", f"there is no host {target.host}")
    for _, place in found:
        if not _allowed(str(place[0]), policy):
            raise _blocked("URL_ADDRESS", f"{target.host} leads to {place[0]}, which is not a public address")
    return found


def _allowed(text: str, policy: Policy) -> bool:
    address = ipaddress.ip_address(text)  # a scope (fe80::1%eth0) stays, and is link-local
    if address.version == 6 and address in NAT64:
        address = ipaddress.IPv4Address(address.packed[-4:])
    if any(address in network for network in PRIVATE):
        return policy.allow_private
    if any(address in network for network in FORBIDDEN):
        return False
    return address.version == 4 or (address in PUBLIC_V6 and address.packed[8:12] not in ISATAP)


def look_up(seconds: float) -> Resolver:
    """The system's resolver with a time limit, which it has not itself; raises TimeoutError after it."""

    def resolve(host: str, port: int) -> Sequence[Address]:
        found: list[Address] = []
        failed: list[Exception] = []

        def ask() -> None:
            try:
                answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                found.extend((family, place) for family, _, _, _, place in answers)
            except (OSError, UnicodeError) as error:
                failed.append(error)

        asking = threading.Thread(target=ask, name="look-up", daemon=True)
        asking.start()
        asking.join(seconds)
        if asking.is_alive():
            raise TimeoutError(f"no answer in {seconds:.0f} s")
        if failed:
            raise failed[0]
        return found

    return resolve


def _blocked(code: str, message: str) -> BadInput:
    return BadInput(Status.BLOCKED, code, message)
