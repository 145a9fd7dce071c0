"""Characters that whoever shows a text would obey or hide, shown as their numbers."""

from __future__ import annotations

import json
import re

_MARKS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # of direction
_HIDDEN = r"\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b\u2028\u2029\u2060-\u206f\ufeff\ufff9-\ufffb"  # and controls
_TAGS = r"\U000e0000-\U000e007f"
_OBEYED = re.compile(f"[{_MARKS}{_HIDDEN}{_TAGS}\ud800-\udfff]")
_TURNING = re.compile(f"[{_MARKS}]")


def visible(text: str) -> str:
    """`text` for a terminal: no control, nothing hidden, such as \\u202e; line ends and tabs stay."""
    return _OBEYED.sub(_number, text)


def straight(text: str) -> str:
    """`text` for a page: a mark of direction turns no words beside it round."""
    return _TURNING.sub(_number, text)


def _number(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]
