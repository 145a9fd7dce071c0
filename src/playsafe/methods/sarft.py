"""SaRFT (arXiv 2502.20968): cross-entropy on all rows, KL to the frozen model on the RDS subset.

L = E_D[CE(y)] + λ · E_{D_h}[KL(p_ref ‖ p_θ)]                                              (RBO)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from playsafe.errors import BadInput
from playsafe.matters import Matters
from playsafe.methods import Options, PairUse, Weighed
from playsafe.records import Score, Subset

if TYPE_CHECKING:
    from torch import Tensor

    from playsafe.models.policy import Loss, Policy


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


class SaRFT:
    name = "sarft"
    summary = "cross-entropy on all rows, KL to the frozen model on the rows RDS flags"
    source = "arXiv 2502.20968"
    Options = SaRFTOptions

    def factors(self, options: SaRFTOptions) -> dict[str, float]:
        return {"ce": 1.0, "kl": options.lam}

    def needs_scores(self, options: SaRFTOptions) -> bool:
        return options.subset in BY_SCORE

    def subset(
        self, ids: Sequence[str], scores: Mapping[str, Score], options: SaRFTOptions, seed: int
    ) -> Subset:
        from playsafe.objectives import select

        threshold = options.threshold or 0.0
        if self.needs_scores(options):
            missing = [i for i in ids if i not in scores]
            if missing:
                raise BadInput(
                    f"{len(missing)} rows have no score, the first is {missing[0]!r}.",
                    where="scores.jsonl",
                    next="Run `playsafe score` on the same data.",
                )
            gaps = {i: scores[i].gap for i in ids}
        else:
            gaps = dict.fromkeys(ids, 0.0)
        chosen = select(gaps, options.subset, threshold=threshold, seed=seed)
        return Subset(options.subset, threshold, len(chosen) / len(ids) if ids else 0.0, chosen)

    def weigh(
        self, ids: Sequence[int], reply_mask: Sequence[bool], in_subset: bool, options: SaRFTOptions
    ) -> Weighed:
        if options.preset == "released":
            return self._released(ids, reply_mask, in_subset)
        reply = [1.0 if m else 0.0 for m in reply_mask[1:]] + [0.0]
        seen = reply if options.tokens == "reply" else [1.0] * (len(ids) - 1) + [0.0]
        kl = seen if in_subset else [0.0] * len(ids)
        counted = sum(seen) if in_subset or options.denominator == "all" else 0.0
        return Weighed({"ce": reply, "kl": kl}, {"ce": sum(reply), "kl": counted})

    def _released(self, ids: Sequence[int], reply_mask: Sequence[bool], in_subset: bool) -> Weighed:
        """The released code's weights: both terms over n_i + 1e-5, KL at every position, mean over rows."""
        import torch

        from playsafe.objectives import released_weights

        ce, kl = released_weights(
            torch.tensor([list(reply_mask)]), torch.ones(1, len(ids)), torch.tensor([in_subset])
        )
        return Weighed({"ce": ce[0].tolist(), "kl": kl[0].tolist()}, {"ce": 1.0, "kl": 1.0})

    def pairs(self, options: SaRFTOptions) -> PairUse | None:
        return None

    def loss(
        self, policy: Policy, batch: dict[str, Any], scale: Mapping[str, Tensor], options: SaRFTOptions
    ) -> Loss:
        return policy.ce_kl(batch, scale, direction=options.direction)


METHOD = SaRFT()
