"""RBO: stay close to the reference on the subset while learning the role on everything."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from playsafe.errors import BadInput
from playsafe.objectives.logprob import Number

EPSILON = 1e-5  # of the released code's denominators


class PositionWeights(NamedTuple):
    """Weights [B, T] of the two terms at each position, for the prediction made there."""

    ce_BT: Tensor
    kl_BT: Tensor


def rbo(
    ce_sum: Number, ce_count: Number | float, kl_sum: Number, kl_count: Number | float, lam: float
) -> Number:
    """L = E_D[CE(y)] + λ · E_{D_h}[KL] = ce_sum / ce_count + λ · kl_sum / kl_count       SaRFT, RBO

    Sums in nats and token counts of one optimiser step, over all its micro-batches and ranks. A step without
    a subset token has a KL term of 0. Raises BadInput when no token has a cross-entropy term.
    """
    if not ce_count > 0:
        raise BadInput(
            f"the cross-entropy of a step with {ce_count} reply tokens.",
            allowed="at least one reply token in each optimiser step",
            next="Check the reply masks of the data.",
        )
    kl = kl_sum / kl_count if kl_count > 0 else 0.0 * kl_sum
    return ce_sum / ce_count + lam * kl


def predicting(mask_BT: Tensor) -> Tensor:
    """From a mask of tokens to that of the positions that predict them: out[:, t] = mask[:, t+1], then 0."""
    out_BT = mask_BT.roll(-1, dims=1)
    out_BT[:, -1] = 0
    return out_BT


def released_weights(reply_mask_BT: Tensor, attention_mask_BT: Tensor, flagged_B: Tensor) -> PositionWeights:
    """ce[i,t] = [t+1 ∈ Y_i] / (n_i + ε),  kl[i,t] = m_i · attn[i,t] / (n_i + ε)        SaRFT, released code

    With them the released loss of B rows is
    L = (1/B) Σ_i 1/(n_i + ε) · [ Σ_{t ∈ Y_i} −log p_θ(y_t) + λ · m_i · Σ_{t: attn} KL(p_ref ‖ p_θ)_t ]
      = (1/B) (Σ ce · CE + λ · Σ kl · KL)
    and the caller applies λ and 1/B. Y_i: reply tokens; n_i: all tokens of row i but padding, the prompt's
    too; m_i: whether row i is in the subset; ε = 1e-5. The KL stands at every attended position, the last
    included, so it has positions where CE has no target. Masks [B, T] and [B] of 0/1 or bool, padding on
    either side; returns float32. Raises BadInput when the shapes differ.
    """
    if reply_mask_BT.shape != attention_mask_BT.shape or flagged_B.shape != reply_mask_BT.shape[:1]:
        raise BadInput(
            f"masks of shapes {[*reply_mask_BT.shape]}, {[*attention_mask_BT.shape]}, {[*flagged_B.shape]}.",
            allowed="[B, T], [B, T] and [B]",
        )
    attention_BT = attention_mask_BT.float()
    per_row_B1 = 1.0 / (attention_BT.sum(dim=1, keepdim=True) + EPSILON)
    return PositionWeights(
        ce_BT=predicting(reply_mask_BT.float()) * per_row_B1,
        kl_BT=flagged_B.float()[:, None] * attention_BT * per_row_B1,
    )
