"""Cross-entropy and Kullback-Leibler divergence, one value per token."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from playsafe.errors import BadInput, nearest
from playsafe.objectives.head import math_dtype

DIRECTIONS = ("forward", "reverse")


def check_direction(direction: str) -> None:
    """BadInput unless `direction` is one of DIRECTIONS."""
    if direction not in DIRECTIONS:
        raise BadInput(
            f"unknown KL direction {direction!r}.",
            allowed=", ".join(DIRECTIONS),
            next=nearest(direction, DIRECTIONS),
        )


def cross_entropy(logits_NV: Tensor, target_N: Tensor) -> Tensor:
    """CE(y_n) = −log p_θ(y_n)                                          SaRFT, role loss

    Returns [N] in nats, float32. No token is ignored: a target outside the vocabulary is an IndexError.
    """
    logp_NV = logits_NV.to(math_dtype(logits_NV.dtype)).log_softmax(dim=-1)
    return -logp_NV.gather(-1, target_N[:, None]).squeeze(-1)


def kl(logp_ref_NV: Tensor, logp_NV: Tensor, direction: str) -> Tensor:
    """forward: KL(p_ref ‖ p_θ) = Σ_v p_ref(v) [log p_ref(v) − log p_θ(v)]     SaRFT, released code
    reverse: KL(p_θ ‖ p_ref) = Σ_v p_θ(v) [log p_θ(v) − log p_ref(v)]     SaRFT, reading notes of the paper

    Takes normalised log-probabilities [N, V], finite everywhere; returns [N] in nats. `forward` spreads p_θ
    over all that p_ref allows, `reverse` forbids what p_ref forbids. No gradient flows to the reference.
    Raises BadInput for another direction.
    """
    check_direction(direction)
    logp_ref_NV = logp_ref_NV.detach()
    if direction == "forward":
        return F.kl_div(logp_NV, logp_ref_NV, reduction="none", log_target=True).sum(dim=-1)
    return (logp_NV.exp() * (logp_NV - logp_ref_NV)).sum(dim=-1)
