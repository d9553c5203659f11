"""Text without secrets: for every message that quotes a library, a server or an address.

Whoever reads an error may not be whom a key was given to: messages end up in rows, logs, reports and issues.
"""

from __future__ import annotations

import os
import re
from urllib.parse import quote

__all__ = ["redacted"]

HIDDEN = "***"

SHORTEST = 8
"""Characters of a secret in the environment that is looked for: a shorter one would hide common words."""

_NAMES = re.compile(r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(?:_|$)", re.IGNORECASE)

# every repetition that could be tried from many places is bounded: messages quote what strangers wrote
_WORDS = r"[\w.%-]{0,64}(?:key|token|sig|secret|pass|pwd|auth|cred|session|x-amz|x-goog)[\w.%-]{0,64}"
_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"(\b[a-z][a-z0-9+.-]{0,30}://)[^/\s?#]*@", rf"\1{HIDDEN}@"),
        (rf"([?&;]{_WORDS}=)[^&;\s#\"'<>]*", rf"\1{HIDDEN}"),
        (
            r"\b((?:proxy-)?authorization|x-api-key|api-key|(?:set-)?cookie)(['\"]?\s{0,4}:\s{0,4})[^\r\n]*",
            rf"\1\2{HIDDEN}",
        ),
        (r"\b(bearer\s{1,4})[\w.~+/=-]{8,}", rf"\1{HIDDEN}"),
        (rf"(['\"]{_WORDS}['\"]\s{{0,4}}:\s{{0,4}}['\"])[^'\"]*", rf"\1{HIDDEN}"),
        (r"\b((?:api_?key|token|secret|password|passwd)=)[^\s&;,\"')]+", rf"\1{HIDDEN}"),
        # the shapes that hubs and clouds give their keys, wherever they stand
        (r"\b(?:hf_\w{16,}|sk-[\w-]{16,}|gh[pousr]_\w{16,}|github_pat_\w{16,}|AKIA[0-9A-Z]{12,})", HIDDEN),
    )
)


def redacted(text: str) -> str:
    """The text with whatever looks like a secret replaced by ``***``.

    Hidden are user-info and signed parameters in URLs, headers that authorise, keys of known shape, and the values
    of this process's environment variables that are named like a secret (``HF_TOKEN``), at least 8 characters long,
    as they are or percent-encoded.
    """
    for value in _secrets():
        text = text.replace(value, HIDDEN)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _secrets() -> list[str]:
    """Longest first, so that none is hidden in part by another that it contains."""
    values = {value.strip() for name, value in os.environ.items() if _NAMES.search(name)}
    found = {form for value in values if len(value) >= SHORTEST for form in (value, quote(value, safe=""))}
    return sorted(found, key=len, reverse=True)
