"""Perplexity of the right answers: exp of the mean over prompts of −(1/|y|) log p(y | x), 1 at best, no unit.

y is a prompt's first reference, under the model that is evaluated; every prompt counts alike, whatever the
length of its answer. The interval is that of the mean, exponentiated.
"""

from __future__ import annotations

from math import exp

from playsafe.metrics import Answered, Kind
from playsafe.records import Estimate
from playsafe.statistics import bootstrap_mean


class Perplexity:
    name = "perplexity"
    summary = "perplexity of the right answers"
    kinds: tuple[Kind, ...] = ("task",)
    needs = None

    def estimate(self, answered: Answered) -> Estimate | None:
        found = answered.likelihoods
        if not found:
            return None
        costs = [-found[p.id][0].mean for p in answered.prompts if found.get(p.id)]
        errors = len(answered.prompts) - len(costs)
        if not costs:
            return Estimate(answered.suite, self.name, "none", None, 0, errors, None, None, "bootstrap")
        value, low, high = map(exp, bootstrap_mean(costs))
        return Estimate(answered.suite, self.name, "none", value, len(costs), errors, low, high, "bootstrap")


METRIC = Perplexity()
