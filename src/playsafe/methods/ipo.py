"""IPO (arXiv 2310.12036) on the targets of the pairs: DPO's margin, led to 1/(2β) instead of growing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from playsafe.methods import Options
from playsafe.methods._pairs import PairMethod

if TYPE_CHECKING:
    from torch import Tensor

    from playsafe.models.policy import PairSums


class IPOOptions(Options):
    """beta: τ of the paper; the margin is led to 1/(2β) nats per token."""

    beta: float = Field(0.1, gt=0, description="τ of the paper")
    weight: float = Field(1.0, gt=0, description="of the pairs beside the role's rows")


def _ipo(sums: PairSums, options: IPOOptions) -> Tensor:
    from playsafe.objectives import ipo

    return ipo(*sums[:6], beta=options.beta)


METHOD = PairMethod(
    "ipo",
    "the margin of DPO led to a finite value",
    "arXiv 2310.12036",
    IPOOptions,
    _ipo,
)
