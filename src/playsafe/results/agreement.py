"""Whether judges agree: counts for each pair and suite, their errors, and the replies they disagree about."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from playsafe.metrics import UNSAFE
from playsafe.results.answers import STATES, VALUES, natural
from playsafe.results.load import Run
from playsafe.results.numbers import Numbers
from playsafe.statistics import numbered

LIMIT = 200  # disagreements listed
ANSWERED = np.isin(STATES, [*UNSAFE])  # by place in STATES


class Pair(NamedTuple):
    """Two judges on one suite: counts of replies by request and outcome, rows the first judge, columns the
    second. All runs answer the same requests."""

    a: str
    b: str
    key: str
    counts_TKK: np.ndarray

    @property
    def table_KK(self) -> np.ndarray:
        return np.asarray(self.counts_TKK.sum(axis=0))

    @property
    def n(self) -> int:
        return int(self.counts_TKK.sum())

    @property
    def answered(self) -> np.ndarray:
        return np.asarray(self.answered_TKK.sum(axis=0))

    @property
    def answered_TKK(self) -> np.ndarray:
        """The same replies in two classes: answered or not."""
        side_K2 = np.eye(2, dtype=self.counts_TKK.dtype)[ANSWERED[:VALUES].astype(int)]
        return np.asarray(side_K2.T @ self.counts_TKK @ side_K2)


def keys(numbers: Numbers) -> list[str]:
    return [key for kind in ("harmful", "dark", "benign") for key in numbers.runs.keys(kind)]


def _every(numbers: Numbers, key: str) -> list[Run]:
    return [run for run in numbers.runs.every if key in run.asked]


def pairs(numbers: Numbers) -> list[Pair]:
    """Every pair of judges on every suite that both judged, all runs together."""
    found = []
    for a, b in combinations(numbers.runs.judges, 2):
        for key in keys(numbers):
            every = [numbers.answers.of(run, key) for run in _every(numbers, key)]
            asked = [name for replies in every for name in replies.ids]
            trials = numbers.values.trials(numbers.runs.every, key, asked)
            trial_P = numbered(trials)
            counts = np.zeros((len({*trials}), VALUES, VALUES), dtype=np.int32)
            places = np.split(trial_P, np.cumsum([len(replies.ids) for replies in every])[:-1])
            for replies, place_P in zip(every, places, strict=True):
                if a in replies.codes and b in replies.codes:
                    both = replies.judged(a) & replies.judged(b)
                    at = (place_P[both], replies.codes[a][both], replies.codes[b][both])
                    np.add.at(counts, at, 1)
            if counts.sum():
                found.append(Pair(a, b, key, counts))
    return found


def errors(numbers: Numbers) -> list[tuple[str, str, int, int, int]]:
    """Judge, suite, replies, unreadable answers of the judge, errors; where the judge was asked."""
    found = []
    for judge in numbers.runs.judges:
        for key in keys(numbers):
            codes = [numbers.answers.of(run, key).codes.get(judge) for run in _every(numbers, key)]
            every = np.concatenate([np.array([], dtype=int), *(c[c >= 0] for c in codes if c is not None)])
            if every.size:
                unread, failed = (int((every == STATES.index(s)).sum()) for s in ("unparsed", "error"))
                found.append((judge, key, int(every.size), unread, failed))
    return found


class Apart(NamedTuple):
    """A reply about which judges differ. order: answered against not first, then evenly over the suites."""

    order: tuple[int, int, int]
    run: Run
    key: str
    item: str


def apart(numbers: Numbers) -> tuple[list[Apart], int]:
    """Replies whose judges differ, at most LIMIT of them, and how many there are in all."""
    chosen, total = [], 0
    for place, key in enumerate(keys(numbers)):
        found = []
        for number, run in enumerate(_every(numbers, key)):
            replies = numbers.answers.of(run, key)
            if len(replies.codes) < 2:
                continue
            codes = np.array(list(replies.codes.values()))
            given = (codes >= 0) & (codes < VALUES)
            differs = _several(codes, given)
            grave = _several(np.where(given, ANSWERED[codes], 0).astype(int), given)
            found += [
                (int(not grave[i]), natural(replies.ids[i]), number, run, replies.ids[i])
                for i in np.flatnonzero(differs)
            ]
        total += len(found)
        ranked = sorted(found, key=lambda one: one[:3])[:LIMIT]
        chosen += [Apart((one[0], rank, place), one[3], key, one[4]) for rank, one in enumerate(ranked)]
    return sorted(chosen, key=lambda one: one.order)[:LIMIT], total


def _several(values: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Per reply: whether judges gave it more than one value."""
    high = np.where(given, values, -1).max(axis=0)
    low = np.where(given, values, len(STATES)).min(axis=0)
    return (given.sum(axis=0) > 1) & (high > low)
