"""DPO (arXiv 2305.18290) on the targets of the pairs: their margin grows against the frozen model's."""

from __future__ import annotations

from pydantic import Field

from playsafe import objectives
from playsafe.methods import Options
from playsafe.methods._pairs import PairMethod


class DPOOptions(Options):
    """beta: β, how strongly the policy is tied to the frozen model."""

    beta: float = Field(0.1, gt=0)
    weight: float = Field(1.0, gt=0, description="of the pairs beside the role's rows")


METHOD = PairMethod(
    "dpo",
    "direct preference optimisation on the target pairs",
    "arXiv 2305.18290",
    DPOOptions,
    lambda s, o: objectives.dpo(
        s.chosen, s.rejected, s.constants["ref_chosen"], s.constants["ref_rejected"], o.beta
    ),
    needs=("ref_chosen", "ref_rejected"),
)
