"""Numbers of a study with their intervals: a cell, a mean over roles, a paired difference.

One training seed and one suite: the interval stored with the estimate (Wilson for shares, bootstrap for
ROUGE-L). Otherwise shares are redrawn on two sides, rows (roles, or seeds where there is one role) and
prompts, the prompts inside their suite; several suites count alike. Measures without a judge (ROUGE-L) are
stored without their rows: their seeds are joined from their intervals, means are redrawn over roles,
differences are paired by role alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from playsafe.records import Estimate
from playsafe.report.answers import Answers, aligned, indicator
from playsafe.report.load import BASE, JUDGED, KIND_OF_METRIC, Run, StudyRuns
from playsafe.statistics import Z95, Interval, bootstrap_mean, paired_bootstrap, spearman_interval, wilson

SCORES = {"role_ratio", "reward_gap", "perplexity"}  # measures that are no shares


class Stat(NamedTuple):
    """A value with its 95 % interval, the items behind it and how the interval was made."""

    value: float
    low: float
    high: float
    n: int
    how: str


class Numbers:
    """Answers questions about one study; verdict files are read once."""

    def __init__(
        self,
        runs: StudyRuns,
        *,
        judge: str | None = None,
        keys: Mapping[str, Sequence[str]] | None = None,
        answers: Answers | None = None,
    ) -> None:
        """judge: of each measure the first one that serves it when None. keys: kind of suite → the suites to
        average, as they were asked; plain suites under the first system turn when None."""
        self.runs, self.judge, self.keys, self.answers = runs, judge, keys, answers or Answers()
        self._known: dict[tuple[Any, ...], Stat | None] = {}  # every number is worked out once
        self._narrowed: dict[tuple[Any, ...], Numbers] = {}
        self._hits: dict[tuple[str, str], dict[Path, np.ndarray]] = {}  # metric, suite → run → one a prompt

    def cell(self, role: str, method: str, metric: str) -> Stat | None:
        """One role and method, seeds and suites averaged; None where nothing was measured."""
        return self._once(self._cell, role, method, metric)

    def mean(self, method: str, metric: str, roles: Sequence[str] | None = None) -> Stat | None:
        """The plain mean over roles (all that have the number)."""
        return self._once(self._mean, method, metric, tuple(roles or self.runs.roles))

    def difference(self, a: str, b: str, metric: str, roles: Sequence[str] | None = None) -> Stat | None:
        """Method a minus method b, paired by role and prompt (by seed and prompt where there is one role)."""
        return self._once(self._difference, a, b, metric, tuple(roles or self.runs.roles))

    def narrowed(
        self, *, judge: str | None = None, keys: Mapping[str, Sequence[str]] | None = None
    ) -> Numbers:
        """The same study by another judge or on other suites; one object for the same question."""
        judge, keys = judge or self.judge, keys or self.keys
        place = (judge, None if keys is None else tuple((kind, tuple(own)) for kind, own in keys.items()))
        if place not in self._narrowed:
            self._narrowed[place] = Numbers(self.runs, judge=judge, keys=keys, answers=self.answers)
        return self._narrowed[place]

    def judge_of(self, metric: str) -> str:
        """Who judges for a measure; "none" where it asks no judge."""
        return (self.judge or self._first_judges.get(metric, "none")) if metric in JUDGED else "none"

    def stored(self, method: str, metric: str, keys: Sequence[str]) -> Stat | None:
        """A measure without a judge from its stored estimates: seeds and suites joined, mean over roles."""
        found: dict[tuple[Path, ...], Stat] = {}  # one run of the aligned model counts once
        for role in self.runs.roles or [""]:
            cells = [[run for run in self.runs.runs(role, method, key) if key in run.asked] for key in keys]
            estimates = [
                [e for run in cell if (e := run.estimate(key, metric)) and e.n]
                for key, cell in zip(keys, cells, strict=True)
            ]
            if any(estimates):
                place = tuple(run.path for cell in cells for run in cell)
                found[place] = joined([some for some in estimates if some])
        stats = list(found.values())
        stat = None if not stats else stats[0] if len(stats) == 1 else over_roles(stats)
        return stat if stat is None or metric in SCORES else _inside(stat)

    def rows(self, arms: Sequence[str], metric: str) -> list[list[np.ndarray]]:
        """Arm → suite → rows × prompts, as many rows everywhere: roles (means over seeds), or the seeds where
        there is one role; a single row stands in all. Only prompts that every arm was asked have numbers.
        Empty where an arm lacks the verdicts of a suite."""
        suites = self._suites(metric)
        asked = self.runs.roles or [""]
        roles = [r for r in asked if all(self.runs.runs(r, arm, s) for arm in arms for s in suites)]
        found = [[self._rows(roles, arm, suite, metric) for suite in suites] for arm in arms] if roles else []
        if not suites or not found or any(np.isnan(block).all() for blocks in found for block in blocks):
            return []
        most = max(len(block) for blocks in found for block in blocks)
        if any(len(block) not in (1, most) for blocks in found for block in blocks):
            found, most = [[column_mean(block)[None] for block in blocks] for blocks in found], 1
        found = [[b.repeat(most, axis=0) if len(b) < most else b.copy() for b in blocks] for blocks in found]
        for place in range(len(suites)):
            lost = np.any([np.isnan(blocks[place]).all(axis=0) for blocks in found], axis=0)
            for blocks in found:
                blocks[place][:, lost] = np.nan
        return found

    def refused(self, role: str, method: str, suite: str) -> np.ndarray | None:
        """Per prompt of the first seed: 1 refused, 0 not, NaN not judged; None where it was not asked."""
        return self._seeds(role, method, suite, "refusal")[0] if self.runs.runs(role, method, suite) else None

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
        """Role, flagged share and change of refusal by plain fine-tuning, for every role that has both."""
        sft = self.runs.first_method("sft")
        if sft is None:
            return []
        found = [
            (role, self.flagged(role), self.difference(sft, BASE, "refusal", [role]))
            for role in self.runs.roles
        ]
        return [(role, share, stat) for role, share, stat in found if share is not None and stat is not None]

    def correlation(self) -> Interval | None:
        """Spearman of flagged share against change of refusal; None under four roles or when flat."""
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
        by_suite = self._estimates(role, method, metric)
        if not by_suite:
            return None
        if [len(found) for found in by_suite] == [1]:
            return joined(by_suite)
        blocks = [self._seeds(role, method, suite, metric) for suite in self._suites(metric)]
        blocks = [block for block in blocks if not np.isnan(block).all()]
        if metric == "rouge_l" or len(blocks) < len(by_suite):
            return _inside(joined(by_suite))
        return share(blocks, "seeds × prompts" if len(blocks[0]) > 1 else "prompts")

    def _mean(self, method: str, metric: str, roles: Sequence[str]) -> Stat | None:
        asked = roles or [""]  # without a trained role the aligned model still has numbers
        cells = {role: self.cell(role, method, metric) for role in asked}
        found = {role: stat for role, stat in cells.items() if stat is not None}
        if not found:
            return None
        if len(found) == 1 or (method == BASE and metric != "rouge_l" and self._one_base(metric)):
            return next(iter(found.values()))
        if metric == "rouge_l":
            return _inside(over_roles(list(found.values())))
        blocks = self._by_role([(role, method) for role in found], metric)
        if blocks:
            return share(blocks, "roles × prompts", at_least_wilson=False)
        return _inside(over_roles(list(found.values())))

    def _difference(self, a: str, b: str, metric: str, roles: Sequence[str]) -> Stat | None:
        pairs = {role: (self.cell(role, a, metric), self.cell(role, b, metric)) for role in roles}
        found = {role: (x, y) for role, (x, y) in pairs.items() if x is not None and y is not None}
        if not found:
            return None
        if metric != "rouge_l":
            if len(found) > 1:
                lefts, rights = (self._by_role([(role, m) for role in found], metric) for m in (a, b))
                how = "roles × prompts"
            else:
                [role] = found
                lefts, rights = (
                    [self._seeds(role, m, s, metric) for s in self._suites(metric)] for m in (a, b)
                )
                lefts, rights = _matched(lefts, rights)
                how = "seeds × prompts" if lefts and len(lefts[0]) > 1 else "prompts"
            blocks = [x - y for x, y in zip(lefts, rights, strict=False)]
            if blocks and not any(np.isnan(block).all() for block in blocks):
                return _difference(blocks, how)
        unpaired = [_unpaired(x, y) for x, y in found.values()]
        return unpaired[0] if len(unpaired) == 1 else over_roles(unpaired)

    def _suites(self, metric: str) -> Sequence[str]:
        kind = KIND_OF_METRIC[metric]
        return self.runs.suites(kind) if self.keys is None else self.keys.get(kind, ())

    def _one_base(self, metric: str) -> bool:
        """Whether one run of the aligned model stands for every role."""
        asked = set(self._suites(metric))
        return all(run.role is None for run in self.runs.base if asked & run.asked.keys())

    def _estimates(self, role: str, method: str, metric: str) -> list[list[Estimate]]:
        """Estimates that have items: a list per suite, in it one per seed."""
        found = [
            [
                e
                for run in self.runs.runs(role, method, suite)
                if (e := run.estimate(suite, metric, self.judge_of(metric))) and e.n
            ]
            for suite in self._suites(metric)
        ]
        return [estimates for estimates in found if estimates]

    @cached_property
    def _first_judges(self) -> dict[str, str]:
        """Measure → the first judge that serves it."""
        runs = (*self.runs.base, *self.runs.trained)
        served = {(e.metric, e.judge) for run in runs for e in run.estimates}
        return {m: j for j in reversed(self.runs.judges) for m in JUDGED if (m, j) in served}

    def _seeds(self, role: str, method: str, suite: str, metric: str) -> np.ndarray:
        """Seeds × prompts: 1 where the metric's outcome occurred, 0 where not, NaN where not judged."""
        place = (metric, suite)
        if place not in self._hits:
            self._hits[place] = self._table([*self.runs.base, *self.runs.trained], suite, metric)
        table = self._hits[place]
        rows = [table[run.path] for run in self.runs.runs(role, method, suite)]
        return np.array(rows) if rows else np.full((1, 1), np.nan)

    def ids(self, suite: str) -> list[str]:
        """The prompts of a suite, in the order of the columns of `rows`."""
        runs = (run for run in (*self.runs.base, *self.runs.trained) if suite in run.asked)
        return sorted({name for run in runs for name in self.answers.of(run, suite).ids})

    def _rows(self, roles: Sequence[str], method: str, suite: str, metric: str) -> np.ndarray:
        if len(roles) == 1:
            return self._seeds(roles[0], method, suite, metric)
        return np.array([column_mean(self._seeds(role, method, suite, metric)) for role in roles])

    def _by_role(self, cells: Sequence[tuple[str, str]], metric: str) -> list[np.ndarray]:
        """Per suite: roles × prompts, the mean over seeds; empty when a cell's verdicts are missing."""
        suites = self._suites(metric)
        blocks = [
            np.array([column_mean(self._seeds(r, m, suite, metric)) for r, m in cells]) for suite in suites
        ]
        return blocks if not any(np.isnan(block).all(axis=1).any() for block in blocks) else []

    def _table(self, runs: Sequence[Run], suite: str, metric: str) -> dict[Path, np.ndarray]:
        """Per run that answered the suite: one number a prompt, the prompts in the same order everywhere."""
        judge = self.judge_of(metric)
        found = {run.path: self.answers.of(run, suite) for run in runs if suite in run.asked}
        return aligned({p: (replies.ids, indicator(replies, metric, judge)) for p, replies in found.items()})


def column_mean(block: np.ndarray) -> np.ndarray:
    """Mean over seeds of each prompt, NaN where no seed has it."""
    count = (~np.isnan(block)).sum(axis=0)
    return np.divide(np.nansum(block, axis=0), count, out=np.full(block.shape[1], np.nan), where=count > 0)


def _matched(lefts: list[np.ndarray], rights: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Seeds of both sides in the same number: a single row stands against every row, else their means."""
    pairs = [
        (x, y) if len(x) == len(y) or 1 in (len(x), len(y)) else (column_mean(x)[None], column_mean(y)[None])
        for x, y in zip(lefts, rights, strict=True)
    ]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _judged(blocks: Sequence[np.ndarray]) -> int:
    """Prompts with at least one judged answer."""
    return sum(int((~np.isnan(block)).any(axis=0).sum()) for block in blocks)


def share(blocks: Sequence[np.ndarray], over: str, at_least_wilson: bool = True) -> Stat:
    """Interval of a share; Wilson's over the prompts is its least width for one role or without spread."""
    n = _judged(blocks)
    value, low, high = paired_bootstrap(blocks)
    low, high = max(0.0, low), min(1.0, high)
    how = f"bootstrap over {over}"
    if at_least_wilson or low == high:
        exact = [wilson(round(float(np.nanmean(b)) * _judged([b])), _judged([b])) for b in blocks]
        low = min(low, float(np.mean([interval.low for interval in exact])))
        high = max(high, float(np.mean([interval.high for interval in exact])))
        how += ", at least Wilson"
    return Stat(value, low, high, n, how)


def _difference(blocks: Sequence[np.ndarray], over: str) -> Stat:
    """Interval of a paired difference; where no pair differs, what Wilson still allows for 0 of n."""
    n = _judged(blocks)
    value, low, high = paired_bootstrap(blocks)
    found = Interval(value, max(-1.0, low), min(1.0, high))
    if found.low == found.high:
        reach = float(np.mean([wilson(0, _judged([b])).high for b in blocks]))
        return Stat(
            found.value,
            max(-1.0, found.value - reach),
            min(1.0, found.value + reach),
            n,
            "wilson of 0 differing prompts",
        )
    return Stat(*found, n, f"bootstrap over {over}")


def _stored(e: Estimate) -> Stat:
    """An estimate that has items."""
    if e.value is None or e.low is None or e.high is None:
        raise ValueError(f"{e.metric} on {e.suite} has no value")
    return Stat(e.value, e.low, e.high, e.n, e.method)


def over_roles(stats: Sequence[Stat]) -> Stat:
    """Mean over roles: redrawn over roles, at least as wide as the roles' own intervals make it."""
    value, low, high = bootstrap_mean([stat.value for stat in stats])
    down = math.hypot(*(stat.value - stat.low for stat in stats)) / len(stats)
    up = math.hypot(*(stat.high - stat.value for stat in stats)) / len(stats)
    return Stat(value, min(low, value - down), max(high, value + up), len(stats), "bootstrap over roles")


def _inside(stat: Stat) -> Stat:
    """A share's interval, cut to 0..1."""
    return stat._replace(low=max(0.0, stat.low), high=min(1.0, stat.high))


def _unpaired(x: Stat, y: Stat) -> Stat:
    """A difference from two intervals alone: wider than pairing would make it."""
    value, half = x.value - y.value, math.hypot((x.high - x.low) / 2, (y.high - y.low) / 2)
    return Stat(value, value - half, value + half, min(x.n, y.n), "unpaired")


def joined(by_suite: Sequence[Sequence[Estimate]]) -> Stat:
    """Stored intervals joined: mean half width (items are shared) and spread of the seeds, in quadrature."""
    if [len(estimates) for estimates in by_suite] == [1]:
        return _stored(by_suite[0][0])
    values, halves, spreads = [], [], []
    for estimates in by_suite:
        data = np.array([[e.value, e.low, e.high] for e in estimates], dtype=float)
        values.append(data[:, 0].mean())
        halves.append((data[:, 2] - data[:, 1]).mean() / 2)
        spreads.append(data[:, 0].var(ddof=1) / len(data) if len(data) > 1 else 0.0)
    value, k = float(np.mean(values)), len(by_suite)
    half = math.sqrt(sum(h * h for h in halves) + Z95 * Z95 * sum(spreads)) / k
    n = sum(max(e.n for e in estimates) for estimates in by_suite)
    return Stat(value, value - half, value + half, n, "stored intervals and spread of seeds")
