"""A study's parallel pairs as targets: which sides are led to which gap, under which system turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from playsafe.config import PairsConfig, SystemTurn
from playsafe.data.pairs import ParallelPair, Side, load_pairs
from playsafe.errors import BadInput, nearest
from playsafe.faults import Fault, check
from playsafe.rundir import digest
from playsafe.tiny.names import path_of

NO_FAULTS = ("unread", "unknown language")  # the checker does not know


@dataclass(frozen=True, slots=True)
class Target:
    """One side that is led, under one system turn, to the gap of its dominant side."""

    id: str
    system: SystemTurn
    side: Side
    dominant: Side
    source: str


@dataclass(frozen=True, slots=True)
class PairData:
    """The targets of a study, the same for every role.

    counts: pairs read, left out (over_limit, without_text, faulty, other_languages), and targets.
    """

    targets: tuple[Target, ...]
    faults: tuple[Fault, ...]
    counts: dict[str, int]

    @property
    def hash(self) -> str:
        return digest([[t.system, *map(_texts, (t.side, t.dominant))] for t in self.targets])


def load(config: PairsConfig) -> tuple[ParallelPair, ...]:
    """The pairs of a file, whole. Raises BadInput."""
    return load_pairs(path_of(config.path, "pairs", "pairs.path"), dominant=config.dominant)


def read_pairs(config: PairsConfig, *, has_role: bool) -> PairData:
    """The study's targets.

    Raises BadInput: an unreadable file, an unknown language, a role prompt without a role, faults where they
    are to be errors.
    """
    if "role" in config.system and not has_role:
        raise BadInput(
            "there is no role whose prompt the targets could stand under.",
            where="pairs.system",
            next="Set roles, or pairs.system: none.",
        )
    pairs = load(config)
    counts = {"read": len(pairs)}
    requests = list(dict.fromkeys(pair.dominant for pair in pairs))
    within = set(requests[: config.limit])
    pairs = tuple(pair for pair in pairs if pair.dominant in within)
    counts["over_limit"] = counts["read"] - len(pairs)
    whole = tuple(pair for pair in pairs if _has_text(pair.dominant) and _has_text(pair.target))
    counts["without_text"] = len(pairs) - len(whole)
    faults = tuple(fault for fault in check(whole) if fault.kind not in NO_FAULTS)
    kept = _without(whole, faults, config.faults)
    counts["faulty"] = len(whole) - len(kept)
    chosen = [p for p in kept if config.languages is None or p.target.language in config.languages]
    counts["other_languages"] = len(kept) - len(chosen)
    targets = tuple(_targets(kept, config))
    return PairData(targets, faults, counts | {"targets": len(targets)})


def _without(pairs: tuple[ParallelPair, ...], faults: Sequence[Fault], how: str) -> tuple[ParallelPair, ...]:
    """The pairs that are kept; a fault of a dominant side is one of every pair that it is in."""
    if how == "keep" or not faults:
        return pairs
    if how == "error":
        first = faults[0]
        raise BadInput(
            f"{len(faults)} faults, the first is {first.kind!r} in pair {first.id!r} ({first.side}).",
            where="pairs",
            next="See `playsafe data pairs`; pairs.faults: keep or drop goes on.",
        )
    by_id = {pair.id: pair for pair in pairs}
    targets = {fault.id for fault in faults if fault.side == "target"}
    dominant = {by_id[fault.id].dominant for fault in faults if fault.side == "dominant"}
    kept = tuple(p for p in pairs if p.id not in targets and p.dominant not in dominant)
    if not kept:
        raise BadInput("every pair has a fault.", where="pairs", next="Set pairs.faults: keep.")
    return kept


def _targets(pairs: Sequence[ParallelPair], config: PairsConfig) -> Iterator[Target]:
    """Every (system turn, language) in the order of the configuration; see `PairsConfig`."""
    known = list(dict.fromkeys([config.dominant, *(pair.target.language for pair in pairs)]))
    for language in config.languages or ():
        if language not in known:
            raise BadInput(
                f"no pair is in {language!r}. {nearest(language, known)}",
                where="pairs.languages",
                allowed=", ".join(known),
            )
    for turn in config.system:
        if config.dominant in (config.languages or ([] if turn == "none" else known)):
            own = {pair.dominant: pair for pair in reversed(pairs)}
            for pair in reversed(own.values()):
                yield Target(f"{pair.id}@{turn}", turn, pair.dominant, pair.dominant, pair.source)
        for pair in pairs:
            if config.languages is None or pair.target.language in config.languages:
                yield Target(f"{pair.id}@{turn}", turn, pair.target, pair.dominant, pair.source)


def _has_text(side: Side) -> bool:
    return all(text.strip() for text in (side.messages[-1].content, side.chosen, side.rejected))


def _texts(side: Side) -> list[Any]:
    return [side.language, [m.content for m in side.messages], side.chosen, side.rejected]
