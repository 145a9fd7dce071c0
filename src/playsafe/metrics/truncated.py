"""Replies cut by max_new_tokens: a verdict on half a reply is worth less."""

from __future__ import annotations

import math

from playsafe.metrics import Measure, Reply


class Truncated(Measure):
    name = "truncated"
    summary = "share of replies cut by max_new_tokens"
    title = "replies cut by max_new_tokens"
    better = "lower"
    kinds = ("harmful", "benign", "dark", "references", "task")
    pooled = True
    aspect = "health"

    def value(self, reply: Reply) -> float:
        if reply.completion is None or reply.text is None:
            return math.nan
        return float(reply.completion.finish == "length")


METRIC = Truncated()
