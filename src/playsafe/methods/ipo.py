"""IPO (arXiv 2310.12036) on the targets of the pairs: DPO's margin, led to 1/(2β) instead of growing."""

from __future__ import annotations

from pydantic import Field

from playsafe import objectives
from playsafe.methods import Options
from playsafe.methods._pairs import PairMethod


class IPOOptions(Options):
    """beta: τ of the paper; the margin is led to 1/(2β) nats per token."""

    beta: float = Field(0.1, gt=0, description="τ of the paper")
    weight: float = Field(1.0, gt=0, description="of the pairs beside the role's rows")


METHOD = PairMethod(
    "ipo",
    "the margin of DPO led to a finite value",
    "arXiv 2310.12036",
    IPOOptions,
    lambda s, o: objectives.ipo(*s[:4], s.constants["ref_chosen"], s.constants["ref_rejected"], o.beta),
    needs=("ref_chosen", "ref_rejected"),
)
