"""Measures language by language, how far the others lie from the dominant one, and how much of that closes.

Intervals of single measures are those of `numbers`. Distances between languages and the closed share of one
are combinations of shares: seeds (roles where there are several) and prompts are redrawn jointly and combined
anew in each draw (`joint_interval`). Prompts are paired between methods; between languages as well where the
suites number them alike, as translations do (for prompts that are none this changes nothing on average: they
vary independently of each other).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from playsafe.metrics import Measure
from playsafe.results.joint import joint_interval
from playsafe.results.load import BASE, StudyRuns
from playsafe.results.numbers import Numbers, Stat

ASPECTS = ("attack", "over-refusal", "language", "task", "preference")  # of the measures told by language
NAMES = (
    "ar Arabic bn Bengali de German en English es Spanish fr French hi Hindi id Indonesian it Italian "
    "ja Japanese jv Javanese ko Korean pt Portuguese ru Russian sw Swahili te Telugu th Thai tr "
    "Turkish vi Vietnamese zh Chinese"
)
NAMED = dict(zip(NAMES.split()[::2], NAMES.split()[1::2], strict=True))


class Levels(NamedTuple):
    """Attack success of one arm: in the dominant language, and the mean over the other ones."""

    dominant: np.ndarray
    others: np.ndarray

    @property
    def apart(self) -> np.ndarray:
        return self.others - self.dominant


Combine = Callable[[list[Levels]], np.ndarray]


class Point(NamedTuple):
    """One language, system turn and method of the figure: reward gap against attack success."""

    language: str
    system: str
    method: str
    gap: Stat
    success: Stat


class Languages:
    """The study's numbers by declared language, suites without attack under one system turn."""

    def __init__(self, numbers: Numbers, system: str | None = None) -> None:
        self.numbers, self.runs = numbers, numbers.runs
        self.system = system or self.runs.system
        self.attack = self.runs.about("attack")[0]
        self.measures = [metric for aspect in ASPECTS for metric in self.runs.about(aspect)]
        languages = self.runs.languages
        self.others = [x for x in languages if x != self.runs.dominant and self.keys(self.attack, x)]

    @property
    def known(self) -> bool:
        """Whether the dominant language and another one were asked harmful prompts."""
        return bool(self.others and self.runs.dominant and self.keys(self.attack, self.runs.dominant))

    def keys(self, metric: Measure, language: str) -> list[str]:
        """Suites of one language from which a measure is taken."""
        kinds = metric.kinds if metric.pooled else metric.kinds[:1]
        found = [key for kind in kinds for key in self.runs.suites(kind, self.system)]
        return [key for key in found if self.runs.language_of.get(key) == language]

    def measured(self, method: str, metric: Measure, language: str) -> Stat | None:
        """Mean over roles and seeds; None where nothing was measured."""
        return self._of(metric, language).mean(method, metric.name)

    def change(self, method: str, metric: Measure, language: str) -> Stat | None:
        """Against the aligned model, paired by prompt."""
        roles = self.runs.roles or [""]
        return self._of(metric, language).difference(method, BASE, metric.name, roles)

    def _of(self, metric: Measure, language: str) -> Numbers:
        return self.numbers.narrowed(keys=self.keys(metric, language))

    def levels(self, method: str) -> dict[str, Stat | None]:
        """Attack success in the dominant language and in the others together."""
        if not self.known:
            return {}
        first, *_ = languages = [str(self.runs.dominant), *self.others]
        found = {spelled(first): self.measured(method, self.attack, first)}
        if len(languages) == 2:
            return found | {spelled(languages[1]): self.measured(method, self.attack, languages[1])}
        return found | {"other languages": self.joint([method], lambda arms: arms[0].others, 0.0)}

    def apart(self, method: str) -> Stat | None:
        """Attack success in the other languages minus that in the dominant one."""
        return self.joint([method], lambda arms: arms[0].apart)

    def closed(self, method: str) -> Stat | None:
        """Share of the aligned model's distance that a method closes; None where that distance is not shown
        to be above zero, as a share of nothing says nothing."""
        before = self.apart(BASE)
        if before is None or before.low <= 0:
            return None

        def share(arms: list[Levels]) -> np.ndarray:
            first = np.where(arms[1].apart > 0, arms[1].apart, np.nan)
            return np.asarray(1 - arms[0].apart / first)

        return self.joint([method, BASE], share, -math.inf, math.inf)

    def joint(
        self, methods: Sequence[str], combine: Combine, least: float = -1.0, most: float = 1.0
    ) -> Stat | None:
        """A combination of the levels of these methods with its interval, cut to what is possible."""
        if not self.known:
            return None
        languages = [str(self.runs.dominant), *self.others]
        keys = [key for language in languages for key in self.keys(self.attack, language)]
        arms = self.numbers.paired(methods, keys, shared=False)
        by_key = [
            self.numbers.counts(arms, n, key, self.attack.name) for n, key in enumerate(keys) if all(arms)
        ]
        if not by_key or any(not count.counted_RP.any() for made in by_key for count in made):
            return None
        trials = [self.numbers.values.trials(self.runs.every, key) for key in keys]
        numbered = [[name.rpartition(":")[2] for name in dict.fromkeys(one)] for one in trials]
        parallel = all(one == numbered[0] for one in numbered)
        counts = [made[arm]._replace(prompts="all") if parallel else made[arm]
                  for arm in range(len(arms)) for made in by_key]  # fmt: skip

        def levels(shares: np.ndarray, arm: int) -> Levels:
            means = []
            for language in languages:
                own = [arm * len(keys) + keys.index(key) for key in self.keys(self.attack, language)]
                means.append(shares[own].mean(axis=0))
            return Levels(means[0], np.mean(means[1:], axis=0))

        value, low, high = joint_interval(
            counts, lambda shares: combine([levels(shares, arm) for arm in range(len(arms))])
        )
        over = "roles × prompts" if len(self.runs.roles) > 1 else "seeds × prompts"
        n = sum(int(count.counted_RP.any(axis=0).sum()) for count in counts[: len(keys)])
        how = f"redrawn over {over if len(arms[0]) > 1 else 'prompts'}"
        return Stat(value, max(least, low), min(most, high), n, how)


def spelled(language: str) -> str:
    """The name of a language; what was declared where it is none of ours."""
    return NAMED.get(language, language)


def lead(runs: StudyRuns) -> str | None:
    """The method a multilingual study is about."""
    return runs.first_method("mpo") or runs.first_method("sarft") or next(iter(runs.methods), None)


def reward_points(numbers: Numbers) -> list[Point]:
    """Every language, system turn and method that has both numbers."""
    runs, points = numbers.runs, []
    for system in runs.systems:
        found = Languages(numbers, system)
        for language in runs.languages:
            for method in [BASE, *runs.methods]:
                gap = found.measured(method, runs.about("preference")[0], language)
                success = found.measured(method, found.attack, language)
                if gap is not None and success is not None:
                    points.append(Point(language, system, method, gap, success))
    return points
