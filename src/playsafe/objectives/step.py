"""What one optimiser step adds up: weights of positions, and RBO: near the reference on the subset."""

from __future__ import annotations

from torch import Tensor

from playsafe.errors import BadInput
from playsafe.objectives.logprob import Number

EPSILON = 1e-5  # of the released code's denominators


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


def row_mean(marks_BT: Tensor, tokens_B1: Tensor) -> Tensor:
    """w[i,t] = marks[i,t] / (n_i + ε)                                                SaRFT, released code

    With ce marks [t+1 ∈ Y_i] and KL marks m_i · attn[i,t] the released loss of B rows is
    L = (1/B) Σ_i 1/(n_i + ε) · [ Σ_{t ∈ Y_i} −log p_θ(y_t) + λ · m_i · Σ_{t: attn} KL(p_ref ‖ p_θ)_t ]
    Y_i: reply tokens; n_i: all tokens of row i but padding, the prompt's too; m_i: whether row i is in the
    subset; ε = 1e-5. The KL stands at every attended position, the last included, so it has positions where
    CE has no target.
    """
    return marks_BT * (1.0 / (tokens_B1 + EPSILON))
