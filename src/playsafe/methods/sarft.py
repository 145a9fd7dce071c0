"""SaRFT (arXiv 2502.20968): cross-entropy on all rows, KL to the frozen model on the RDS subset.

L = E_D[CE(y)] + λ · E_{D_h}[KL(p_ref ‖ p_θ)]                                              (RBO)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from playsafe import objectives
from playsafe.errors import BadInput
from playsafe.matters import Matters
from playsafe.methods import Method, Options, Scored
from playsafe.records import Subset
from playsafe.terms import Loss, Term, ce, kl

SELECTED = Matters(lambda own, uses: own.subset != "none", "rows in the subset")
HELD = Matters(lambda own, uses: own.lam > 0 and own.subset != "none", "a KL term: lambda above 0, a subset")
BY_SCORE = ("score", "random", "flip")
SCORED = Matters(lambda own, uses: own.subset in BY_SCORE, "a subset by score, random or flip")


class SaRFTOptions(Options):
    """Each field is explained in docs/papers.md with what paper and released code do."""

    lam: Annotated[float, SELECTED] = Field(1.0, ge=0, alias="lambda", description="λ, weight of the KL")
    direction: Annotated[Literal["forward", "reverse"], HELD] = "forward"
    tokens: Annotated[Literal["reply", "all"], HELD] = "reply"
    denominator: Annotated[Literal["subset", "all"], HELD] = "subset"
    subset: Literal["score", "random", "flip", "all", "none"] = "score"
    threshold: Annotated[float | None, SCORED] = Field(None, description="τ; scoring.threshold when absent")
    preset: Literal["paper", "released"] = "paper"

    model_config = Options.model_config | {"populate_by_name": True}

    @model_validator(mode="after")
    def _released_fixes_the_formula(self) -> SaRFTOptions:
        fixed = self.model_fields_set & {"direction", "tokens", "denominator"}
        if self.preset == "released" and fixed:
            raise ValueError(f"preset 'released' fixes {', '.join(sorted(fixed))}; remove it")
        return self


class SaRFT(Method):
    name = "sarft"
    summary = "cross-entropy on all rows, KL to the frozen model on the rows RDS flags"
    source = "arXiv 2502.20968"
    Options = SaRFTOptions

    def loss(self, options: SaRFTOptions) -> Term | Loss:
        if options.preset == "released":  # both terms over n_i + ε, KL at every position, mean over rows
            divergence = kl("role.flagged", over="role", tokens="attended", average="row")
            return ce("role", average="row") + options.lam * divergence
        counted = "role" if options.denominator == "all" else "role.flagged"
        divergence = kl("role.flagged", over=counted, direction=options.direction, tokens=options.tokens)
        return ce("role") + options.lam * divergence

    def scorer(self, options: SaRFTOptions) -> str | None:
        return "rds" if options.subset in BY_SCORE else None

    def select(self, ids: Sequence[str], scored: Scored, options: SaRFTOptions, seed: int) -> Subset:
        threshold = scored.threshold if options.threshold is None else options.threshold
        gaps = dict.fromkeys(ids, 0.0)
        if self.scorer(options) is not None:
            missing = [i for i in ids if i not in scored.values]
            if missing:
                raise BadInput(
                    f"{len(missing)} rows have no score, the first is {missing[0]!r}.",
                    where="scores.jsonl",
                    next="Run `playsafe score` on the same data.",
                )
            gaps = {i: scored.values[i] for i in ids}
        chosen = objectives.select(gaps, options.subset, threshold=threshold, seed=seed)
        return Subset(options.subset, threshold, len(chosen) / len(ids) if ids else 0.0, chosen)


METHOD = SaRFT()
