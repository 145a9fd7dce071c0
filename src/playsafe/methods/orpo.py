"""ORPO (arXiv 2403.07691) on the targets of the pairs: cross-entropy on the safe reply and its log odds."""

from __future__ import annotations

from pydantic import Field

from playsafe import objectives
from playsafe.methods import Options
from playsafe.methods._pairs import PairMethod


class ORPOOptions(Options):
    """The cross-entropy has weight 1."""

    weight: float = Field(0.1, gt=0, description="λ, of the odds beside the cross-entropy")


METHOD = PairMethod(
    "orpo",
    "cross-entropy on the safe reply and its odds against the unsafe one",
    "arXiv 2403.07691",
    ORPOOptions,
    lambda s, o: objectives.orpo(
        objectives.mean_logprob(s.chosen, s.chosen_tokens),
        objectives.mean_logprob(s.rejected, s.rejected_tokens),
    ),
    rows=("role", "pairs.chosen"),
)
