"""DPO (arXiv 2305.18290) on the targets of the pairs: their margin grows against the frozen model's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from playsafe.methods import Options
from playsafe.methods._pairs import PairMethod

if TYPE_CHECKING:
    from torch import Tensor

    from playsafe.models.policy import PairSums


class DPOOptions(Options):
    """beta: β, how strongly the policy is tied to the frozen model."""

    beta: float = Field(0.1, gt=0)
    weight: float = Field(1.0, gt=0, description="of the pairs beside the role's rows")


def _dpo(sums: PairSums, options: DPOOptions) -> Tensor:
    from playsafe.objectives import dpo

    return dpo(sums.chosen, sums.rejected, sums.ref_chosen, sums.ref_rejected, options.beta)


METHOD = PairMethod(
    "dpo",
    "direct preference optimisation on the target pairs",
    "arXiv 2305.18290",
    DPOOptions,
    _dpo,
)
