"""What the judges said of every reply and whether it was in character, kept small: many parts ask for it."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np

from playsafe.records import Outcome
from playsafe.results.load import Run

STATES: tuple[str, ...] = (*get_args(Outcome), "unparsed", "error")
PLACES = {state: place for place, state in enumerate(STATES)}
VALUES = len(get_args(Outcome))  # states before this place are outcomes
MISSING = -1  # no verdict is stored


class Replies(NamedTuple):
    """Of one run and suite. ids: in a fixed order. voiced: 1 in character, 0 not, NaN not measured. codes:
    judge → place in STATES of each reply's verdict."""

    ids: tuple[str, ...]
    voiced: np.ndarray
    codes: dict[str, np.ndarray]

    def judged(self, judge: str) -> np.ndarray:
        """Which replies have an outcome."""
        return (self.codes[judge] >= 0) & (self.codes[judge] < VALUES)

    def among(self, judge: str, outcomes: Collection[str]) -> np.ndarray:
        """Which replies have one of these outcomes or states."""
        return np.isin(self.codes[judge], [PLACES[outcome] for outcome in outcomes])


class Answers:
    """Reads verdicts and voices of a run and suite once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, str], Replies] = {}
        self._ids: dict[tuple[str, ...], tuple[str, ...]] = {}  # most runs have the same

    def of(self, run: Run, key: str) -> Replies:
        place = (run.path, key)
        if place not in self._known:
            self._known[place] = self._read(run, key)
        return self._known[place]

    def _read(self, run: Run, key: str) -> Replies:
        states: dict[str, dict[str, str | None]] = {}
        for judge in run.judges:
            verdicts = run.verdicts(key, judge).values()
            states[judge] = {v.id: v.outcome if v.state == "value" else v.state for v in verdicts}
        voices = run.voices(key)
        found = tuple(sorted(set(voices).union(*states.values())))
        ids = self._ids.setdefault(found, found)
        codes = {
            judge: np.array([PLACES.get(str(by_id.get(item)), MISSING) for item in ids], dtype=np.int8)
            for judge, by_id in states.items()
        }
        voiced = [voices[item].in_character if item in voices else np.nan for item in ids]
        return Replies(ids, np.array(voiced, dtype=float), codes)


def natural(item: str) -> list[tuple[int, str]]:
    """harmful:2 before harmful:10."""
    parts = re.findall(r"\d{1,18}|\D+", item)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]
