"""Which URLs may lead where: SEC-02, decided before any connection."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedders import BadInput, Limits, UsageError
from embedders.remote import Policy, fetch, is_url
from embedders.remote.addresses import FORBIDDEN, PRIVATE, Address, target_of

ON = Policy(enabled=True)
LAN = Policy(enabled=True, allow_private=True)


def answering(*found: str) -> tuple[list[str], object]:
    """A resolver that gives these addresses to every name, and the names it was asked for."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> Sequence[Address]:
        asked.append(host)
        return [(socket.AF_INET6 if ":" in place else socket.AF_INET, (place, port)) for place in found]

    return asked, resolve


@pytest.fixture
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("a socket was made")

    monkeypatch.setattr("embedders.remote.wire.socket.socket", refuse)


def refusal(url: str, policy: Policy = ON, *found: str) -> str:
    """How a URL is refused: status and code."""
    _, resolve = answering(*(found or ("93.184.216.34",)))
    with pytest.raises(BadInput) as caught:
        fetch(url, Limits(), policy, resolve=resolve)  # type: ignore[arg-type]
    return f"{caught.value.status}/{caught.value.code}"


@pytest.mark.usefixtures("no_connection")
def test_inputs_by_url_are_off_unless_switched_on_and_the_message_says_how() -> None:
    with pytest.raises(BadInput, match="--urls") as caught:
        fetch("https://example.org/a.jpg", Limits(), Policy())
    assert (caught.value.status, caught.value.code) == ("blocked", "URL_OFF")


ADDRESSES = {
    "loopback": "127.0.0.1",
    "loopback, another": "127.8.8.8",
    "loopback v6": "::1",
    "unspecified": "0.0.0.0",
    "unspecified v6": "::",
    "this network": "0.1.2.3",
    "metadata": "169.254.169.254",
    "metadata v6": "fd00:ec2::254",
    "metadata of a carrier": "100.100.100.200",
    "wire server": "168.63.129.16",
    "ten": "10.0.0.1",
    "172": "172.16.0.1",
    "172, last": "172.31.255.255",
    "192": "192.168.1.1",
    "shared space": "100.64.0.1",
    "shared space, last": "100.127.255.255",
    "unique local": "fc00::1",
    "unique local, last": "fdff::1",
    "link-local v6": "fe80::1",
    "link-local v6, scoped": "fe80::1%1",
    "site-local": "fec0::1",
    "mapped": "::ffff:127.0.0.1",
    "mapped public": "::ffff:93.184.216.34",
    "translated": "::ffff:0:127.0.0.1",
    "compatible": "::127.0.0.1",
    "nat64": "64:ff9b::127.0.0.1",
    "nat64 metadata": "64:ff9b::a9fe:a9fe",
    "nat64 local": "64:ff9b:1::7f00:1",
    "6to4": "2002:7f00:1::1",
    "teredo": "2001:0:53aa:64c::1",
    "isatap": "2606:4700::5efe:7f00:1",
    "isatap, universal": "2606:4700::200:5efe:7f00:1",
    "multicast": "224.0.0.1",
    "multicast v6": "ff02::1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "documentation": "192.0.2.1",
    "documentation v6": "2001:db8::1",
    "benchmarks": "198.18.0.1",
}


@pytest.mark.usefixtures("no_connection")
@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_sec_02_an_address_that_is_not_public_is_blocked_before_any_connection(address: str) -> None:
    assert refusal("http://files.example/a", ON, address) == "blocked/URL_ADDRESS"
    assert refusal("http://files.example/a", ON, "93.184.216.34", address) == "blocked/URL_ADDRESS"
    if "%" not in address:
        written = f"[{address}]" if ":" in address else address
        assert refusal(f"http://{written}:8080/a") == "blocked/URL_ADDRESS"


@pytest.mark.usefixtures("no_connection")
@pytest.mark.parametrize("address", ["169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1", "168.63.129.16"])
def test_one_s_own_network_does_not_open_what_nobody_serves_files_from(address: str) -> None:
    assert refusal("http://files.example/a", LAN, address) == "blocked/URL_ADDRESS"


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_hidden_in_an_ipv6_address_is_never_more_than_itself(number: int) -> None:
    from embedders.remote.addresses import _allowed

    plain = ipaddress.IPv4Address(number)
    hidden = [f"::ffff:{plain}", f"::{plain}", f"64:ff9b::{plain}", f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1"]
    assert all(_allowed(str(plain), ON) or not _allowed(form, ON) for form in hidden)
    inside = any(plain in network for network in (*PRIVATE, *FORBIDDEN))
    assert _allowed(str(plain), ON) is not inside


URLS = {
    "decimal": ("http://2130706433/", "URL_FORM"),
    "octal": ("http://0177.0.0.1/", "URL_FORM"),
    "hex": ("http://0x7f.0.0.1/", "URL_FORM"),
    "hex, whole": ("http://0x7f000001/", "URL_FORM"),
    "short": ("http://127.1/", "URL_FORM"),
    "public decimal": ("http://1572395042/", "URL_FORM"),
    "too large": ("http://256.256.256.256/", "URL_FORM"),
    "localhost": ("http://localhost/", "URL_ADDRESS"),
    "localhost, dot": ("http://LOCALHOST./", "URL_ADDRESS"),
    "localhost, sub": ("http://a.localhost/", "URL_ADDRESS"),
    "loopback, dot": ("http://127.0.0.1./", "URL_ADDRESS"),
    "two dots": ("http://files.example../", "URL_FORM"),
    "user": ("http://user@files.example/", "URL_CREDENTIALS"),
    "user and password": ("https://user:word@files.example/", "URL_CREDENTIALS"),
    "empty user": ("http://@files.example/", "URL_CREDENTIALS"),
    "host as user": ("http://files.example@127.0.0.1/", "URL_CREDENTIALS"),
    "host as password": ("http://files.example:80@127.0.0.1/", "URL_CREDENTIALS"),
    "backslash": ("http://files.example\\@127.0.0.1/", "URL_FORM"),
    "tab": ("http://127.0\t.0.1/", "URL_FORM"),
    "line": ("http://files.example/\r\nHost: other", "URL_FORM"),
    "blank": ("http://files.example /", "URL_FORM"),
    "nul": ("http://files.example\0.other/", "URL_FORM"),
    "bidi": ("http://files.example/\u202egpj", "URL_FORM"),
    "percent host": ("http://%31%32%37.0.0.1/", "URL_FORM"),
    "full-width": ("http://\uff11\uff12\uff17.0.0.1/", "URL_FORM"),
    "circled": ("http://\u24db\u24de\u24d2alhost/", "URL_FORM"),
    "ideographic dot": ("http://127\u30020\u30020\u30021/", "URL_FORM"),
    "international": ("http://b\xfccher.example/", "URL_FORM"),
    "zone": ("http://[fe80::1%25eth0]/", "URL_FORM"),
    "open bracket": ("http://[::1/", "URL_FORM"),
    "future address": ("http://[v1.a]/", "URL_FORM"),
    "no host": ("http:///etc/passwd", "URL_FORM"),
    "port": ("http://files.example:99999/", "URL_FORM"),
    "port zero": ("http://files.example:0/", "URL_FORM"),
    "word as port": ("http://files.example:http/", "URL_FORM"),
    "long": ("http://files.example/" + "a" * 9000, "URL_FORM"),
    "long label": ("http://" + "a" * 64 + ".example/", "URL_FORM"),
    "long name": ("http://" + "a." * 130 + "example/", "URL_FORM"),
    "ftp": ("ftp://files.example/", "URL_SCHEME"),
    "file": ("file:///etc/passwd", "URL_SCHEME"),
    "gopher": ("gopher://127.0.0.1:6379/_x", "URL_SCHEME"),
    "pipe": ("pipe:touch marker", "URL_FORM"),
    "data": ("data:,x", "URL_SCHEME"),
}


@pytest.mark.usefixtures("no_connection")
@pytest.mark.parametrize(("url", "code"), URLS.values(), ids=URLS)
def test_sec_02_a_url_that_could_be_read_in_two_ways_is_blocked(url: str, code: str) -> None:
    assert refusal(url) == f"blocked/{code}"


@pytest.mark.usefixtures("no_connection")
@pytest.mark.parametrize(
    ("hosts", "host", "allowed"),
    [
        (("files.example",), "files.example", True),
        (("FILES.example",), "files.EXAMPLE.", True),
        (("files.example",), "a.files.example", False),
        (("files.example",), "evilfiles.example", False),
        ((".files.example",), "a.b.files.example", True),
        ((".files.example",), "files.example.org", False),
        (("a.example", "b.example"), "b.example", True),
        (("[2606:4700::1]",), "[2606:4700::1]", True),
        (("files.example",), "93.184.216.34", False),
    ],
)
def test_a_list_of_hosts_lets_nobody_else_through(hosts: tuple[str, ...], host: str, allowed: bool) -> None:
    policy = Policy(enabled=True, hosts=hosts)
    if allowed:
        assert target_of(f"https://{host}/a", policy).port == 443
    else:
        assert refusal(f"https://{host}/a", policy) == "blocked/URL_HOST"


@pytest.mark.parametrize("host", ["", "https://example.org", "example.org/path", "*.example.org", "a b", "-a"])
def test_what_is_no_host_cannot_be_allowed(host: str) -> None:
    with pytest.raises(UsageError, match="is no host"):
        Policy(enabled=True, hosts=(host,))


def test_a_url_keeps_its_meaning() -> None:
    target = target_of("HTTPS://Files.Example.:8443/b\xfc%20c.jpg?sig=a%2Bb&x=1#part", ON)
    assert (target.host, target.port, target.secure) == ("files.example", 8443, True)
    assert target.path == "/b%C3%BC%20c.jpg?sig=a%2Bb&x=1"
    assert target.authority == "files.example:8443"
    assert target_of("http://[2606:4700::0001]", ON).authority == "[2606:4700::1]"
    assert target_of("http://93.184.216.34:80", ON).path == "/"


def test_a_name_without_address_is_a_failure_of_the_other_end() -> None:
    def resolve(host: str, port: int) -> Sequence[Address]:
        raise socket.gaierror("no such name")

    with pytest.raises(BadInput, match=r"no host files\.example") as caught:
        fetch("http://files.example/", Limits(), ON, resolve=resolve)
    assert (caught.value.status, caught.value.code) == ("remote_error", "URL_NAME")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("http://a/b", True),
        ("HTTPS://a/b", True),
        ("a/http://b", False),
        (" http://a", False),
        ("http:/a", False),
        ("file:///a", False),
        ("//a/b", False),
        ("", False),
    ],
)
def test_what_counts_as_a_url(value: str, expected: bool) -> None:
    assert is_url(value) is expected
