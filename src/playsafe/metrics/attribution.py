"""Closed-set role attribution: under which of the study's role prompts is a reply likeliest?

A reply that the frozen model attributes to its own role counts. Only a sample of the replies is asked
(`evaluation.voice.attribution`), so the others are neither hits nor errors. Chance is one over the roles.
"""

from __future__ import annotations

from playsafe.metrics import Measure, Reply


class Attribution(Measure):
    name = "attribution"
    summary = "share of replies attributed to their own role among the study's roles"
    title = "attributed"
    kinds = ("harmful", "dark", "references")
    aspect = "sound"

    def value(self, reply: Reply) -> float | None:
        if reply.voice is None or reply.voice.attributed is None:
            return None
        return float(reply.voice.attributed == reply.role)


METRIC = Attribution()
