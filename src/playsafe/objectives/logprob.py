"""Log-probabilities of tokens and replies."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

from playsafe.errors import BadInput
from playsafe.objectives.head import head_logits, math_dtype

Number = TypeVar("Number", float, Tensor)


def token_logprob(logits_BTV: Tensor, ids_BT: Tensor) -> Tensor:
    """log p(ids_{t+1} | ids_{≤t})                                      RDS, the terms of its sum

    Returns [B, T−1] in nats, float32; column t is the token at t + 1, predicted at t. Differentiable.
    """
    logp_BTV = logits_BTV[:, :-1].to(math_dtype(logits_BTV.dtype)).log_softmax(dim=-1)
    return logp_BTV.gather(-1, ids_BT[:, 1:, None]).squeeze(-1)


@torch.no_grad()
def reply_logprob(
    hidden_ND: Tensor,
    head_weight_VD: Tensor,
    target_N: Tensor,
    *,
    bias: Tensor | None = None,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    chunk: int = 128,
) -> Tensor:
    """log p(y_n | h_n) = z_n[y_n] − log Σ_v exp z_n[v]                 RDS, the terms of its sum

    hidden_ND: final hidden states (after the last norm) of the positions that *predict* the targets; z as in
    `head_logits`. Returns [N] in nats, float32, without a graph. At most `chunk` rows of logits at once.
    Raises BadInput when a target lies outside the vocabulary.
    """
    vocabulary = len(head_weight_VD)
    check_targets(target_N, vocabulary)
    logp = [
        head_logits(h_CD, head_weight_VD, bias=bias, softcap=softcap, logit_scale=logit_scale)
        .log_softmax(dim=-1)
        .gather(-1, y_C[:, None])
        .squeeze(-1)
        for h_CD, y_C in zip(hidden_ND.split(chunk), target_N.split(chunk), strict=True)
    ]
    return torch.cat(logp)


def trained_logprob(
    hidden_ND: Tensor,
    head_weight_VD: Tensor,
    target_N: Tensor,
    *,
    bias: Tensor | None = None,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    chunk: int = 128,
) -> Tensor:
    """`reply_logprob` with a graph: log p(y_n | h_n) [N] in nats, float32.    MPO, the terms of its sums

    Each chunk's logits are made again in the backward, so that no more than `chunk` rows of them are kept.
    """
    check_targets(target_N, len(head_weight_VD))

    def logp(h_CD: Tensor, y_C: Tensor) -> Tensor:
        u_CV = linear(h_CD.to(head_weight_VD.dtype), head_weight_VD, bias)
        z_CV = u_CV.to(math_dtype(head_weight_VD.dtype)) * logit_scale
        if softcap is not None:
            z_CV = torch.tanh(z_CV / softcap) * softcap
        return z_CV.log_softmax(dim=-1).gather(-1, y_C[:, None]).squeeze(-1)

    chunks = zip(hidden_ND.split(chunk), target_N.split(chunk), strict=True)
    return torch.cat([checkpoint(logp, h_CD, y_C, use_reentrant=False) for h_CD, y_C in chunks])


def mean_logprob(sum: Number, tokens: Number | float) -> Number:
    """a(x, y) = (1/|y|) Σ_t log p(y_t | x, y_<t)                       RDS, length-normalised score

    sum: Σ_t log p in nats; tokens: |y|, a number or a tensor like it. Raises BadInput when |y| is 0.
    """
    if not bool((torch.as_tensor(tokens) > 0).all()):
        raise BadInput(
            f"a mean log-probability over {tokens} tokens.",
            allowed="a reply of at least one token",
            next="Drop the rows with an empty reply.",
        )
    return sum / tokens


def check_targets(target_N: Tensor, vocabulary: int) -> None:
    """BadInput unless every target is a token of the vocabulary."""
    wrong = target_N[(target_N < 0) | (target_N >= vocabulary)]
    if len(wrong):
        raise BadInput(
            f"{len(wrong)} target tokens lie outside the vocabulary, the first is {int(wrong[0])}.",
            allowed=f"0 to {vocabulary - 1}",
            next="Check that tokenizer and model belong together, and that masked tokens carry weight 0.",
        )
