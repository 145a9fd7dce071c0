"""Keys of servers: named by environment variable, read when they are sent, told to nobody.

Whoever writes a file or a line on the screen passes it through `redacted`: a server may echo the key that it
was sent, and a library may quote it in its error.
"""

from __future__ import annotations

import base64
import html
import json
import os
from urllib.parse import quote

SHORTEST = 6  # characters; "none" or "EMPTY" is no secret, and would be cut out of ordinary words
MARK = "[key]"
_told: list[str] = []  # every spelling of the keys that this process read, longest first


def read(variable: str) -> str | None:
    """The key in an environment variable, None where it is unset or blank; from now on it is redacted."""
    key = os.environ.get(variable, "").strip()
    if len(key) >= SHORTEST:
        escaped = json.dumps(key)[1:-1]
        spellings = {key, escaped, html.escape(key), quote(key, safe=""), repr(key)[1:-1]}
        spellings.add(base64.b64encode(key.encode()).decode())
        _told[:] = sorted({*_told, *spellings}, key=len, reverse=True)
    return key or None


def redacted(text: str) -> str:
    """`text` without the keys that were read."""
    for spelling in _told:
        if spelling in text:
            text = text.replace(spelling, MARK)
    return text
