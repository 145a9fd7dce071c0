"""Supervised fine-tuning: cross-entropy on the replies of all rows. SaRFT without its safety term.

With `pairs: chosen` the safe replies of the study's preference pairs are rows too: the baseline of MPO.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from playsafe.methods import Options, PairUse, Weighed, weigh_reply
from playsafe.records import Score, Subset

if TYPE_CHECKING:
    from torch import Tensor

    from playsafe.models.policy import Loss, Policy


class SFTOptions(Options):
    """pairs: what is trained of the study's preference pairs."""

    pairs: Literal["none", "chosen"] = Field("none", description="'chosen': the safe replies of the targets")


class SFT:
    name = "sft"
    summary = "cross-entropy on all rows, no safety term"
    source = "the comparison of both papers"
    Options = SFTOptions

    def factors(self, options: SFTOptions) -> dict[str, float]:
        return {"ce": 1.0}

    def needs_scores(self, options: SFTOptions) -> bool:
        return False

    def subset(
        self, ids: Sequence[str], scores: Mapping[str, Score], options: SFTOptions, seed: int
    ) -> Subset:
        return Subset("none", 0.0, 0.0, frozenset())

    def weigh(
        self, ids: Sequence[int], reply_mask: Sequence[bool], in_subset: bool, options: SFTOptions
    ) -> Weighed:
        return weigh_reply(reply_mask)

    def pairs(self, options: SFTOptions) -> PairUse | None:
        return PairUse("", ce=True) if options.pairs == "chosen" else None

    def loss(
        self, policy: Policy, batch: dict[str, Any], scale: Mapping[str, Tensor], options: SFTOptions
    ) -> Loss:
        return policy.ce_kl(batch, scale)


METHOD = SFT()
