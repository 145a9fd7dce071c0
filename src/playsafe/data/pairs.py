"""Parallel preference pairs: the same request in the dominant language and in another, each with a safe and an
unsafe reply.

Two formats, detected: MPO's (`source_*` is the dominant side, `target_*` the other) and a plain one, a line a
side: `group`, `language`, `prompt`, `chosen`, `rejected`, where every group has one side in the dominant
language. Nothing is dropped here; `check` says what is wrong with which side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from playsafe.data.files import Row, read_rows, string
from playsafe.data.language import language_of, main_language
from playsafe.errors import BadInput
from playsafe.records import Message

FAULTS = {
    "empty": "the prompt or a reply is empty",
    "untranslated": "the target's prompt is in the dominant language",
    "chosen language": "the safe reply is not in the language of its prompt",
    "rejected language": "the unsafe reply is not in the language of its prompt",
    "identical": "both replies are the same text",
    "swapped": "the unsafe reply refuses and the safe one does not",
    "no refusal": "neither reply refuses",
    "unreadable": "no rule reads the language: whether the safe reply refuses is not known",
    "duplicate": "an earlier side has the same prompt and replies",
}
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
    """The dominant side, whose reward gap is the aim, and the target, which is led to it. source: file:line."""

    id: str
    dominant: Side
    target: Side
    source: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one side. id: of the pair, "dominant" or "target". kind: a key of FAULTS."""

    id: str
    side: str
    language: str
    kind: str


def load_pairs(path: str | Path, *, dominant: str) -> tuple[ParallelPair, ...]:
    """Read .json, .jsonl or .csv. dominant: the language whose gap is the aim.

    MPO's format does not name languages: those of its target prompts are identified, and that of all source
    prompts together. Raises BadInput with file and line: no row of either format, a file whose dominant sides are in
    another language, a group without a dominant side or with a language twice.
    """
    rows = read_rows(Path(path))
    if "source_conversations" in rows[0][1]:
        return _mpo(rows, dominant, str(path))
    return _plain(rows, dominant, str(path))


def sides(pairs: Sequence[ParallelPair], language: str) -> tuple[Side, ...]:
    """The distinct sides in one language, in the order of the pairs."""
    every = (side for pair in pairs for side in (pair.dominant, pair.target))
    return tuple(dict.fromkeys(side for side in every if side.language == language))


def check(pairs: Sequence[ParallelPair], refuses: Callable[[str, str], bool | None]) -> tuple[Fault, ...]:
    """Every fault of every side; a dominant side that several pairs share is looked at once.

    refuses: (language, reply) → whether the reply refuses, None where that cannot be read.
    """
    found: list[Fault] = []
    seen: set[Side] = set()
    shared: set[Side] = set()
    for pair in pairs:
        if pair.dominant not in shared:
            shared.add(pair.dominant)
            found += [
                Fault(pair.id, "dominant", pair.dominant.language, k) for k in _faults(pair.dominant, refuses)
            ]
        kinds = ["untranslated"] if pair.target.language == pair.dominant.language else []
        kinds += [*_faults(pair.target, refuses), *(["duplicate"] if pair.target in seen else [])]
        seen.add(pair.target)
        found += [Fault(pair.id, "target", pair.target.language, kind) for kind in kinds]
    return tuple(found)


def _faults(side: Side, refuses: Callable[[str, str], bool | None]) -> Iterable[str]:
    if not all(text.strip() for text in (side.messages[-1].content, side.chosen, side.rejected)):
        yield "empty"
        return
    if language_of(side.chosen) != side.language:
        yield "chosen language"
    if language_of(side.rejected) != side.language:
        yield "rejected language"
    if side.chosen.strip() == side.rejected.strip():
        yield "identical"
        return
    chosen = refuses(side.language, side.chosen)
    if chosen is None:
        yield "unreadable"
    elif not chosen:
        yield "swapped" if refuses(side.language, side.rejected) else "no refusal"


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
            f"not a row of MPO's format: {error!r}.",
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
