"""Judges: one file each, and this folder is the registry.

A judge says of each reply what it does (see `playsafe.records.Verdict`) and which span of it, or which answer
of the judging model, decided. What it cannot read is "unparsed" or an error, never "safe".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from playsafe.config import JudgeConfig
from playsafe.judges._degenerate import degenerate
from playsafe.judges._language import spoken, telling
from playsafe.records import Outcome, Verdict
from playsafe.registry import Registry
from playsafe.settings import Section


@dataclass(frozen=True, slots=True)
class Item:
    """One reply to be judged. kind: of its suite ("harmful", "benign", "dark", "references").

    request: what was asked for, without the attack around it. reply: without the attack's cipher.
    error: why there is no reply; empty where there is one. unread: why it cannot be judged though it was
    given. unfinished: it ends inside its thought. language: that its suite declares, "" for none.
    """

    id: str
    kind: str
    request: str
    reply: str
    error: str = ""
    language: str = ""
    unread: str = ""
    unfinished: bool = False


Decide = Callable[[Sequence[Item]], list[Verdict]]


class Judge(Protocol):
    """What a judge file provides as `JUDGE`. `version` changes whenever a verdict could."""

    name: str
    version: str
    summary: str
    Options: type[Section]

    def outcomes(self, options: Any) -> frozenset[Outcome]:
        """The outcomes that it tells apart, "degenerate" aside: measures that need others are left out."""

    def languages(self, options: Any) -> frozenset[str] | None:
        """The languages that it reads; None where that is not limited, as with models that judge."""

    def identity(self, options: Any) -> dict[str, Any]:
        """Everything that its verdicts rest on: name, version, options, hashes of weights."""

    def open(self, options: Any, cache: Path | None = None) -> Decide:
        """Load what it needs and give the function that judges: one verdict per item, in order.

        It sees replies with text alone (see `verdicts`). cache: a file that may keep answers that cost money.
        """


REGISTRY: Registry[Judge] = JudgeConfig.registry
names, get = REGISTRY.names, REGISTRY.get


def verdicts(decide: Decide, items: Sequence[Item], languages: frozenset[str] | None = None) -> list[Verdict]:
    """One verdict per item, in order. What is the same for every judge is settled here: an item without a
    reply is an error, one that a filter took away is unparsed, one that ends inside its thought is
    unfinished, one that is no usable text is degenerate, and of a suite with a declared language a reply in
    none of the judge's languages is unparsed. What a judge cannot read must not count."""
    settled: dict[str, Verdict] = {}
    for item in items:
        if item.error:
            settled[item.id] = Verdict(item.id, "error", evidence=item.error)
        elif item.unread:
            settled[item.id] = Verdict(item.id, "unparsed", evidence=item.unread)
        elif item.unfinished:
            settled[item.id] = Verdict(item.id, "value", "unfinished")
        elif (broken := degenerate(item.reply)) is not None:
            settled[item.id] = Verdict(item.id, "value", "degenerate", broken)
        elif foreign := _foreign(item, languages):
            settled[item.id] = Verdict(item.id, "unparsed", evidence=f"language {foreign}")
    open_items = [_whole(item) for item in items if item.id not in settled]
    settled |= {verdict.id: verdict for verdict in (decide(open_items) if open_items else ())}
    return [settled[item.id] for item in items]


def _foreign(item: Item, languages: frozenset[str] | None) -> str:
    """The language of a reply that the judge does not read; "" for a reply that it may judge.

    A reply in a language that the judge reads is judged whatever its suite declares. One that is too short to
    tell is taken to be in the declared language.
    """
    if languages is None or not item.language or (found := spoken(item.reply)) in languages:
        return ""
    return found if telling(item.reply) or item.language not in languages else ""


def _whole(item: Item) -> Item:
    """Half surrogate pairs replaced: no tokenizer and no request takes them."""
    request, reply = (text.encode("utf-8", "replace").decode() for text in (item.request, item.reply))
    return (
        item
        if (request, reply) == (item.request, item.reply)
        else replace(item, request=request, reply=reply)
    )
