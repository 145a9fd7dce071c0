"""ORPO (arXiv 2403.07691) on the targets of the pairs: cross-entropy on the safe reply and its log odds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from playsafe.methods import Options
from playsafe.methods._pairs import PairMethod

if TYPE_CHECKING:
    from torch import Tensor

    from playsafe.models.policy import PairSums


class ORPOOptions(Options):
    """The cross-entropy has weight 1."""

    weight: float = Field(0.1, gt=0, description="λ, of the odds beside the cross-entropy")


def _orpo(sums: PairSums, options: ORPOOptions) -> Tensor:
    from playsafe.objectives import mean_logprob, orpo

    return orpo(
        mean_logprob(sums.chosen, sums.chosen_tokens), mean_logprob(sums.rejected, sums.rejected_tokens)
    )


METHOD = PairMethod(
    "orpo",
    "cross-entropy on the safe reply and its odds against the unsafe one",
    "arXiv 2403.07691",
    ORPOOptions,
    _orpo,
    ce=True,
)
