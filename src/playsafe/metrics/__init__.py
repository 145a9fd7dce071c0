"""Measures: one file each, and this folder is the registry.

A metric turns the completions and verdicts of one suite into an `Estimate`: a value with n, errors and a
95 % interval, or no value where there are no items.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from playsafe.records import Completion, Estimate, Prompt, Verdict

SuiteKind = Literal["harmful", "benign", "references"]


@dataclass(frozen=True, slots=True)
class Answered:
    """One suite with its answers: prompts, completions and verdicts lie in the same order."""

    suite: str
    kind: SuiteKind
    judge: str
    prompts: Sequence[Prompt]
    completions: Sequence[Completion]
    verdicts: Sequence[Verdict]


class Metric(Protocol):
    """What a metric file provides as `METRIC`. kinds: the suites it applies to."""

    name: str
    summary: str
    kinds: tuple[SuiteKind, ...]

    def estimate(self, answered: Answered) -> Estimate: ...


def names() -> list[str]:
    """Names of all metrics: the files of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def get(name: str) -> Metric:
    return importlib.import_module(f"{__name__}.{name}").METRIC


def estimates(answered: Answered) -> list[Estimate]:
    """All metrics that apply to this kind of suite."""
    return [metric.estimate(answered) for metric in map(get, names()) if answered.kind in metric.kinds]
