"""Thoughts before an answer: what a model that reasons writes for itself. The answer is what is judged.

A thought stands at the beginning of a reply, between tags, or in a channel of its own; a tag that is quoted
in the middle of an answer is text. Where the prompt opened the thought, the reply begins inside it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

OPEN = "<think>\n"  # how a thought that the prompt has opened is written down
_NAMES = "think|thinking|thought|thoughts|reasoning|seed:think"
_PAIRS = (  # opening and closing tag
    (rf"<\s*({_NAMES})\s*>", rf"<\s*/\s*({_NAMES})\s*>"),
    (r"\[THINK\]", r"\[/THINK\]"),
    (r"<\|(START_THINKING|begin_of_thought)\|>", r"<\|(END_THINKING|end_of_thought)\|>"),
    (r"◁think▷", r"◁/think▷"),
)
_TAGS = tuple((re.compile(a, re.IGNORECASE), re.compile(b, re.IGNORECASE)) for a, b in _PAIRS)
_ANY_OPEN = re.compile("|".join(a for a, _ in _PAIRS), re.IGNORECASE)
_ANY_CLOSE = re.compile("|".join(b for _, b in _PAIRS), re.IGNORECASE)
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>(.*?)(?=<\|(?:end|start|channel|return|call)\|>|\Z)", re.S
)
_CHANNEL_TAG = re.compile(r"<\|(channel|message|start|end)\|>")


class Split(NamedTuple):
    """answer: None where the reply ends inside its thought."""

    thought: str
    answer: str | None


def split_thought(text: str, opened: bool = False) -> Split:
    """A reply as thought and answer. opened: the prompt has opened the thought already."""
    if "<|channel|>" in text:
        return _channels(text)
    thoughts: list[str] = []
    rest = text
    if not _ANY_OPEN.match(rest.lstrip()) and (opened or _closes_first(rest)):
        rest = OPEN + rest
    while begun := _ANY_OPEN.match(rest := rest.lstrip()):
        end = _end(rest, begun)
        if end is None:
            return Split("\n\n".join([*thoughts, rest[begun.end() :].strip()]).strip(), None)
        thoughts.append(rest[begun.end() : end.start()].strip())
        rest = rest[end.end() :]
    thought = "\n\n".join(filter(None, thoughts))
    return Split(thought, rest.strip() if thoughts else text)


def opens(prompt: str) -> bool:
    """Whether a prompt ends inside a thought."""
    last = [m.start() for m in _ANY_OPEN.finditer(prompt)][-1:]
    closed = [m.start() for m in _ANY_CLOSE.finditer(prompt)][-1:]
    return bool(last) and (not closed or closed[0] < last[0])


def is_tag(token: str) -> bool:
    """Whether a token of a vocabulary opens or closes a thought or a channel."""
    return any(p.fullmatch(token.strip()) for p in (_ANY_OPEN, _ANY_CLOSE, _CHANNEL_TAG))


def has_tag(text: str) -> bool:
    return any(pattern.search(text) for pattern in (_ANY_OPEN, _ANY_CLOSE, _CHANNEL_TAG))


def _closes_first(text: str) -> bool:
    """A closing tag before which none is opened: the prompt opened it, and nobody said so (a server's)."""
    closed = _ANY_CLOSE.search(text)
    return closed is not None and _ANY_OPEN.search(text, 0, closed.start()) is None


def _end(text: str, begun: re.Match[str]) -> re.Match[str] | None:
    """Where the thought ends that begins here: the tag that closes it, whatever is opened and closed inside;
    where they do not come out even, the last one."""
    opening, closing = next(pair for pair in _TAGS if pair[0].match(begun.group()))
    depth, last = 1, None
    tags = [*opening.finditer(text, begun.end()), *closing.finditer(text, begun.end())]
    for tag in sorted(tags, key=lambda m: m.start()):
        if opening.match(tag.group()):
            depth += 1
            continue
        depth, last = depth - 1, tag
        if depth == 0:
            return tag
    return last


def _channels(text: str) -> Split:
    """Harmony's channels: what stands in "final" is the answer, the others are thoughts."""
    found = [(m[1].lower(), m[2].strip()) for m in _CHANNEL.finditer(text)]
    before = text[: text.index("<|channel|>")].strip()
    finals = [said for name, said in found if name == "final"]
    thought = "\n\n".join(said for name, said in found if name != "final" and said)
    if not finals:
        return Split(thought, before or None)
    return Split(thought, "\n\n".join(finals))
