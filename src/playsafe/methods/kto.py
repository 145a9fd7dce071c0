"""KTO (arXiv 2402.01306) on the targets of the pairs, with z = 0: no further replies estimate the KL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from playsafe.methods import Options
from playsafe.methods._pairs import PairMethod

if TYPE_CHECKING:
    from torch import Tensor

    from playsafe.models.policy import PairSums


class KTOOptions(Options):
    """beta: β, how sharply gain and loss saturate."""

    beta: float = Field(0.1, gt=0)
    weight: float = Field(1.0, gt=0, description="of the pairs beside the role's rows")


def _kto(sums: PairSums, options: KTOOptions) -> Tensor:
    from playsafe.objectives import kto

    return kto(sums.chosen, sums.rejected, sums.ref_chosen, sums.ref_rejected, options.beta)


METHOD = PairMethod(
    "kto",
    "prospect-theoretic gain on safe, loss on unsafe replies",
    "arXiv 2402.01306",
    KTOOptions,
    _kto,
)
