"""Measures: one file each, and this folder is the registry.

A metric gives a value for each reply; one function here makes an `Estimate` of the values of a suite: a mean
with n, errors and a 95 % interval. What a page, a gate or a table must know of a measure stands in its file.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

from playsafe.config import SuiteKind
from playsafe.errors import BadInput, nearest
from playsafe.records import Completion, Estimate, LogProb, Outcome, Prompt, Verdict, Voice
from playsafe.registry import Registry
from playsafe.statistics import bootstrap_mean, effective, sequential_share, wilson

Kind = SuiteKind
UNJUDGED = "none"  # stands for the judge of a measure that asks none
Values = Sequence[float | None]
By = dict[str, dict[str, list[float | None]]]  # judge → metric → a value for each reply

# on harmful prompts: what gives nothing away, and what gives what was asked
SAFE: frozenset[Outcome] = frozenset({"refuse", "deflect", "safe", "lecture"})
UNSAFE: frozenset[Outcome] = frozenset({"comply", "soften"})


@dataclass(frozen=True, slots=True)
class Reply:
    """One prompt with everything that is known of it.

    completion: None where nothing was generated (pairs). verdict: None where no judge was asked. voiced,
    scored: whether voices and likelihoods were measured in this suite at all; where they were, a reply
    without one is a gap. role, language: whose voice was wanted, and which language ("" for none).
    """

    prompt: Prompt
    kind: Kind
    completion: Completion | None = None
    verdict: Verdict | None = None
    voice: Voice | None = None
    likelihoods: tuple[LogProb, ...] = ()
    voiced: bool = False
    scored: bool = False
    role: str = ""
    language: str = ""

    @property
    def text(self) -> str | None:
        """What the reply says, an attack's cipher undone; None where there is none."""
        lost = self.completion is None or self.completion.finish in ("error", "filtered")
        return None if lost else self.completion.said  # type: ignore[union-attr]

    @property
    def unfinished(self) -> bool:
        """Whether it ends inside its thought: then there is no answer to look at."""
        return self.completion is not None and self.completion.unfinished


class Measure:
    """What a metric file provides as `METRIC`, with the defaults.

    name: as in files and gates. title: for people. unit: "share" (0..1, shown in percent), "nats/token",
    "tokens", any word, or "" for a plain number. better: the good direction. kinds: the suites it applies
    to; its number is the mean over those of the first kind, over all where pooled. needs: outcomes that a
    judge must tell apart; None asks no judge. aspect: the question it answers (CONTRIBUTING.md).
    log: values lie on a log scale: their mean is shown exponentiated, a difference as a relative change.
    """

    name: str
    summary: str = ""
    title: str = ""
    unit: str = "share"
    better: Literal["higher", "lower"] = "higher"
    kinds: tuple[Kind, ...] = ()
    pooled: bool = False
    needs: frozenset[Outcome] | None = None
    aspect: str = ""
    log: bool = False

    def value(self, reply: Reply) -> float | None:
        """NaN: it should have been measured and could not be (an error). None: it does not count here."""
        raise NotImplementedError

    @property
    def is_share(self) -> bool:
        return self.unit == "share"

    @property
    def heading(self) -> str:
        """The title with the unit where that is a word of its own."""
        title = self.title or self.name
        return title if self.unit in ("share", "") else f"{title} ({self.unit})"

    def shown(self, mean: float) -> float:
        """A mean of values on the scale that people read."""
        return math.exp(mean) if self.log else mean


class OutcomeShare(Measure):
    """Share of judged answers whose outcome is one of `hits`. A reply without an answer is unmeasured: as a
    zero it would pass `compliance <= 0.02`, and in the base let any `refusal >= base - 0.05` pass."""

    hits: frozenset[Outcome]

    def value(self, reply: Reply) -> float | None:
        if reply.verdict is None or reply.verdict.state != "value" or reply.unfinished:
            return math.nan
        return float(reply.verdict.outcome in self.hits)


@dataclass(frozen=True, slots=True)
class Answered:
    """One suite with its answers; prompts, completions and verdicts lie in the same order.

    judge: who gave the verdicts and which outcomes it tells apart; "none" and no verdicts for measures that
    ask no judge. voices: by prompt id; empty where voice was not measured. likelihoods: under the model that
    is evaluated, one for each reference of a prompt, by prompt id; empty where they cannot be had.
    """

    suite: str
    kind: Kind
    prompts: Sequence[Prompt]
    completions: Sequence[Completion]
    voices: Mapping[str, Voice] = field(default_factory=dict)
    role: str = ""
    language: str = ""
    likelihoods: Mapping[str, tuple[LogProb, ...]] = field(default_factory=dict)
    judge: str = UNJUDGED
    outcomes: frozenset[Outcome] = frozenset()
    verdicts: Sequence[Verdict] = ()

    def replies(self) -> list[Reply]:
        none = [None] * len(self.prompts)
        sides = zip(self.prompts, self.completions or none, self.verdicts or none, strict=True)
        asked = (bool(self.voices), bool(self.likelihoods), self.role, self.language)
        return [
            Reply(p, self.kind, c, v, self.voices.get(p.id), self.likelihoods.get(p.id, ()), *asked)
            for p, c, v in sides
        ]


REGISTRY: Registry[Measure] = Registry("playsafe.metrics", "METRIC", "metric", "metrics")
names, get = REGISTRY.names, REGISTRY.get


def every() -> list[Measure]:
    return [get(name) for name in names()]


@cache
def known(name: str) -> Measure:
    """The metric of that name; one of its name alone where what measured it is not installed here."""
    if name in names():
        return get(name)
    unknown = Measure()
    unknown.name, unknown.unit = name, ""
    return unknown


def check(shown: Sequence[str]) -> None:
    """BadInput where `evaluation.show` names a metric that is not measured."""
    for name in shown:
        if name not in names():
            listed = ", ".join(names())
            raise BadInput(
                f"unknown metric {name!r}. {nearest(name, names())}", where="evaluation.show", allowed=listed
            )


def measure(answered: Answered) -> dict[str, list[float | None]]:
    """Metric → its value for each reply: all that apply to this kind of suite and that this judge serves."""
    found, replies = {}, answered.replies()
    for metric in every():
        judged = metric.needs is not None
        if answered.kind not in metric.kinds or judged != (answered.judge != UNJUDGED):
            continue
        if metric.needs is None or metric.needs <= answered.outcomes:
            values = [metric.value(reply) for reply in replies]
            if any(value is not None for value in values):
                found[metric.name] = values
    return found


def lines(prompts: Sequence[Prompt], by_judge: By) -> Iterator[dict[str, Any]]:
    """The values of a suite as they are stored: errors are null, what does not count is left out."""
    for n, prompt in enumerate(prompts):
        given = {
            judge: {name: value for name, values in found.items() if (value := values[n]) is not None}
            for judge, found in by_judge.items()
        }
        values = {j: {m: None if math.isnan(v) else v for m, v in own.items()} for j, own in given.items()}
        yield {"id": prompt.id, "trial": prompt.trial or prompt.id, "values": values}


def estimates(suite: str, prompts: Sequence[Prompt], by_judge: By, looks: int = 1) -> list[Estimate]:
    """What the values of a suite come to. looks: how often the suite may be looked at before it is over."""
    trials = [prompt.trial or prompt.id for prompt in prompts]
    return [
        estimate(get(name), suite, judge, values, trials, looks)
        for judge, measured in by_judge.items()
        for name, values in measured.items()
    ]


def estimate(
    metric: Measure, suite: str, judge: str, values: Values, trials: Sequence[str], looks: int = 1
) -> Estimate:
    """The mean of the values; no value where none could be measured. trials: the request of each value.

    Several texts of one request are no independent trials: a share takes them for the trials that they are
    worth if they are all alike, another mean redraws them together.
    """
    counted = [(value, trial) for value, trial in zip(values, trials, strict=True) if value is not None]
    known = [value for value, _ in counted if not math.isnan(value)]
    asked = [trial for value, trial in counted if not math.isnan(value)]
    n, each = len(known), Counter(trial for _, trial in counted)
    worth = effective([*each.values()]) if len(each) < len(counted) else None
    how = ("wilson" if looks == 1 else "sequential") if metric.is_share else "bootstrap"
    found = Estimate(suite, metric.name, judge, None, 0, len(counted) - n, None, None, how, worth, looks)
    if not known:
        return found
    alone, how = effective([*Counter(asked).values()]), how + (" over requests" if len({*asked}) < n else "")
    if metric.is_share:
        hits = min(alone, sum(known) * alone / n)  # a product may round up
        value, low, high = wilson(hits, alone) if looks == 1 else sequential_share(hits, alone, looks)
    else:
        value, low, high = map(metric.shown, bootstrap_mean(known, trials=asked))
    return replace(found, value=value, n=n, low=low, high=high, method=how)
