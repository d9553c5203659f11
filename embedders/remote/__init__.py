"""Inputs by URL: off unless asked for, and never a way into the network of the machine that embeds.

A URL in a table is text of a stranger. Whoever embeds it must not be led to what only this machine can reach: a
database on loopback, the keys at a cloud's metadata address. :mod:`~embedders.remote.addresses` decides what a URL
may lead to, :mod:`~embedders.remote.fetching` goes there and nowhere else, within limits of time and size that
:mod:`~embedders.remote.wire` keeps::

    content = fetch("https://example.org/bells.jpg", Limits(), Policy(enabled=True, hosts=(".example.org",)))

:mod:`~embedders.remote.service` and :mod:`~embedders.remote.embeddings` ask a service that the user named.
"""

from embedders.remote.addresses import Policy, is_url
from embedders.remote.fetching import fetch

__all__ = ["Policy", "fetch", "is_url"]
