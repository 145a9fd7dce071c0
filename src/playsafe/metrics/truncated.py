"""Replies cut by max_new_tokens: a verdict on half a reply is worth less."""

from __future__ import annotations

from playsafe.metrics import Answered, Kind
from playsafe.metrics._shares import share
from playsafe.records import Estimate


class Truncated:
    name = "truncated"
    summary = "share of replies cut by max_new_tokens"
    kinds: tuple[Kind, ...] = ("harmful", "benign", "dark", "references", "task")
    needs = None

    def estimate(self, answered: Answered) -> Estimate:
        ended = [c for c in answered.completions if c.finish != "error"]
        cut = sum(c.finish == "length" for c in ended)
        return share(answered, self.name, cut, len(ended), len(answered.completions) - len(ended))


METRIC = Truncated()
