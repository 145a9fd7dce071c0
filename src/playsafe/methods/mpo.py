"""MPO (arXiv 2505.16869): the reward gap of every target side is led to the dominant language's own.

L = L1 + L2,  L1 = E[(β·RG_θ(target) − RG_ref(dominant))²],  L2 = E‖h_θ(x_d) − h_ref(x_d)‖²

On a role's rows the cross-entropy is added, and where the targets stand under the role prompt (the study's
`pairs.system`) this is P-MPO: one loss, another pairing.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from playsafe import objectives
from playsafe.matters import Matters
from playsafe.methods import Method, Options
from playsafe.terms import Loss, Term, ce, held, pairs

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


class MPO(Method):
    name = "mpo"
    summary = "the dominant language's reward gap carried to languages and role prompts"
    source = "arXiv 2505.16869"
    Options = MPOOptions

    def loss(self, options: MPOOptions) -> Term | Loss:
        released = options.preset == "released"
        pooling = "released" if released else options.pooling
        norm: Literal["sum", "mean"] = "mean" if released else options.norm
        L1 = pairs("gap", lambda s: objectives.gap_matching(s.gap, s.constants["aim"], options.beta), ["aim"])
        L2 = held("retain", lambda h, ref_h: objectives.retention(h, ref_h, norm), pooling)
        loss = ce("role") + options.weight * L1
        return loss + options.retention * L2 if options.retention else loss


METHOD = MPO()
