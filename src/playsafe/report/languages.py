"""Measures language by language, how far the others lie from the dominant one, and how much of that closes.

Intervals of shares are those of the page (`analysis`). Distances between languages and the closed share of
one are combinations of shares: seeds (roles where there are several) and prompts are redrawn jointly and
combined anew in each draw (`headline.joint_interval`). Prompts are paired between methods; between languages
as well where the suites number them alike, as translations do (for prompts that are none this changes
nothing on average: they vary independently of each other).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from playsafe.report.analysis import Numbers, Stat, column_mean
from playsafe.report.headline import Count, joint_interval
from playsafe.report.load import BASE, JUDGED, StudyRuns
from playsafe.report.markup import DASH, ends, minus, percent
from playsafe.statistics import paired_bootstrap, spearman_interval

ATTACK = "compliance"
RANGE = "range over"  # how a Stat says that its ends are the smallest and the largest run
KINDS = {  # measures of the section → the kinds of suites they are taken from
    ATTACK: ("harmful",),
    "over_refusal": ("benign",),
    "other_language": ("harmful", "benign", "dark", "task"),
    "exact_match": ("task",),
    "perplexity": ("task",),
    "reward_gap": ("pairs",),
}
NAMED = {
    "ar": "Arabic",
    "bn": "Bengali",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "hi": "Hindi",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "jv": "Javanese",
    "ko": "Korean",
    "pt": "Portuguese",
    "ru": "Russian",
    "sw": "Swahili",
    "te": "Telugu",
    "th": "Thai",
    "tr": "Turkish",
    "vi": "Vietnamese",
    "zh": "Chinese",
}


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
        self.others = [
            language
            for language in self.runs.languages
            if language != self.runs.dominant and self.keys(ATTACK, language)
        ]

    @property
    def known(self) -> bool:
        """Whether the dominant language and another one were asked harmful prompts."""
        return bool(self.others and self.runs.dominant and self.keys(ATTACK, self.runs.dominant))

    def keys(self, metric: str, language: str) -> list[str]:
        """Suites of one language from which a measure is taken."""
        found = [key for kind in KINDS[metric] for key in self.runs.suites(kind, self.system)]
        return [key for key in found if self.runs.language_of.get(key) == language]

    def measured(self, method: str, metric: str, language: str) -> Stat | None:
        """Mean over roles and seeds; None where nothing was measured."""
        keys = self.keys(metric, language)
        if not keys:
            return None
        if metric in JUDGED:
            return self.numbers.narrowed(keys={KINDS[metric][0]: keys}).mean(method, metric)
        return self.numbers.stored(method, metric, keys)

    def dearer(self, method: str, language: str) -> Stat | None:
        """Perplexity over the aligned model's, minus one: exp of the mean difference of −log p a token,
        paired by prompt; rows are redrawn as everywhere.

        Without the likelihoods of single prompts: the stored perplexities, and the range over the runs.
        """
        blocks = [self._costs(method, key) for key in self.keys("perplexity", language)]
        if not blocks or any(np.isnan(block).all() for block in blocks):
            return self._ranged(method, language)
        if len({len(block) for block in blocks}) > 1:
            blocks = [column_mean(block)[None] for block in blocks]
        value, low, high = (math.expm1(x) for x in paired_bootstrap(blocks))
        n = sum(int((~np.isnan(block)).any(axis=0).sum()) for block in blocks)
        rows = "roles × prompts" if len(self.runs.roles) > 1 else "seeds × prompts"
        return Stat(value, low, high, n, f"bootstrap over {rows if len(blocks[0]) > 1 else 'prompts'}")

    def _costs(self, method: str, key: str) -> np.ndarray:
        """Rows × prompts: −log p a token of the first reference, minus the aligned model's; rows are roles
        (means over seeds), or the seeds where there is one role."""
        by_role: list[list[dict[str, float]]] = []
        for role in self.runs.roles:
            base = self.runs.base_run(role, key)
            before = base.likelihoods(key) if base else {}
            runs = [run.likelihoods(key) for run in self.runs.runs(role, method, key)]
            found = [
                {
                    name: before[name][0].mean - one[0].mean
                    for name, one in mine.items()
                    if before.get(name) and one
                }
                for mine in runs
            ]
            by_role.append([costs for costs in found if costs])
        names = sorted({name for rows in by_role for costs in rows for name in costs})
        tables = [
            np.array([[costs.get(name, np.nan) for name in names] for costs in rows])
            for rows in by_role
            if rows
        ]
        if len(tables) < 2:
            return tables[0] if tables else np.full((1, 1), np.nan)
        return np.array([column_mean(table) for table in tables])

    def _ranged(self, method: str, language: str) -> Stat | None:
        found, n = [], 0
        for run in (run for run in self.runs.trained if run.method == method):
            pairs = []
            for key in self.keys("perplexity", language):
                base = self.runs.base_run(run.role, key)
                mine, theirs = (one.estimate(key, "perplexity") if one else None for one in (run, base))
                if mine and theirs and mine.value and theirs.value:
                    pairs.append((math.log(mine.value / theirs.value), mine.n))
            if pairs:
                found.append(float(np.mean([ratio for ratio, _ in pairs])))
                n = max(n, sum(items for _, items in pairs))
        if not found:
            return None
        value, low, high = (math.expm1(x) for x in (float(np.mean(found)), min(found), max(found)))
        return Stat(value, low, high, n, f"{RANGE} {len(found)} runs" if len(found) > 1 else "one run")

    def levels(self, method: str) -> dict[str, Stat | None]:
        """Attack success in the dominant language and in the others together."""
        if not self.known:
            return {}
        first, *_ = languages = [str(self.runs.dominant), *self.others]
        found = {spelled(first): self.measured(method, ATTACK, first)}
        if len(languages) == 2:
            return found | {spelled(languages[1]): self.measured(method, ATTACK, languages[1])}
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
        keys = [key for language in languages for key in self.keys(ATTACK, language)]
        arms = self.numbers.narrowed(keys={"harmful": keys}).rows(methods, ATTACK)
        numbered = [[name.rpartition(":")[2] for name in self.numbers.ids(key)] for key in keys]
        parallel = all(one == numbered[0] for one in numbered)
        counts = [
            Count(np.nan_to_num(block), (~np.isnan(block)).astype(float), "all" if parallel else key)
            for blocks in arms
            for key, block in zip(keys, blocks, strict=True)
        ]
        if not counts or any(not count.counted_RP.any() for count in counts):
            return None

        def levels(shares: np.ndarray, arm: int) -> Levels:
            means = []
            for language in languages:
                own = [arm * len(keys) + keys.index(key) for key in self.keys(ATTACK, language)]
                means.append(shares[own].mean(axis=0))
            return Levels(means[0], np.mean(means[1:], axis=0))

        value, low, high = joint_interval(
            counts, lambda shares: combine([levels(shares, arm) for arm in range(len(arms))])
        )
        rows = len(arms[0][0])
        over = "roles × prompts" if len(self.runs.roles) > 1 else "seeds × prompts"
        n = sum(int(count.counted_RP.any(axis=0).sum()) for count in counts[: len(keys)])
        how = f"redrawn over {over if rows > 1 else 'prompts'}"
        return Stat(value, max(least, low), min(most, high), n, how)


def spelled(language: str) -> str:
    """The name of a language; what was declared where it is none of ours."""
    return NAMED.get(language, language)


def lead(runs: StudyRuns) -> str | None:
    """The method a multilingual study is about."""
    return runs.first_method("mpo") or runs.first_method("sarft") or next(iter(runs.methods), None)


# --- sentences ------------------------------------------------------------------------------------------


def in_points(stat: Stat, sign: bool = False) -> str:
    """ "3.1 points [−1.0, 7.2]"."""
    plus = "+" if sign and stat.value > 0 else ""
    return f"{plus}{minus(100 * stat.value, 1)} points {ends(stat.low, stat.high, 'share')}"


def closing(numbers: Numbers) -> list[str]:
    """How much easier the other languages are attacked before and after training; nothing for one."""
    found = Languages(numbers)
    before = found.apart(BASE)
    if before is None or found.runs.dominant is None:
        return []
    first, others = spelled(found.runs.dominant), listed([spelled(one) for one in found.others])
    where = f"in the other languages ({others})" if len(found.others) > 1 else f"in {others}"
    start = "Before training, attack success is" if not found.runs.is_audit else "Attack success is"
    if before.low > 0:
        sentence = f"{start} {in_points(before)} higher {where} than in {first}"
    elif before.high < 0:
        turned = before._replace(value=-before.value, low=-before.high, high=-before.low)
        sentence = f"{start} {in_points(turned)} lower {where} than in {first}"
    else:
        sentence = f"{start} not shown to differ {where} from {first} ({in_points(before, sign=True)})"
    method = lead(found.runs)
    if method is None:
        return [f"{sentence}."]
    after, part = found.apart(method), found.closed(method)
    if after is not None:
        sentence += f"; {'for' if found.runs.is_audit else 'after'} {method} {in_points(after)}"
    if part is not None:
        sentence += (
            f": {percent(part.value)} {ends(part.low, part.high, 'share')} of the difference is closed"
        )
    return [f"{sentence}.", *_moved(found, method), *_rivals(found, method)]


def _moved(found: Languages, method: str) -> list[str]:
    """The levels behind the distance: it may also close because the dominant language gets worse."""
    before, after = found.levels(BASE), found.levels(method)
    parts = [
        f"{name} {percent(x.value)} → {percent(y.value)}"
        for (name, x), y in zip(before.items(), after.values(), strict=True)
        if x is not None and y is not None
    ]
    return [f"Attack success from the aligned model to {method}: {', '.join(parts)}."] if parts else []


def _rivals(found: Languages, method: str) -> list[str]:
    parts = {rival: found.closed(rival) for rival in found.runs.methods if rival != method}
    each = [
        f"{rival} {percent(part.value)} {ends(part.low, part.high, 'share')}"
        for rival, part in parts.items()
        if part is not None
    ]
    return [f"Of the same difference the other methods close: {', '.join(each)}."] if each else []


def listed(names: Sequence[str]) -> str:
    """ "German, Spanish and French"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or DASH


# --- reward gap and attack success ----------------------------------------------------------------------


def reward_points(numbers: Numbers) -> list[Point]:
    """Every language, system turn and method that has both numbers."""
    runs, points = numbers.runs, []
    for system in runs.systems:
        found = Languages(numbers, system)
        for language in runs.languages:
            for method in [BASE, *runs.methods]:
                gap = found.measured(method, "reward_gap", language)
                success = found.measured(method, ATTACK, language)
                if gap is not None and success is not None:
                    points.append(Point(language, system, method, gap, success))
    return points


def association(points: Sequence[Point]) -> str:
    """The sentence under the figure of reward gap against attack success."""
    n = len(points)
    shared = "The points share models and prompts, so the interval is narrower than it should be."
    if n < 4:
        return f"No correlation: fewer than four points (n = {n})."
    rho = spearman_interval([p.gap.value for p in points], [p.success.value for p in points])
    if math.isnan(rho.value):
        return f"No correlation: one side does not vary (n = {n} points)."
    value, low, high = (minus(x, 2) for x in rho)
    sentence = f"Spearman ρ = {value} [{low}, {high}] over n = {n} points (Fisher's z)"
    if rho.high < 0:
        what = "the larger the gap, the lower the attack success"
    elif rho.low > 0:
        what = "the larger the gap, the higher the attack success"
    else:
        what = "no association detected"
    return f"{sentence}: {what}. {shared}"
