"""Perplexity of the right answers: exp of the mean over prompts of −(1/|y|) log p(y | x), 1 at best, no unit.

y is a prompt's first reference, under the model that is evaluated; every prompt counts alike, whatever the
length of its answer. The values are −(1/|y|) log p, nats per
token; the mean and its interval are shown exponentiated, a difference as a relative change.
"""

from __future__ import annotations

import math

from playsafe.metrics import Measure, Reply


class Perplexity(Measure):
    name = "perplexity"
    summary = "perplexity of the right answers"
    title = "perplexity"
    unit = ""
    better = "lower"
    kinds = ("task",)
    aspect = "task"
    log = True

    def value(self, reply: Reply) -> float | None:
        if not reply.scored:
            return None
        return -reply.likelihoods[0].mean if reply.likelihoods else math.nan


METRIC = Perplexity()
