"""Numbers of a study with their intervals: a cell, a mean over roles, a paired difference.

All of them come from the values of single replies. One training seed and one suite: the interval stored with
the estimate, which knows of an early stop. Otherwise two sides are redrawn, rows (roles, or seeds where there
is one role) and prompts, the prompts inside their suite and those of one request together; several suites
count alike. Shares are cut to 0..1
and keep at least what Wilson allows; a measure on a log scale is shown exponentiated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from playsafe import metrics
from playsafe.metrics import Measure
from playsafe.records import Estimate
from playsafe.results.answers import Answers
from playsafe.results.joint import Count
from playsafe.results.load import BASE, Run, StudyRuns
from playsafe.results.values import Block, Values
from playsafe.statistics import (
    Interval,
    bootstrap_mean,
    by_trial,
    paired_bootstrap,
    spearman_interval,
    wilson,
)

Row = list[list[Run]]  # runs of one role (or one run of it) for each suite


class Stat(NamedTuple):
    """A value with its 95 % interval, the items behind it and how the interval was made."""

    value: float
    low: float
    high: float
    n: int
    how: str

    @classmethod
    def of(cls, e: Estimate) -> Stat:
        """A stored estimate that has items."""
        if e.value is None or e.low is None or e.high is None:
            raise ValueError(f"{e.metric} on {e.suite} has no value")
        return cls(e.value, e.low, e.high, e.n, e.method)


class Numbers:
    """Answers questions about one study; files are read once. A measure is given by its name."""

    def __init__(
        self,
        runs: StudyRuns,
        *,
        judge: str | None = None,
        keys: Sequence[str] | None = None,
        shared: Numbers | None = None,
    ) -> None:
        """judge: of each measure the first one that serves it when None. keys: the suites to average, as they
        were asked; when None, plain suites under the first system turn of the kind a measure is about."""
        self.runs, self.judge, self.keys = runs, judge, keys
        self.values: Values = shared.values if shared else Values()
        self.answers: Answers = shared.answers if shared else Answers()
        self._known: dict[tuple[Any, ...], Stat | None] = {}  # every number is worked out once
        self._narrowed: dict[tuple[Any, ...], Numbers] = {}

    def cell(self, role: str, method: str, metric: str) -> Stat | None:
        """One role and method, seeds and suites averaged; None where nothing was measured."""
        return self._once(self._cell, role, method, metric)

    def mean(self, method: str, metric: str, roles: Sequence[str] | None = None) -> Stat | None:
        """The plain mean over roles (all that have the number)."""
        return self._once(self._mean, method, metric, tuple(roles or self.runs.roles))

    def difference(self, a: str, b: str, metric: str, roles: Sequence[str] | None = None) -> Stat | None:
        """Method a minus method b, paired by role and prompt (by seed and prompt where there is one role); of
        a measure on a log scale the relative change."""
        return self._once(self._difference, a, b, metric, tuple(roles or self.runs.roles))

    def narrowed(self, *, judge: str | None = None, keys: Sequence[str] | None = None) -> Numbers:
        """The same study by another judge or on other suites; one object for the same question."""
        judge, keys = judge or self.judge, self.keys if keys is None else keys
        place = (judge, None if keys is None else tuple(keys))
        if place not in self._narrowed:
            self._narrowed[place] = Numbers(self.runs, judge=judge, keys=keys, shared=self)
        return self._narrowed[place]

    def judge_of(self, metric: str) -> str:
        """Who judges for a measure; "none" where it asks no judge."""
        if metrics.known(metric).needs is None:
            return metrics.UNJUDGED
        return self.judge or self._first_judges.get(metric, metrics.UNJUDGED)

    def suites(self, metric: str) -> list[str]:
        measure = metrics.known(metric)
        if self.keys is None:
            kinds = measure.kinds if measure.pooled else measure.kinds[:1]
            return [key for kind in kinds for key in self.runs.suites(kind)]
        return [key for key in self.keys if self.runs.kinds.get(key) in measure.kinds]

    def seeds(self, role: str, method: str, suite: str, metric: str) -> np.ndarray:
        """Seeds × prompts: the value of each reply, NaN where there is none."""
        table = self.values.table(self.runs.every, suite, metric, self.judge_of(metric)).values
        rows = [table[run.path] for run in self.runs.runs(role, method, suite) if run.path in table]
        return np.array(rows) if rows else np.full((1, 1), np.nan)

    def rows(
        self, method: str, keys: Sequence[str], roles: Sequence[str], *, shared: bool = True
    ) -> list[Row]:
        """A row a role; a row a seed where there is one role; one row where one run stands for every role."""
        rows = [[self.runs.runs(role, method, key) for key in keys] for role in roles]
        rows = [row for row in rows if any(row)]
        if len(rows) == 1:
            seeds = max(len(runs) for runs in rows[0])
            return [[runs[n : n + 1] for runs in rows[0]] for n in range(seeds)]
        return rows[:1] if shared and all(row == rows[0] for row in rows) else rows

    def paired(self, methods: Sequence[str], keys: Sequence[str], *, shared: bool = True) -> list[list[Row]]:
        """Arm → its rows, over the roles that all arms were asked for; a single row stands against all."""
        asked = self.runs.roles or [""]
        roles = [r for r in asked if all(self.runs.runs(r, arm, key) for arm in methods for key in keys)]
        arms = [self.rows(arm, keys, roles, shared=shared) for arm in methods]
        most = max(map(len, arms))
        return [arm * most if len(arm) == 1 else arm for arm in arms]

    def counts(self, arms: Sequence[Sequence[Row]], place: int, key: str, metric: str) -> list[Count]:
        """A count for each arm, over the prompts that all arms were asked. place: the suite's in a row."""
        table = self.values.table(self.runs.every, key, metric, self.judge_of(metric))
        width = len(next(iter(table.asked.values()), ()))
        made = []
        for rows in arms:
            hits, counted = np.full((2, len(rows), width), np.nan)
            for n, row in enumerate(rows):
                if paths := [run.path for run in row[place]]:
                    values, asked = (np.array([side[path] for path in paths]) for side in table)
                    hits[n] = column_mean(np.nan_to_num(values) * asked)
                    counted[n] = column_mean(~np.isnan(values) * asked)
            made.append((hits, counted))
        both = np.all([~np.isnan(counted) for _, counted in made], axis=0)
        trial_P = self.values.block(self.runs.every, key, both).trial_P
        summed = [[by_trial(np.where(both, part, 0.0), trial_P) for part in parts] for parts in made]
        return [Count(hits, counted, key) for hits, counted in summed]

    def voices(self, method: str, metric: str, among: str, keys: Sequence[str]) -> Stat | None:
        """Mean of a measure over the replies that another one counts, its roles alike; None under two."""
        found: dict[tuple[str, ...], Stat] = {}
        for role in self.runs.roles or [""]:
            values: list[float] = []
            trials: list[tuple[str, int]] = []
            for key in keys:
                ours, theirs = (self.seeds(role, method, key, name) for name in (metric, among))
                chosen_RP = ~np.isnan(ours) & (theirs == 1)
                values += ours[chosen_RP].tolist()
                trial_P = self.values.block(self.runs.every, key, ours).trial_P
                trials += [(key, int(trial_P[place])) for place in np.nonzero(chosen_RP)[1]]
            if values:
                place = tuple(
                    run.path.as_posix() for key in keys for run in self.runs.runs(role, method, key)
                )
                mean = bootstrap_mean(values, trials=trials)
                found[place] = Stat(*mean, len(values), "bootstrap over requests")
        n = sum(stat.n for stat in found.values())
        if n < 2:
            return None
        stats = list(found.values())
        return (stats[0] if len(stats) == 1 else _over_roles(stats))._replace(n=n)

    def common(self, methods: Sequence[str], metric: str) -> list[str]:
        """Roles for which every one of these methods has the number."""
        return [r for r in self.runs.roles if all(self.cell(r, method, metric) for method in methods)]

    def flagged(self, role: str) -> float | None:
        """Share of the role's rows above the threshold; from the runs' subset where no scores are stored."""
        if role in self.runs.scores:
            return self.runs.scores[role].share
        shares = [
            run.training["share"]
            for run in self.runs.trained
            if run.role == role and run.training.get("rule") == "score" and "share" in run.training
        ]
        return float(shares[0]) if shares else None

    def lost(self) -> list[tuple[str, float, Stat]]:
        """Role, flagged share and change of safety by plain fine-tuning, for every role that has both."""
        sft, safety = self.runs.first_method("sft"), self.runs.safety.name
        if sft is None:
            return []
        found = [(r, self.flagged(r), self.difference(sft, BASE, safety, [r])) for r in self.runs.roles]
        return [(role, share, stat) for role, share, stat in found if share is not None and stat is not None]

    def correlation(self) -> Interval | None:
        """Spearman of flagged share against change of safety; None under four roles or when flat."""
        points = self.lost()
        if len(points) < 4:
            return None
        rho = spearman_interval([share for _, share, _ in points], [stat.value for _, _, stat in points])
        return None if math.isnan(rho.value) else rho

    # --- details --------------------------------------------------------------------------------------

    def _once(self, work: Callable[..., Stat | None], *key: Any) -> Stat | None:
        place = (work.__name__, *key)
        if place not in self._known:
            self._known[place] = work(*key)
        return self._known[place]

    def _cell(self, role: str, method: str, metric: str) -> Stat | None:
        judge = self.judge_of(metric)
        runs = [(suite, run) for suite in self.suites(metric) for run in self.runs.runs(role, method, suite)]
        stored = [e for suite, run in runs if (e := run.estimate(suite, metric, judge)) and e.n]
        if len(stored) == 1:
            return Stat.of(stored[0])
        if not stored:
            return None
        suites = self.suites(metric)
        blocks = self._blocks(suites, [self.seeds(role, method, suite, metric) for suite in suites])
        rows = "seeds × prompts" if any(len(block.values_RP) > 1 for block in blocks) else "prompts"
        return _stat(metrics.known(metric), blocks, rows)

    def _mean(self, method: str, metric: str, roles: Sequence[str]) -> Stat | None:
        asked = roles or [""]  # without a trained role the aligned model still has numbers
        found = {role: stat for role in asked if (stat := self.cell(role, method, metric)) is not None}
        suites = self.suites(metric)
        alike = {tuple(run.path for s in suites for run in self.runs.runs(role, method, s)) for role in found}
        if len(alike) < 2:
            return next(iter(found.values()), None)
        blocks = self._by_role(list(found), method, metric)
        known = self._blocks(suites, blocks)
        return _stat(metrics.known(metric), known, "roles × prompts", at_least_wilson=False)

    def _difference(self, a: str, b: str, metric: str, roles: Sequence[str]) -> Stat | None:
        both = [r for r in roles if all(self.cell(r, method, metric) is not None for method in (a, b))]
        suites = self.suites(metric) if both else []
        if len(both) > 1:
            sides = zip(*(self._by_role(both, method, metric) for method in (a, b)), strict=True)
            blocks = [x - y for x, y in sides]
        else:
            blocks = [
                _less(*(self.seeds(r, method, s, metric) for method in (a, b))) for r in both for s in suites
            ]
            if len({len(block) for block in blocks}) > 1:
                blocks = [column_mean(block)[None] for block in blocks]
        rows = "roles" if len(both) > 1 else "seeds" if any(len(block) > 1 for block in blocks) else ""
        how = f"{rows} × prompts" if rows else "prompts"
        return _change(metrics.known(metric), self._blocks(suites, blocks), how)

    def _blocks(self, suites: Sequence[str], values: Sequence[np.ndarray]) -> list[Block]:
        """With the requests of each suite; those without any value are left out."""
        found = zip(suites, values, strict=True)
        return [self.values.block(self.runs.every, s, v) for s, v in found if not np.isnan(v).all()]

    @cached_property
    def _first_judges(self) -> dict[str, str]:
        """Measure → the first judge that serves it."""
        served = {(e.metric, e.judge) for run in self.runs.every for e in run.estimates}
        order = self.runs.judges
        return {m: j for judge in reversed(order) for m, j in served if j == judge}

    def _by_role(self, roles: Sequence[str], method: str, metric: str) -> list[np.ndarray]:
        """Per suite: roles × prompts, the mean over seeds."""
        by_suite = [[self.seeds(role, method, s, metric) for role in roles] for s in self.suites(metric)]
        width = [max(block.shape[1] for block in blocks) for blocks in by_suite]
        return [
            np.array([column_mean(b) if b.shape[1] == w else np.full(w, np.nan) for b in blocks])
            for blocks, w in zip(by_suite, width, strict=True)
        ]


def column_mean(block: np.ndarray) -> np.ndarray:
    """Mean over seeds of each prompt, NaN where no seed has it."""
    count = (~np.isnan(block)).sum(axis=0)
    return np.divide(np.nansum(block, axis=0), count, out=np.full(block.shape[1], np.nan), where=count > 0)


def _less(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Seed by seed: a single row stands against every row, else both sides are their means over seeds."""
    if len(x) != len(y) and 1 not in (len(x), len(y)):
        x, y = column_mean(x)[None], column_mean(y)[None]
    return np.full((1, 1), np.nan) if 0 in (x.size, y.size) or x.shape[1] != y.shape[1] else x - y


def redrawn(blocks: Sequence[Block], over: str) -> tuple[Interval, int, str]:
    """The mean over blocks with its interval, the prompts judged, and how it was made."""
    values, trials = [block.values_RP for block in blocks], [block.trial_P for block in blocks]
    alone = all(block.trials == block.n for block in blocks)
    how = f"bootstrap over {over if alone else over.replace('prompts', 'requests')}"
    return paired_bootstrap(values, trials=trials), sum(block.n for block in blocks), how


def _stat(metric: Measure, blocks: list[Block], over: str, at_least_wilson: bool = True) -> Stat | None:
    if not blocks:
        return None
    if metric.is_share:
        return share(blocks, over, at_least_wilson)
    ends, n, how = redrawn(blocks, over)
    value, low, high = map(metric.shown, ends)
    return Stat(value, low, high, n, how)


def share(blocks: Sequence[Block], over: str, at_least_wilson: bool = True) -> Stat:
    """Interval of a share; Wilson's over the requests is its least width for one role or without spread."""
    (value, low, high), n, how = redrawn(blocks, over)
    low, high = max(0.0, low), min(1.0, high)
    if at_least_wilson or low == high:
        hits = [round(float(np.nanmean(b.values_RP)) * b.n) for b in blocks]
        exact = [
            wilson(min(b.trials, k * b.trials / b.n), b.trials) for k, b in zip(hits, blocks, strict=True)
        ]
        low = min(low, float(np.mean([interval.low for interval in exact])))
        high = max(high, float(np.mean([interval.high for interval in exact])))
        how += ", at least Wilson"
    return Stat(value, low, high, n, how)


def _change(metric: Measure, blocks: list[Block], over: str) -> Stat | None:
    """Interval of a paired difference; where no share differs, what Wilson still allows for 0 of n."""
    if not blocks:
        return None
    (value, low, high), n, how = redrawn(blocks, over)
    if not metric.is_share:
        if metric.log:
            value, low, high = map(math.expm1, (value, low, high))
        return Stat(value, low, high, n, how)
    low, high = max(-1.0, low), min(1.0, high)
    if low < high:
        return Stat(value, low, high, n, how)
    reach = float(np.mean([wilson(0, block.trials).high for block in blocks]))
    return Stat(value, max(-1.0, value - reach), min(1.0, value + reach), n, "wilson of 0 differing prompts")


def _over_roles(stats: Sequence[Stat]) -> Stat:
    """Mean over roles: redrawn over roles, at least as wide as the roles' own intervals make it."""
    value, low, high = bootstrap_mean([stat.value for stat in stats])
    down = math.hypot(*(stat.value - stat.low for stat in stats)) / len(stats)
    up = math.hypot(*(stat.high - stat.value for stat in stats)) / len(stats)
    return Stat(value, min(low, value - down), max(high, value + up), len(stats), "bootstrap over roles")
