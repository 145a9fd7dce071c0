"""Replies that are no usable answer: empty, without letters, looping, or broken characters."""

from __future__ import annotations

import re
import unicodedata

WINDOW = 60  # words looked at together, so that a good start does not hide a loop behind it
FEWEST_WORDS = 20  # below this, only one word repeated counts as a loop
DISTINCT_TRIGRAMS = 1 / 3  # share of distinct word triples under which a window loops
SAME_WORD = 0.8  # share of one word among at least ten that makes a short reply a loop
BROKEN = 0.1  # share of broken characters

_WORD = re.compile(r"[\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_LONGEST_WORD = 30  # longer runs count letter by letter ("aaaa…")
_DOUBLE_DECODED = re.compile(r"[ÃÂ][\u0080-\u00ff]|â€.|ï¿½|√[\u00a0-\u2122]")


LONGEST = 20_000  # characters looked at of a reply


def degenerate(text: str) -> str | None:
    """The span that shows that `text` is no usable answer; None for a usable one."""
    text = text.strip()[:LONGEST]
    if not any(map(str.isalpha, text)):
        return text[:80]
    broken = sum(unicodedata.category(c) in ("Cc", "Cn", "Co", "Cs") and c not in "\t\n\r" for c in text)
    broken += text.count("\ufffd") + sum(len(m.group()) for m in _DOUBLE_DECODED.finditer(text))
    return text[:80] if broken > BROKEN * len(text) else _loop(text)


def _loop(text: str) -> str | None:
    """The first window of words that says the same again and again."""
    words = [
        (piece, start)
        for m in _WORD.finditer(text)
        for piece, start in (
            [(m.group().lower(), m.start())]
            if len(m.group()) <= _LONGEST_WORD
            else [(c.lower(), m.start() + i) for i, c in enumerate(m.group())]
        )
    ]
    plain = [word for word, _ in words]
    if 10 <= len(plain) < FEWEST_WORDS and plain.count(max(set(plain), key=plain.count)) >= SAME_WORD * len(
        plain
    ):
        return text[:80]
    for first in range(0, max(1, len(plain) - WINDOW + WINDOW // 3), WINDOW // 3):
        window = plain[first : first + WINDOW]
        triples = list(zip(window, window[1:], window[2:], strict=False))
        if len(window) >= FEWEST_WORDS and len(set(triples)) < DISTINCT_TRIGRAMS * len(triples):
            return text[words[first][1] :][:80]
    return None
