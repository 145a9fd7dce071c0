"""KTO (arXiv 2402.01306) on the targets of the pairs, with z = 0: no further replies estimate the KL."""

from __future__ import annotations

from pydantic import Field

from playsafe import objectives
from playsafe.methods import Options
from playsafe.methods._pairs import PairMethod


class KTOOptions(Options):
    """beta: β, how sharply gain and loss saturate."""

    beta: float = Field(0.1, gt=0)
    weight: float = Field(1.0, gt=0, description="of the pairs beside the role's rows")


METHOD = PairMethod(
    "kto",
    "prospect-theoretic gain on safe, loss on unsafe replies",
    "arXiv 2402.01306",
    KTOOptions,
    lambda s, o: objectives.kto(
        s.chosen, s.rejected, s.constants["ref_chosen"], s.constants["ref_rejected"], o.beta
    ),
    needs=("ref_chosen", "ref_rejected"),
)
