"""Replies that are no usable answer: empty, without letters, looping, or broken characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

WINDOW = 60  # words looked at together, so that a good start does not hide a loop behind it
FEWEST_WORDS = 20  # below this, only one word repeated counts as a loop
DISTINCT_TRIGRAMS = 1 / 3  # share of distinct word triples under which a window loops
SAME_WORD = 0.8  # share of one word among at least ten that makes a short reply a loop
BROKEN = 0.1  # share of broken characters

_WORD = re.compile(r"[\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_LONGEST_WORD = 30  # longer runs count letter by letter ("aaaa…")
_UNUSUAL = re.compile(r"[^ -~\t\n\r]")  # few characters of most texts
_DOUBLE_DECODED = re.compile(r"[ÃÂ][\u0080-\u00ff]|â€.|ï¿½|√[\u00a0-\u2122]")


LONGEST = 20_000  # characters looked at of a reply


def degenerate(text: str) -> str | None:
    """The span that shows that `text` is no usable answer; None for a usable one."""
    text = text.strip()[:LONGEST]
    if not any(map(str.isalpha, text)):
        return text[:80]
    broken = sum(unicodedata.category(c) in ("Cc", "Cn", "Co", "Cs") for c in _UNUSUAL.findall(text))
    broken += text.count("\ufffd") + sum(len(m.group()) for m in _DOUBLE_DECODED.finditer(text))
    return text[:80] if broken > BROKEN * len(text) else _loop(text)


def _loop(text: str) -> str | None:
    """The first window of words that says the same again and again."""
    pieces = [piece for word in _WORD.findall(text) for piece in _pieces(word)]
    plain = [piece.lower() for piece in pieces]
    if 10 <= len(plain) < FEWEST_WORDS and plain.count(max(set(plain), key=plain.count)) >= SAME_WORD * len(
        plain
    ):
        return text[:80]
    for first in range(0, max(1, len(plain) - WINDOW + WINDOW // 3), WINDOW // 3):
        window = plain[first : first + WINDOW]
        triples = list(zip(window, window[1:], window[2:], strict=False))
        if len(window) >= FEWEST_WORDS and len(set(triples)) < DISTINCT_TRIGRAMS * len(triples):
            starts = [m.start() + n for m in _WORD.finditer(text) for n, _ in enumerate(_pieces(m.group()))]
            return text[starts[first] :][:80]
    return None


def _pieces(word: str) -> Sequence[str]:
    return word if len(word) > _LONGEST_WORD else (word,)
