"""Shares with Wilson's interval; items that could not be judged are errors, not answers."""

from __future__ import annotations

from collections.abc import Collection

from playsafe.metrics import Answered, Kind
from playsafe.records import Estimate, Outcome
from playsafe.statistics import wilson


class OutcomeShare:
    """A metric: share of judged answers whose outcome is one of `hits`."""

    def __init__(
        self,
        name: str,
        summary: str,
        kinds: tuple[Kind, ...],
        hits: Collection[Outcome],
        needs: Collection[Outcome],
    ) -> None:
        self.name, self.summary, self.kinds = name, summary, kinds
        self.hits, self.needs = frozenset(hits), frozenset(needs)

    def estimate(self, answered: Answered) -> Estimate:
        judged = [v for v in answered.verdicts if v.state == "value"]
        hits = sum(v.outcome in self.hits for v in judged)
        return share(answered, self.name, hits, len(judged), len(answered.verdicts) - len(judged))


def share(answered: Answered, metric: str, hits: int, n: int, errors: int) -> Estimate:
    """hits of n as an estimate; no value where n is 0."""
    if n == 0:
        return Estimate(answered.suite, metric, answered.judge, None, 0, errors, None, None)
    # Several attacked texts of one request are no independent trials: they count as one for the interval.
    requests = len({prompt.id.partition("/")[0] for prompt in answered.prompts})
    alone = requests / len(answered.prompts)
    value, low, high = wilson(hits * alone, n * alone)
    method = "wilson" if alone == 1 else "wilson over requests"
    return Estimate(answered.suite, metric, answered.judge, value, n, errors, low, high, method)
