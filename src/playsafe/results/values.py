"""Values of replies as arrays: one a run, the prompts of a suite in the same order for all runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from playsafe.results.load import Run
from playsafe.statistics import by_trial, effective, numbered

Columns = dict[tuple[str, str], np.ndarray]  # judge, metric → one a reply


class Table(NamedTuple):
    """Of one measure by one judge on one suite. values: run → one a prompt, NaN where there is none. asked:
    run → 1 where the prompt was asked, NaN where not."""

    values: dict[Path, np.ndarray]
    asked: dict[Path, np.ndarray]


class Block(NamedTuple):
    """values_RP: rows (roles, or seeds) × the prompts of a suite, NaN where there is none. trial_P: the
    number of the request that each prompt belongs to."""

    values_RP: np.ndarray
    trial_P: np.ndarray

    @property
    def n(self) -> int:
        """Prompts with at least one value."""
        return int((~np.isnan(self.values_RP)).any(axis=0).sum())

    @property
    def trials(self) -> float:
        """The independent trials that those are worth."""
        return worth((~np.isnan(self.values_RP)).any(axis=0), self.trial_P)


class Values:
    """Reads the values of a run and suite once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, str], tuple[tuple[str, ...], Columns]] = {}
        self._ids: dict[tuple[str, ...], tuple[str, ...]] = {}  # most runs have the same
        self._tables: dict[tuple[str, str, str], Table] = {}
        self._trials: dict[str, dict[str, str]] = {}
        self._columns: dict[str, np.ndarray] = {}

    def of(self, run: Run, key: str) -> tuple[tuple[str, ...], Columns]:
        """The prompts that a run was asked, sorted, and a column for each judge and metric."""
        place = (run.path, key)
        if place not in self._known:
            rows = {row["id"]: row for row in run.valued(key)}
            self._trials.setdefault(key, {}).update({name: row["trial"] for name, row in rows.items()})
            found = tuple(sorted(rows))
            ids = self._ids.setdefault(found, found)
            made: Columns = {}
            for n, name in enumerate(ids):
                for judge, given in rows[name]["values"].items():
                    for metric, value in given.items():
                        column = made.setdefault((judge, metric), np.full(len(ids), np.nan))
                        column[n] = np.nan if value is None else value
            self._known[place] = ids, made
        return self._known[place]

    def table(self, runs: Sequence[Run], key: str, metric: str, judge: str) -> Table:
        """runs: all of the study."""
        place = (key, metric, judge)
        if place not in self._tables:
            found = {run.path: self.of(run, key) for run in runs if key in run.asked}
            none = {path: np.full(len(ids), np.nan) for path, (ids, _) in found.items()}
            values = {p: (ids, made.get((judge, metric), none[p])) for p, (ids, made) in found.items()}
            asked = {p: (ids, np.ones(len(ids))) for p, (ids, _) in found.items()}
            self._tables[place] = Table(aligned(values), aligned(asked))
        return self._tables[place]

    def ids(self, runs: Sequence[Run], key: str) -> list[str]:
        """The prompts of a suite, in the order of the columns of its tables."""
        return sorted({name for run in runs if key in run.asked for name in self.of(run, key)[0]})

    def trials(self, runs: Sequence[Run], key: str, ids: Iterable[str] | None = None) -> list[str]:
        """The request of each prompt of a suite, in the order of its tables' columns, or of these ids."""
        columns = self.ids(runs, key)
        asked = self._trials.get(key, {})
        return [asked.get(name, name) for name in (columns if ids is None else ids)]

    def block(self, runs: Sequence[Run], key: str, values_RP: np.ndarray) -> Block:
        """Values in the order of the columns of a suite's tables."""
        if key not in self._columns:
            self._columns[key] = numbered(self.trials(runs, key))
        trial_P, width = self._columns[key], values_RP.shape[1]
        return Block(values_RP, trial_P if trial_P.size == width else np.arange(width))


def worth(counted_P: np.ndarray, trial_P: np.ndarray) -> float:
    """The independent trials that the counted prompts are worth."""
    return effective(by_trial(counted_P[None] > 0, trial_P)[0])


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
