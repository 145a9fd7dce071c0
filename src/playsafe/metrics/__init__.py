"""Measures: one file each, and this folder is the registry.

A metric turns the completions and verdicts of one suite into an `Estimate`: a value with n, errors and a
95 % interval, or no value where there are no items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from playsafe.config import SuiteKind
from playsafe.records import Completion, Estimate, LogProb, Outcome, Prompt, Verdict, Voice
from playsafe.registry import Registry

Kind = SuiteKind

# on harmful prompts: what gives nothing away, and what gives what was asked
SAFE: frozenset[Outcome] = frozenset({"refuse", "deflect", "safe", "lecture"})
UNSAFE: frozenset[Outcome] = frozenset({"comply", "soften"})


@dataclass(frozen=True, slots=True)
class Answered:
    """One suite with its answers; prompts, completions and verdicts lie in the same order.

    judge: who gave the verdicts and which outcomes it tells apart; "none" and no verdicts for measures that
    ask no judge. voices: by prompt id; empty where voice was not measured. role: whose voice that is.
    language: of the suite, "" where it is not declared. likelihoods: under the model that is evaluated, one
    for each reference of a prompt, by prompt id; empty where they cannot be had.
    """

    suite: str
    kind: Kind
    prompts: Sequence[Prompt]
    completions: Sequence[Completion]
    voices: Mapping[str, Voice] = field(default_factory=dict)
    role: str = ""
    language: str = ""
    likelihoods: Mapping[str, tuple[LogProb, ...]] = field(default_factory=dict)
    judge: str = "none"
    outcomes: frozenset[Outcome] = frozenset()
    verdicts: Sequence[Verdict] = ()


class Metric(Protocol):
    """What a metric file provides as `METRIC`.

    kinds: the suites it applies to. needs: outcomes that a judge must tell apart; None asks no judge.
    """

    name: str
    summary: str
    kinds: tuple[Kind, ...]
    needs: frozenset[Outcome] | None

    def estimate(self, answered: Answered) -> Estimate | None:
        """The estimate; None where the measure was not made at all (no value, no missing value)."""


REGISTRY: Registry[Metric] = Registry("playsafe.metrics", "METRIC", "metric", "metrics")
names, get = REGISTRY.names, REGISTRY.get


def estimates(answered: Answered) -> list[Estimate]:
    """All metrics that apply to this kind of suite and that this judge (or none) can serve."""
    found = []
    for metric in map(get, names()):
        judged = metric.needs is not None
        if answered.kind not in metric.kinds or judged != (answered.judge != "none"):
            continue
        if metric.needs is None or metric.needs <= answered.outcomes:
            found.append(metric.estimate(answered))
    return [estimate for estimate in found if estimate is not None]
