"""What a model says to itself before it answers: found at the beginning of a reply, between tags.

The answer is what is judged, measured and shown. A reply that ends inside its thought has no answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

_TAG = re.compile(
    r"<(?P<xml>/?)(?P<name>(?:seed:)?(?:think|thinking|thoughts?|reasoning))\s*>"
    r"|\[(?P<square>/?)THINK\]"
    r"|(?P<drawn>◁/?)think▷"
    r"|<\|(?P<word>begin|end)_of_thought\|>"
    r"|<\|(?P<stage>START|END)_THINKING\|>"
    r"|(?P<bar><\|channel>(?:thought)?|<channel\|>)",
    re.IGNORECASE,
)
_CHANNEL = re.compile(
    r"(?:<\|start\|>assistant)?<\|channel\|>\s*(?P<name>\w*)[^<\n]*"
    r"(?:<\|constrain\|>[^<\n]*)?(?:<\|message\|>)?",
    re.IGNORECASE,
)
_NEXT_CHANNEL = re.compile(r"<\|start\|>assistant<\|channel\|>", re.IGNORECASE)
_TURN_END = re.compile(r"<\|(?:end|return|call)\|>\Z")
_INDENT = 40  # characters before a tag that tell whether it begins its line
_MOST = 1000  # tags looked at of a reply; one that begins with so many never comes to an answer
_CHANNEL_TOKENS = {"<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|constrain|>"}


class _Tag(NamedTuple):
    """start, end: places in the text. family: tags of one family close each other. inline: behind other words
    of its line."""

    start: int
    end: int
    family: str
    opens: bool
    inline: bool


def split_thought(text: str, opened: bool = False, cut: bool = False) -> tuple[str, str | None]:
    """(thought, answer) of a reply; answer None: the reply ends inside its thought.

    A thought stands at the beginning; tags further on are text. Several in a row are joined with a blank line
    between. Without a thought the text is the answer as it is. opened: the prompt ended inside a thought, so
    the text begins in it. Where that is not known, a closing tag that no opening tag precedes counts as the
    end of a thought where it begins or ends its line. cut: the text was cut off, so that nothing behind a
    thought is no empty answer: it never began.
    """
    thought, answer = _split(text, opened)
    return thought, None if cut and answer == "" != text else answer


def _split(text: str, opened: bool) -> tuple[str, str | None]:
    tags = _tags(text)
    if _CHANNEL.match(text.lstrip()):
        return _channels(text.lstrip())
    if (opened and _CHANNEL.search(text)) or (_NEXT_CHANNEL.search(text) and not tags):
        return _channels(f"<|channel|>analysis<|message|>{text}")
    inside = opened or _unopened(text, tags)
    thoughts, place, n = list[str](), 0, 0
    while True:
        first = tags[n] if n < len(tags) else None
        leads = first is not None and first.opens and not text[place : first.start].strip()
        if not (inside or leads):
            break
        family = None if first is None or inside else first.family
        begin, n = (first.end, n + 1) if first is not None and leads else (place, n)
        found = _closing(tags, n, family)
        thoughts.append(text[begin : None if found is None else tags[found].start].strip())
        if found is None:
            return _joined(thoughts), None
        place, n, inside = tags[found].end, found + 1, False
    if n == _MOST:
        return _joined(thoughts), None
    return (_joined(thoughts), text[place:].strip()) if place else ("", text)


def ends_inside(text: str) -> bool:
    """Whether a text ends in a tag that opens a thought."""
    tags = _tags(text)
    if tags and tags[-1].opens and not text[tags[-1].end :].strip():
        return True
    *_, last = [None, *_CHANNEL.finditer(text)]
    return last is not None and last.end() == len(text) and last["name"].lower() == "analysis"


def tags(text: str) -> list[str]:
    """Everything in a text that tells a thought from its answer."""
    return [match[0] for pattern in (_TAG, _CHANNEL) for match in pattern.finditer(text)]


def whole(thought: str, answer: str, unfinished: bool = False) -> str:
    """A reply from its parts, as `split_thought` reads it."""
    if unfinished:
        return f"<think>\n{thought}"
    return f"<think>\n{thought}\n</think>\n\n{answer}" if thought else answer


def marks(tokens: Sequence[str]) -> set[str]:
    """Those of a tokenizer's control tokens that tell a thought from its answer."""
    channels = _CHANNEL_TOKENS if "<|channel|>" in tokens else set()
    return {token for token in tokens if token in channels or _TAG.fullmatch(token)}


def leading_tags(text: str) -> list[str]:
    """The pieces of a reply up to its answer, every second one a tag; the last piece is the answer, and the
    only one of a reply that does not begin with a tag that opens a thought."""
    first = next(iter(_tags(text)), None)
    if first is None or not first.opens or text[: first.start].strip():
        return [text]
    _, answer = split_thought(text)
    head = text[: len(text.rstrip()) - len(answer or "")] if answer != text else ""
    pieces, place = list[str](), 0
    for tag in _tags(head):
        pieces += [text[place : tag.start], text[tag.start : tag.end]]
        place = tag.end
    return [*pieces, text[place:]]


def _tags(text: str) -> list[_Tag]:
    found = []
    for match in islice(_TAG.finditer(text), _MOST):
        kind = str(match.lastgroup)
        family = match["name"].lower() if match["name"] else kind
        closes = bool(re.match(r"</|\[/|◁/|<\|end|<channel\|", match[0], re.IGNORECASE))
        before = text[max(0, match.start() - _INDENT) : match.start()].rstrip(" \t")
        inline = bool(before) and not before.endswith("\n")
        found.append(_Tag(match.start(), match.end(), family, not closes, inline))
    return found


def _unopened(text: str, tags: Sequence[_Tag]) -> bool:
    """Whether the first tag closes a thought that something before the text opened."""
    if not tags or tags[0].opens:
        return False
    line, end, _ = text[tags[0].end :].partition("\n")
    return not tags[0].inline or (not line.strip() and bool(end))


def _closing(tags: Sequence[_Tag], begin: int, family: str | None) -> int | None:
    """Place in `tags` of the one that closes a thought, of its family (None: of any), from `begin` on.

    Opening tags inside are thoughts within it, those in the middle of a line only where that leaves it
    closed: else they are quotations."""
    strict, quoting = 1, 1  # how deep, with and without those in the middle of a line
    first = None
    for n, tag in enumerate(islice(tags, begin, None), begin):
        if family in (None, tag.family):
            strict += 1 if tag.opens else -1
            quoting += (not tag.inline) if tag.opens else -1
            if strict == 0:
                return n
            first = n if first is None and quoting == 0 else first
    return first


def _channels(text: str) -> tuple[str, str | None]:
    """Of a reply that is a row of channels: the last one, `final`, is the answer."""
    headers, thoughts = list(_CHANNEL.finditer(text)), list[str]()
    for n, header in enumerate(headers):
        if header["name"].lower() == "final":
            return _joined(thoughts), _body(text[header.end() :])
        end = headers[n + 1].start() if n + 1 < len(headers) else None
        thoughts.append(_body(text[header.end() : end]))
    return _joined(thoughts), None


def _body(message: str) -> str:
    """A message without the tokens that end it, of which a reply may hold any number."""
    message = message.strip()
    end = len(message)
    while last := _TURN_END.search(message, max(0, end - _INDENT), end):
        end = last.start()
        while end and message[end - 1].isspace():
            end -= 1
    return message[:end]


def _joined(thoughts: Sequence[str]) -> str:
    return "\n\n".join(filter(None, thoughts))
