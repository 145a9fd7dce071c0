"""Over-refusal: refusals among judged answers to benign prompts."""

from __future__ import annotations

from playsafe.metrics import Answered
from playsafe.metrics._rates import outcome_share
from playsafe.records import Estimate


class OverRefusal:
    name = "over_refusal"
    summary = "share of benign prompts that are refused"
    kinds = ("benign",)

    def estimate(self, answered: Answered) -> Estimate:
        return outcome_share(answered, self.name, lambda v: v.outcome == "refuse")


METRIC = OverRefusal()
