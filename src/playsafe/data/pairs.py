"""Parallel preference pairs: one request in the dominant language and in another, each with a safe and an
unsafe reply.

Two formats, detected: MPO's (`source_*` is the dominant side, `target_*` the other) and a plain one, a line a
side: `group`, `language`, `prompt`, `chosen`, `rejected`, where every group has one side in the dominant
language. Nothing is dropped here; `playsafe.faults` says what is wrong with which side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from playsafe.data.files import Row, read_rows, string
from playsafe.data.language import language_of, main_language
from playsafe.errors import BadInput
from playsafe.records import Message

SHAPE = "group, language, prompt, chosen, rejected"


@dataclass(frozen=True, slots=True)
class Side:
    """One request with a safe (chosen, y_w) and an unsafe reply (rejected, y_l), all in one language."""

    language: str
    messages: tuple[Message, ...]
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True)
class ParallelPair:
    """The dominant side, whose reward gap is the aim, and the target, which is led to it.

    source: "file:line" for error messages.
    """

    id: str
    dominant: Side
    target: Side
    source: str = ""


def load_pairs(path: str | Path, *, dominant: str) -> tuple[ParallelPair, ...]:
    """Read .json, .jsonl or .csv. dominant: the language whose gap is the aim.

    MPO's format does not name languages: those of its target prompts are identified, and that of all source
    prompts together. Raises BadInput with file and line: no row of either format, dominant sides in another
    language, a group without a dominant side or with a language twice.
    """
    rows = read_rows(Path(path))
    if "source_conversations" in rows[0][1]:
        return _mpo(rows, dominant, str(path))
    return _plain(rows, dominant, str(path))


def _mpo(rows: Sequence[tuple[str, Row]], dominant: str, path: str) -> tuple[ParallelPair, ...]:
    read = [(place, _mpo_side(row, "source", place), _mpo_side(row, "target", place)) for place, row in rows]
    found = main_language(source[0][-1].content for _, source, _ in read)
    if found != dominant:
        raise BadInput(
            f"the source sides are in {found!r}, not in {dominant!r}.",
            where=path,
            next=f"Set pairs.dominant to {found!r}.",
        )
    return tuple(
        ParallelPair(
            str(number),
            Side(dominant, *source),
            Side(language_of(target[0][-1].content or target[1]), *target),
            place,
        )
        for number, (place, source, target) in enumerate(read, 1)
    )


def _mpo_side(row: Row, side: str, place: str) -> tuple[tuple[Message, ...], str, str]:
    try:
        turns = row[f"{side}_conversations"]
        if len(turns) != 1 or turns[0]["from"] not in ("human", "user"):
            raise BadInput(f"{side}_conversations is not one user turn.", where=place)
        user = string(turns[0]["value"], f"{side}_conversations", place, empty=True)
        chosen, rejected = (
            string(row[f"{side}_{which}"]["value"], f"{side}_{which}", place, empty=True)
            for which in ("chosen", "rejected")
        )
    except (KeyError, TypeError, IndexError) as error:
        raise BadInput(
            f"not a row of MPO's format: its {side} side lacks {error}."
            if isinstance(error, KeyError)
            else f"not a row of MPO's format: its {side} side has another shape.",
            where=place,
            allowed="source_conversations, source_chosen, source_rejected and the same with target_",
        ) from None
    return (Message("user", user),), chosen, rejected


def _plain(rows: Sequence[tuple[str, Row]], dominant: str, path: str) -> tuple[ParallelPair, ...]:
    groups: dict[str, dict[str, tuple[str, Side]]] = {}
    for place, row in rows:
        missing = [key for key in SHAPE.split(", ") if key not in row]
        if missing:
            raise BadInput(
                f"the row lacks {', '.join(missing)}.", where=place, allowed=f"{SHAPE}; or MPO's format"
            )
        language, prompt, chosen, rejected = (
            string(row[key], key, place, empty=key != "language")
            for key in ("language", "prompt", "chosen", "rejected")
        )
        group = groups.setdefault(str(row["group"]), {})
        if language in group:
            raise BadInput(f"group {row['group']!r} has {language!r} twice.", where=place)
        group[language] = (place, Side(language, (Message("user", prompt),), chosen, rejected))
    for name, group in groups.items():
        if dominant not in group:
            place, _ = next(iter(group.values()))
            raise BadInput(
                f"group {name!r} has no side in the dominant language {dominant!r}.",
                where=place,
                next="Set pairs.dominant, or add the side.",
            )
    pairs = tuple(
        ParallelPair(f"{name}:{language}", group[dominant][1], side, place)
        for name, group in groups.items()
        for language, (place, side) in group.items()
        if language != dominant
    )
    if not pairs:
        raise BadInput("no group has a second language.", where=path)
    return pairs
