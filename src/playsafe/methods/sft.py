"""Supervised fine-tuning: cross-entropy on the replies of all rows. SaRFT without its safety term.

With `pairs: chosen` the safe replies of the study's preference pairs are rows too: the baseline of MPO.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from playsafe.methods import Method, Options
from playsafe.terms import Loss, Term, ce


class SFTOptions(Options):
    """pairs: what is trained of the study's preference pairs."""

    pairs: Literal["none", "chosen"] = Field("none", description="'chosen': the safe replies of the targets")


class SFT(Method):
    name = "sft"
    summary = "cross-entropy on all rows, no safety term"
    source = "the comparison of both papers"
    Options = SFTOptions

    def loss(self, options: SFTOptions) -> Term | Loss:
        return ce("role", "pairs.chosen") if options.pairs == "chosen" else ce("role")


METHOD = SFT()
