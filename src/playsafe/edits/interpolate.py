"""Interpolation between the aligned model and the tuned one: W = W_0 + f · (W_tuned − W_0).

factor f: 0 gives the aligned model back, 1 changes nothing (WiSE-FT, arXiv 2109.01903). Of a LoRA adapter
W_tuned − W_0 = s · B A, so that B alone is scaled; with DoRA or a trained bias that would not be the line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from playsafe.edits import Weights
from playsafe.errors import BadInput
from playsafe.settings import Section

if TYPE_CHECKING:
    from torch import Tensor


class InterpolateOptions(Section):
    """factor: how far from the aligned model towards the tuned one."""

    factor: float = Field(0.5, ge=0, le=1)


class Interpolate:
    name = "interpolate"
    summary = "a point on the line from the aligned to the tuned weights"
    source = "arXiv 2109.01903"
    Options = InterpolateOptions

    def apply(self, weights: Weights, options: InterpolateOptions) -> dict[str, Tensor]:
        f = options.factor
        if weights.lora is None:
            return {
                k: weights.base(k).float().lerp(w.float(), f).to(w.dtype) for k, w in weights.tuned.items()
            }
        other = sorted(k for k in weights.tuned if "lora_A" not in k and "lora_B" not in k)
        if weights.lora.get("use_dora") or other:
            raise BadInput(
                f"the adapter is no plain LoRA: {other[0] if other else 'use_dora'}.",
                where="arms.edit interpolate",
                next="Interpolate a plain LoRA adapter or a whole model.",
            )
        return {k: w * f if "lora_B" in k else w for k, w in weights.tuned.items()}


EDIT = Interpolate()
