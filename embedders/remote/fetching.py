"""Fetch the content of a URL: redirects judged like the first address, failures that may pass tried again."""

from __future__ import annotations

import contextlib
import http.client
import random
import time
from urllib.parse import urljoin

from embedders.errors import BadInput, Status
from embedders.modality import Limits
from embedders.remote.addresses import Policy, Resolver, Target, addresses_of, look_up, target_of
from embedders.remote.wire import LONGEST_PAUSE, MOVED, Deadline, MayPass, Wire, connect, explained, retry_after

__all__ = ["fetch"]

REDIRECTS = 3
ATTEMPTS = 4
"""Requests for one input, redirects not counted."""

AGAIN = (429, 500, 502, 503, 504)


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
    deadline = Deadline(policy)
    for attempt in range(ATTEMPTS):
        try:
            return _follow(url, limits, policy, resolve, deadline)
        except MayPass as again:
            backoff = policy.backoff * 2**attempt * random.uniform(0.5, 1)
            pause = backoff if again.pause is None else min(again.pause, LONGEST_PAUSE)
            if attempt + 1 == ATTEMPTS or pause >= deadline.left():
                raise again.problem from again.__cause__
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _follow(url: str, limits: Limits, policy: Policy, resolve: Resolver | None, deadline: Deadline) -> bytes:
    secure = False
    for _ in range(REDIRECTS + 1):
        target = target_of(url, policy)
        if secure and not target.secure:
            raise BadInput(Status.BLOCKED, "URL_DOWNGRADE", f"a redirect leads from https to http://{target.host}")
        secure = target.secure
        with explained(target, deadline):
            places = addresses_of(target, policy, resolve or look_up(deadline.wait()))
            with contextlib.closing(connect(target, places, deadline)) as wire:
                response = wire.ask("GET", target, "*/*")
                moved = response.getheader("Location") if response.status in MOVED else None
                if moved is None:
                    return _content(response, wire, target, limits)
                url = urljoin(url, moved.encode("latin-1").decode("utf-8", "replace"))
    raise BadInput(
        Status.REMOTE_ERROR, "URL_REDIRECTS", f"more than {REDIRECTS} redirects, the last at {target.host}"
    )


def _content(response: http.client.HTTPResponse, wire: Wire, target: Target, limits: Limits) -> bytes:
    status, declared = response.status, response.length
    if status != 200:
        problem = BadInput(Status.REMOTE_ERROR, f"URL_HTTP_{status}", f"{target.host} answered {status}")
        if status in AGAIN:
            raise MayPass(problem, retry_after(response.getheader("Retry-After")))
        raise problem
    packed = response.getheader("Content-Encoding", "identity").strip().lower()
    framing = response.getheader("Transfer-Encoding", "chunked").strip().lower()
    if packed not in ("identity", "") or framing != "chunked":
        message = f"{target.host} sends packed content, which was not asked for"
        raise BadInput(Status.REMOTE_ERROR, "URL_ENCODING", message)
    if declared is not None and declared > limits.bytes:
        raise BadInput(Status.LIMIT, "BYTES", f"{declared} bytes; the limit is {limits.bytes}")
    excess = BadInput(Status.LIMIT, "BYTES", f"more bytes than the limit, which is {limits.bytes}")
    return wire.content(response, limits.bytes, excess)
