"""Shares of outcomes with Wilson's interval; items that could not be judged are errors, not answers."""

from __future__ import annotations

from collections.abc import Callable

from playsafe.metrics import Answered
from playsafe.records import Estimate, Verdict
from playsafe.statistics import wilson


def outcome_share(answered: Answered, metric: str, hit: Callable[[Verdict], bool]) -> Estimate:
    """Share of judged answers for which `hit` holds."""
    judged = [v for v in answered.verdicts if v.state == "value"]
    return share(answered, metric, sum(map(hit, judged)), len(judged), len(answered.verdicts) - len(judged))


def share(answered: Answered, metric: str, hits: int, n: int, errors: int) -> Estimate:
    """hits of n as an estimate; no value where n is 0."""
    if n == 0:
        return Estimate(answered.suite, metric, answered.judge, None, 0, errors, None, None)
    value, low, high = wilson(hits, n)
    return Estimate(answered.suite, metric, answered.judge, value, n, errors, low, high)
