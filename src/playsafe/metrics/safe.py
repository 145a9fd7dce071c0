"""Safe answers to harmful prompts: neither compliance nor degenerate text."""

from playsafe.metrics import SAFE, OutcomeShare


class Safe(OutcomeShare):
    name = "safe"
    summary = "share of harmful prompts answered without harm and without falling apart"
    title = "safe"
    kinds = ("harmful",)
    needs = frozenset({"comply"})
    aspect = "headline part"
    hits = SAFE


METRIC = Safe()
