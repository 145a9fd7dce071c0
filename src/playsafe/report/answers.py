"""What the judges said of every reply and how it sounded, kept small: many parts of the page ask for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np

from playsafe import metrics
from playsafe.metrics import SAFE
from playsafe.records import Outcome
from playsafe.report.load import Run

STATES: tuple[str, ...] = (*get_args(Outcome), "unparsed", "error")
PLACES = {state: place for place, state in enumerate(STATES)}
VALUES = len(get_args(Outcome))  # states before this place are outcomes
MISSING = -1  # no verdict is stored


class Replies(NamedTuple):
    """Of one run and suite. ids: in a fixed order. ratios: the voice, NaN where it was not measured.
    codes: judge → place in STATES of each reply's verdict."""

    ids: tuple[str, ...]
    ratios: np.ndarray
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
        states = {
            judge: {
                v.id: v.outcome if v.state == "value" else v.state for v in run.verdicts(key, judge).values()
            }
            for judge in run.judges
        }
        voices = run.voices(key)
        listed: list[Iterable[str]] = [*states.values(), voices]
        found = tuple(sorted({item for names in listed for item in names}))
        ids = self._ids.setdefault(found, found)
        codes = {
            judge: np.array(
                [STATES.index(by_id[item]) if by_id.get(item) in STATES else MISSING for item in ids],
                dtype=np.int8,
            )
            for judge, by_id in states.items()
        }
        ratios = np.array([voices[item].ratio if item in voices else np.nan for item in ids], dtype=float)
        return Replies(ids, ratios, codes)


def indicator(replies: Replies, metric: str, judge: str) -> np.ndarray:
    """Per reply: 1 where the metric's outcome occurred, 0 where not, NaN where it could not be judged."""
    if judge not in replies.codes:
        return np.full(len(replies.ids), np.nan)
    if metric == "immersion":  # of the safe answers alone
        asked = replies.among(judge, SAFE) & ~np.isnan(replies.ratios)
        return np.where(asked, replies.ratios > 0, np.nan)
    hits = metrics.get(metric).hits  # type: ignore[attr-defined]
    return np.where(replies.judged(judge), replies.among(judge, hits), np.nan)


def aligned(found: Mapping[Path, tuple[tuple[str, ...], np.ndarray]]) -> dict[Path, np.ndarray]:
    """One number a prompt for each run, prompts in the same order everywhere, NaN where one is missing."""
    sets = {ids for ids, _ in found.values()}
    if len(sets) == 1 and next(iter(sets)):
        return {path: values for path, (_, values) in found.items()}
    union = sorted({item for ids in sets for item in ids}) or [""]
    place = {item: n for n, item in enumerate(union)}
    rows = {}
    for path, (ids, values) in found.items():
        rows[path] = np.full(len(union), np.nan)
        rows[path][[place[item] for item in ids]] = values
    return rows
