"""SimPO (arXiv 2405.14734) on the targets of the pairs: the gap beyond a margin, without a reference."""

from __future__ import annotations

from pydantic import Field

from playsafe import objectives
from playsafe.methods import Options
from playsafe.methods._pairs import PairMethod


class SimPOOptions(Options):
    """beta: β, at the reward gap. gamma: γ, the gap that is asked for, times β."""

    beta: float = Field(2.0, gt=0)
    gamma: float = Field(1.0, ge=0, description="γ, the margin")
    weight: float = Field(1.0, gt=0, description="of the pairs beside the role's rows")


METHOD = PairMethod(
    "simpo",
    "length-normalised preference optimisation without a reference",
    "arXiv 2405.14734",
    SimPOOptions,
    lambda s, o: objectives.simpo(s.gap, o.beta, o.gamma),
)
