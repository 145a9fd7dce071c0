"""Degenerate replies (empty, looping, no words): their own rate, so that a broken model looks like one."""

from __future__ import annotations

from playsafe.metrics import Answered
from playsafe.metrics._rates import outcome_share
from playsafe.records import Estimate


class Degenerate:
    name = "degenerate"
    summary = "share of replies that are no usable answer"
    kinds = ("harmful", "benign", "references")

    def estimate(self, answered: Answered) -> Estimate:
        return outcome_share(answered, self.name, lambda v: v.outcome == "degenerate")


METRIC = Degenerate()
