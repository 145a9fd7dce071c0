"""Replies that a server's content filter took away: what the model said is not known."""

from __future__ import annotations

import math

from playsafe.metrics import Measure, Reply


class FilterRate(Measure):
    name = "filter_rate"
    summary = "share of replies that the server's content filter took away"
    title = "replies taken by a content filter"
    better = "lower"
    kinds = ("harmful", "benign", "dark", "references", "task")
    pooled = True
    aspect = "health"

    def value(self, reply: Reply) -> float:
        if reply.completion is None or reply.completion.finish == "error":
            return math.nan
        return float(reply.completion.finish == "filtered")


METRIC = FilterRate()
