"""Losses on preference pairs (x, y_w, y_l): MPO's reward gap and retention, and what MPO is compared with.

Sums Σ_t log p(y_t | x, y_<t) and lengths |y| come in, one per pair; a loss per pair comes out. p_θ is the
policy, p_ref the frozen model. Further axes: P pairs. Only reply tokens count, the one that ends the turn
among them.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from playsafe.objectives.logprob import mean_logprob

Pooling = Literal["last", "mean", "released"]


def reward_gap(
    chosen_P: Tensor, chosen_tokens_P: Tensor, rejected_P: Tensor, rejected_tokens_P: Tensor
) -> Tensor:
    """RG = (1/|y_w|) log p(y_w | x) − (1/|y_l|) log p(y_l | x)                             MPO, reward gap

    Nats per token, without a reference. Raises BadInput for an empty reply.
    """
    return mean_logprob(chosen_P, chosen_tokens_P) - mean_logprob(rejected_P, rejected_tokens_P)


def gap_matching(target_gap_P: Tensor, dominant_gap_P: Tensor, beta: float) -> Tensor:
    """(β·RG_θ(target) − RG_ref(dominant))²                                                      MPO, L1

    β stands at the target gap alone, so the target is led to RG_ref(dominant) / β.
    """
    return (beta * target_gap_P - dominant_gap_P).square()


def pooling_weights(attention_BT: Tensor, pooling: Pooling) -> Tensor:
    """w with h(x) = Σ_t w_t h_t, each row summing to 1: what of a sequence is held still.      MPO, L2

    "last": the last attended position (the paper). "mean": the attended ones. "released": all T positions,
    pads among them, as the released code does; it depends on the padding.
    """
    if pooling == "released":
        return torch.full(attention_BT.shape, 1.0 / attention_BT.shape[1], device=attention_BT.device)
    if pooling == "mean":
        return attention_BT.float() / attention_BT.sum(dim=1, keepdim=True)
    positions_T = torch.arange(1, attention_BT.shape[1] + 1, device=attention_BT.device)
    last_B1 = (attention_BT.long() * positions_T).argmax(dim=1, keepdim=True)
    return torch.zeros(attention_BT.shape, device=attention_BT.device).scatter_(1, last_B1, 1.0)


def pooled(hidden_BTD: Tensor, weights_BT: Tensor) -> Tensor:
    """h(x) = Σ_t w_t h_t  [B, D], of final hidden states (after the last norm), in float32.     MPO, L2"""
    return torch.einsum("btd,bt->bd", hidden_BTD.to(weights_BT.dtype), weights_BT)


def retention(h_BD: Tensor, ref_h_BD: Tensor, norm: Literal["sum", "mean"]) -> Tensor:
    """‖h_θ(x) − h_ref(x)‖²: over dimensions summed (the paper) or averaged (the released code).  MPO, L2"""
    squares_BD = (h_BD - ref_h_BD).square()
    return squares_BD.sum(dim=-1) if norm == "sum" else squares_BD.mean(dim=-1)


def dpo(
    chosen_P: Tensor, rejected_P: Tensor, ref_chosen_P: Tensor, ref_rejected_P: Tensor, beta: float
) -> Tensor:
    """−log σ(β [(log p_θ/p_ref)(y_w) − (log p_θ/p_ref)(y_l)])                   DPO, arXiv 2305.18290, (7)"""
    return -logsigmoid(beta * ((chosen_P - ref_chosen_P) - (rejected_P - ref_rejected_P)))


def ipo(
    chosen_P: Tensor,
    chosen_tokens_P: Tensor,
    rejected_P: Tensor,
    rejected_tokens_P: Tensor,
    ref_chosen_P: Tensor,
    ref_rejected_P: Tensor,
    beta: float,
) -> Tensor:
    """(r_w/|y_w| − r_l/|y_l| − 1/(2β))²,  r = log p_θ/p_ref                   IPO, arXiv 2310.12036, (17)

    Log-ratios are means over the reply's tokens, as in the authors' later code and in TRL; β is their τ.
    """
    ratio_w_P = (chosen_P - ref_chosen_P) / chosen_tokens_P
    ratio_l_P = (rejected_P - ref_rejected_P) / rejected_tokens_P
    return (ratio_w_P - ratio_l_P - 1 / (2 * beta)).square()


def simpo(gap_P: Tensor, beta: float, gamma: float) -> Tensor:
    """−log σ(β·RG_θ − γ)                                                     SimPO, arXiv 2405.14734, (6)"""
    return -logsigmoid(beta * gap_P - gamma)


def orpo(chosen_mean_P: Tensor, rejected_mean_P: Tensor) -> Tensor:
    """−log σ(log odds(y_w) − log odds(y_l)),  odds = p/(1 − p), p = exp a     ORPO, arXiv 2403.07691, (7)

    a: mean log-probability of a reply, at most −1e-6 here: at 0 the odds are infinite. The cross-entropy on
    y_w is a term of its own.
    """
    a_w, a_l = chosen_mean_P.clamp(max=-1e-6), rejected_mean_P.clamp(max=-1e-6)
    return -logsigmoid((a_w - a_l) - (torch.log(-torch.expm1(a_w)) - torch.log(-torch.expm1(a_l))))


def kto(
    chosen_P: Tensor,
    rejected_P: Tensor,
    ref_chosen_P: Tensor,
    ref_rejected_P: Tensor,
    beta: float,
    z: float | Tensor = 0.0,
) -> Tensor:
    """[1 − σ(β(r_w − z))] + [1 − σ(β(z − r_l))],  r = log p_θ/p_ref            KTO, arXiv 2402.01306, (8)

    z ≥ 0: an estimate of KL(p_θ ‖ p_ref), without a gradient; both weights are 1.
    """
    won_P = 1 - torch.sigmoid(beta * (chosen_P - ref_chosen_P - z))
    lost_P = 1 - torch.sigmoid(beta * (z - (rejected_P - ref_rejected_P)))
    return won_P + lost_P
