"""SimPO (arXiv 2405.14734) on the targets of the pairs: their reward gap grows, without a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from playsafe.methods import Options
from playsafe.methods._pairs import PairMethod

if TYPE_CHECKING:
    from torch import Tensor

    from playsafe.models.policy import PairSums


class SimPOOptions(Options):
    """beta: β, at the reward gap. gamma: γ, the gap that is asked for, times β."""

    beta: float = Field(2.0, gt=0)
    gamma: float = Field(1.0, ge=0, description="γ, the margin")
    weight: float = Field(1.0, gt=0, description="of the pairs beside the role's rows")


def _simpo(sums: PairSums, options: SimPOOptions) -> Tensor:
    from playsafe.objectives import reward_gap, simpo

    return simpo(reward_gap(*sums[:4]), options.beta, options.gamma)


METHOD = PairMethod(
    "simpo",
    "length-normalised preference optimisation without a reference",
    "arXiv 2405.14734",
    SimPOOptions,
    _simpo,
)
