"""MPO (arXiv 2505.16869): the reward gap of every target side is led to the dominant language's own.

L = L1 + L2,  L1 = E[(β·RG_θ(target) − RG_ref(dominant))²],  L2 = E‖h_θ(x_d) − h_ref(x_d)‖²

On a role's rows the cross-entropy is added, and where the targets stand under the role prompt (the study's
`pairs.system`) this is P-MPO: one loss, another pairing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from playsafe.matters import Matters
from playsafe.methods import Options, PairUse
from playsafe.methods._pairs import PairMethod, added

if TYPE_CHECKING:
    from torch import Tensor

    from playsafe.models.policy import Loss, PairSums, Policy
    from playsafe.objectives import Pooling


HELD = Matters(lambda own, uses: own.retention > 0, "retention above 0")


class MPOOptions(Options):
    """Each field is explained in docs/papers.md with what paper and released code do."""

    beta: float = Field(1.0, gt=0, description="β, at the target gap: 1.0 Llama-3.1, 1.5 Gemma-2, Qwen2.5")
    weight: float = Field(1.0, gt=0, description="of L1")
    retention: float = Field(1.0, ge=0, description="weight of L2")
    pooling: Annotated[Literal["last", "mean", "released"], HELD] = "last"
    norm: Annotated[Literal["sum", "mean"], HELD] = "sum"
    preset: Literal["paper", "released"] = "paper"

    @model_validator(mode="after")
    def _released_fixes_the_formula(self) -> MPOOptions:
        fixed = self.model_fields_set & {"pooling", "norm"}
        if self.preset == "released" and fixed:
            raise ValueError(f"preset 'released' fixes {', '.join(sorted(fixed))}; remove it")
        return self

    @property
    def how(self) -> tuple[Pooling, Literal["sum", "mean"]]:
        """Pooling and norm of L2."""
        return ("released", "mean") if self.preset == "released" else (self.pooling, self.norm)


def _gap_matching(sums: PairSums, options: MPOOptions) -> Tensor:
    from playsafe.objectives import gap_matching, reward_gap

    return gap_matching(reward_gap(*sums[:4]), sums.aim, options.beta)


class MPO(PairMethod):
    def factors(self, options: MPOOptions) -> dict[str, float]:
        return super().factors(options) | ({"retain": options.retention} if options.retention else {})

    def pairs(self, options: MPOOptions) -> PairUse | None:
        return PairUse(self.term, pooling=options.how[0] if options.retention else None)

    def loss(
        self, policy: Policy, batch: dict[str, Any], scale: Mapping[str, Tensor], options: MPOOptions
    ) -> Loss:
        from playsafe.objectives import retention

        hidden_BTD = policy.hidden(batch)
        found = self.pair_loss(policy, batch, scale, options, hidden_BTD)
        if "pairs" not in batch or not options.retention:
            return found
        moved_A = retention(*policy.held(batch, "retain", hidden_BTD), norm=options.how[1])
        return added(found, "retain", moved_A.sum() * scale["retain"])


METHOD = MPO(
    "mpo",
    "the dominant language's reward gap carried to languages and role prompts",
    "arXiv 2505.16869",
    MPOOptions,
    _gap_matching,
    term="gap",
)
