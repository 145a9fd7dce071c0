"""From final hidden states to logits, as the causal language models of transformers do it."""

from __future__ import annotations

import torch
from torch import Tensor


def math_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type in which softmax, logarithm and sums are taken: float32, or float64 for float64 input."""
    return torch.float64 if dtype == torch.float64 else torch.float32


@torch.no_grad()
def head_logits(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    *,
    bias: Tensor | None = None,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    out: Tensor | None = None,
) -> Tensor:
    """Logits [N, V] in float32:  z = c · tanh(u / c),  u = logit_scale · (h Wᵀ + b);  z = u without a cap.

    Source: Gemma 2 (arXiv 2408.00118) for the cap c, its `final_logit_softcapping`; Cohere for `logit_scale`.
    The product is taken in the head's own type, as the model's forward does; everything after it in float32.
    No graph, since it works in place. `out` is a buffer of the result's shape and type to be overwritten.
    """
    hidden_ND = hidden_ND.to(weight_VD.dtype)
    dtype = math_dtype(weight_VD.dtype)
    if out is None:
        z_NV = (hidden_ND @ weight_VD.T).to(dtype)
    elif dtype == weight_VD.dtype:
        z_NV = torch.mm(hidden_ND, weight_VD.T, out=out)
    else:
        z_NV = out.copy_(hidden_ND @ weight_VD.T)
    if bias is not None:
        z_NV.add_(bias)
    if logit_scale != 1.0:
        z_NV.mul_(logit_scale)
    return z_NV if softcap is None else z_NV.div_(softcap).tanh_().mul_(softcap)
