"""Weighted cross-entropy and KL from final hidden states, without the logits of all tokens in memory.

The gradient is taken in the forward, chunk by chunk, from the closed form: at most `chunk` rows of policy
logits and as many of reference logits exist at a time, whatever N. Rows with both weights 0 cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from playsafe.errors import BadInput
from playsafe.objectives.divergence import check_direction
from playsafe.objectives.head import head_logits, math_dtype
from playsafe.objectives.logprob import check_targets

TILE = 16  # rows whose softmax is taken at once: small enough for the temporaries to stay in cache


class FusedLoss(NamedTuple):
    """total: with a graph; ce, kl: the two weighted sums, detached. Scalars in nats, float32."""

    total: Tensor
    ce: Tensor
    kl: Tensor


def fused_ce_kl(
    hidden_ND: Tensor,
    head_weight_VD: Tensor,
    target_N: Tensor,
    *,
    ce_weight_N: Tensor,
    kl_weight_N: Tensor | None = None,
    ref_hidden_ND: Tensor | None = None,
    ref_head_weight_VD: Tensor | None = None,
    bias: Tensor | None = None,
    ref_bias: Tensor | None = None,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    direction: str = "forward",
    chunk: int = 128,
) -> FusedLoss:
    """total = Σ_n ce_weight_n · CE_n + Σ_n kl_weight_n · KL_n       SaRFT, RBO; λ is in the weights

    CE_n = −log p_θ(target_n);  KL_n = KL(p_ref ‖ p_θ) (`forward`) or KL(p_θ ‖ p_ref) (`reverse`), in nats
    over the full vocabulary; gradients stand at `_losses_`.

    hidden_ND: the policy's final hidden states, after the last norm; z as in `head_logits`, and `softcap` and
        `logit_scale` hold for policy and reference.
    target_N: the token that position n predicts. Where ce_weight is 0 it may be anything, −100 for instance.
    ref_hidden_ND: [M, D], the reference's states *only of the rows with kl_weight ≠ 0*, in their order.
    ref_head_weight_VD, ref_bias: the reference's head. Without it the reference shares head and bias of the
        policy *as they are now*: right while the head is frozen (LoRA). Where the head itself is trained,
        pass a clone taken before training.

    Gradients go to hidden_ND, head_weight_VD and bias where they require it (a frozen head gets no buffer),
    none to the reference, none of second order. Each call allows one backward: it scales them in place.
    Softmax and sums are in float32, products in the head's or in autocast's type. Raises BadInput for shapes
    that do not fit, a missing reference, a target outside the vocabulary, an unknown direction or chunk.
    """
    _check_options(direction, softcap, chunk)
    each = {"target_N": target_N, "ce_weight_N": ce_weight_N, "kl_weight_N": kl_weight_N}
    _check_shapes(hidden_ND, head_weight_VD, **each)
    dtype = math_dtype(head_weight_VD.dtype)
    ce_weight_N = ce_weight_N.detach().to(dtype)
    kl_weight_N = torch.zeros_like(ce_weight_N) if kl_weight_N is None else kl_weight_N.detach().to(dtype)
    target_N = target_N.masked_fill(ce_weight_N == 0, 0)
    check_targets(target_N, len(head_weight_VD))
    kl_rows_M = kl_weight_N.nonzero().squeeze(1)
    ref_bias = bias if ref_head_weight_VD is None and ref_bias is None else ref_bias
    job = _Job(
        target_N=target_N,
        ce_weight_N=ce_weight_N,
        kl_weight_N=kl_weight_N,
        kl_rows_M=kl_rows_M,
        ce_rows=((ce_weight_N != 0) & (kl_weight_N == 0)).nonzero().squeeze(1),
        ref_hidden_MD=_checked_reference(ref_hidden_ND, ref_head_weight_VD, head_weight_VD, len(kl_rows_M)),
        ref_head_VD=None if ref_head_weight_VD is None else ref_head_weight_VD.detach(),
        ref_bias_V=None if ref_bias is None else ref_bias.detach(),
        softcap=softcap,
        logit_scale=logit_scale,
        direction=direction,
        chunk=chunk,
        wanted=tuple(_wants_grad(tensor) for tensor in (hidden_ND, head_weight_VD, bias)),
    )
    return FusedLoss(*_FusedCEKL.apply(hidden_ND, head_weight_VD, bias, job))


@dataclass(frozen=True)
class _Job:
    """Everything without a gradient. `wanted`: whether hidden states, head and bias ask for theirs.

    Without ref_head_VD the reference uses the policy's.
    """

    target_N: Tensor
    ce_weight_N: Tensor
    kl_weight_N: Tensor
    kl_rows_M: Tensor
    ce_rows: Tensor
    ref_hidden_MD: Tensor
    ref_head_VD: Tensor | None
    ref_bias_V: Tensor | None
    softcap: float | None
    logit_scale: float
    direction: str
    chunk: int
    wanted: tuple[bool, ...]

    def chunks(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Row numbers, with the reference's hidden states where these rows have a KL term."""
        if len(self.kl_rows_M):
            yield from zip(
                self.kl_rows_M.split(self.chunk), self.ref_hidden_MD.split(self.chunk), strict=True
            )
        if len(self.ce_rows):
            yield from ((rows, None) for rows in self.ce_rows.split(self.chunk))


class _FusedCEKL(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, head_VD: Tensor, bias_V: Tensor | None, job: _Job) -> Any:
        device = hidden_ND.device.type
        operand = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else head_VD.dtype
        with torch.autocast(device, enabled=False):
            values, grads = _forward(hidden_ND, head_VD.to(operand), bias_V, job)
        ce, kl, unit = values
        inputs = (hidden_ND, head_VD, bias_V)
        ctx.save_for_backward(
            unit,
            *(None if g is None or x is None else g.to(x.dtype) for g, x in zip(grads, inputs, strict=True)),
        )
        ctx.mark_non_differentiable(ce, kl)
        return ce + kl, ce, kl

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        unit, *grads = ctx.saved_tensors
        # In place: a second tensor of the head's size is what this file avoids. Autograd refuses a second.
        return (*(None if grad is None else grad.mul_(grad_total * unit) for grad in grads), None)


def _forward(
    hidden_ND: Tensor, head_VD: Tensor, bias_V: Tensor | None, job: _Job
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor | None, ...]]:
    """(ce, kl, unit) and the gradients of (ce + kl) / unit to hidden states, head and bias.

    unit is the largest weight: in its measure no gradient of a large batch underflows in float16.
    """
    ce_N, kl_N = torch.zeros_like(job.ce_weight_N), torch.zeros_like(job.kl_weight_N)
    weights_2N = torch.stack([job.ce_weight_N, job.kl_weight_N])
    unit = weights_2N.abs().amax() if weights_2N.numel() else weights_2N.new_ones(())
    ce_weight_N, kl_weight_N = weights_2N / unit
    dtype = ce_N.dtype
    to_logits = partial(head_logits, softcap=job.softcap, logit_scale=job.logit_scale)
    grad_hidden, grad_head, grad_bias = (
        torch.zeros_like(tensor, dtype=dtype) if wanted and tensor is not None else None
        for tensor, wanted in zip((hidden_ND, head_VD, bias_V), job.wanted, strict=True)
    )
    rows_at_once = min(job.chunk, max(len(job.kl_rows_M), len(job.ce_rows)))
    buffer_CV = torch.empty(rows_at_once, len(head_VD), dtype=dtype, device=hidden_ND.device)
    ref_buffer_CV = torch.empty_like(buffer_CV[: len(job.kl_rows_M)])
    ref_head_VD = head_VD if job.ref_head_VD is None else job.ref_head_VD.to(head_VD.dtype)
    for rows, ref_hidden_CD in job.chunks():
        h_CD = hidden_ND[rows].to(head_VD.dtype)
        z_CV = to_logits(h_CD, head_VD, bias=bias_V, out=buffer_CV[: len(rows)])
        ref_CV = None
        if ref_hidden_CD is not None:
            out = ref_buffer_CV[: len(rows)]
            ref_CV = to_logits(ref_hidden_CD, ref_head_VD, bias=job.ref_bias_V, out=out)
        for i in range(0, len(rows), TILE):
            tile, here = slice(i, i + TILE), rows[i : i + TILE]
            ce_N[here], kl_N[here] = _losses_(
                z_CV[tile],
                None if ref_CV is None else ref_CV[tile],
                job.target_N[here],
                ce_weight_N[here],
                kl_weight_N[here],
                job,
            )
        dz_CV = z_CV.to(head_VD.dtype)
        if grad_hidden is not None:
            grad_hidden[rows] = (dz_CV @ head_VD).to(dtype)
        if grad_bias is not None:
            grad_bias += z_CV.sum(dim=0)
        if grad_head is not None and dtype == head_VD.dtype:
            grad_head.addmm_(dz_CV.T, h_CD)
        elif grad_head is not None:
            grad_head += dz_CV.T @ h_CD
    values = ((ce_N * job.ce_weight_N).sum(), (kl_N * job.kl_weight_N).sum(), unit)
    return values, (grad_hidden, grad_head, grad_bias)


def _losses_(
    z_RV: Tensor, ref_RV: Tensor | None, target_R: Tensor, ce_weight_R: Tensor, kl_weight_R: Tensor, job: _Job
) -> tuple[Tensor, Tensor]:
    """CE and KL of R rows of logits z; the gradient to h Wᵀ + b takes the place of z.

    With respect to the logits z of a token, p_θ = softmax(z):
        ∂CE/∂z = p_θ − onehot(target)
        ∂KL/∂z = p_θ − p_ref                                 forward
        ∂KL/∂z = p_θ · (log p_θ − log p_ref − KL)            reverse
    """
    logp_RV = z_RV.log_softmax(dim=1)
    ce_R = -logp_RV.gather(1, target_R[:, None]).squeeze(1)
    kl_R, p_RV = torch.zeros_like(ce_R), logp_RV.exp()
    ce_weight_R1, kl_weight_R1 = ce_weight_R[:, None], kl_weight_R[:, None]
    if ref_RV is None:
        dz_RV = p_RV.mul_(ce_weight_R1)
    elif job.direction == "forward":
        logq_RV = ref_RV.log_softmax(dim=1)
        q_RV = logq_RV.exp()
        kl_R = logq_RV.sub_(logp_RV).mul_(q_RV).sum(dim=1)
        dz_RV = p_RV.mul_(ce_weight_R1 + kl_weight_R1).sub_(q_RV.mul_(kl_weight_R1))
    else:
        ratio_RV = logp_RV.sub_(ref_RV.log_softmax(dim=1))
        kl_R = (p_RV * ratio_RV).sum(dim=1)
        dz_RV = p_RV.mul_(ratio_RV.sub_(kl_R[:, None]).mul_(kl_weight_R1).add_(ce_weight_R1))
    dz_RV[torch.arange(len(target_R), device=target_R.device), target_R] -= ce_weight_R
    if job.softcap is not None:  # ∂z/∂u = 1 − (z/c)²
        dz_RV.mul_(z_RV.div_(job.softcap).square_().neg_().add_(1.0))
    torch.mul(dz_RV, job.logit_scale, out=z_RV)
    return ce_R, kl_R


def _wants_grad(tensor: Tensor | None) -> bool:
    return torch.is_grad_enabled() and tensor is not None and tensor.requires_grad


def _check_options(direction: str, softcap: float | None, chunk: int) -> None:
    check_direction(direction)
    if chunk < 1:
        raise BadInput(f"a chunk of {chunk} tokens.", allowed="at least 1")
    if softcap is not None and not softcap > 0:
        raise BadInput(f"a logit softcap of {softcap}.", allowed="a positive number, or None for no cap")


def _check_shapes(hidden_ND: Tensor, head_weight_VD: Tensor, **per_token: Tensor | None) -> None:
    if hidden_ND.dim() != 2 or head_weight_VD.dim() != 2 or hidden_ND.shape[1] != head_weight_VD.shape[1]:
        raise BadInput(
            f"hidden states {[*hidden_ND.shape]} and head {[*head_weight_VD.shape]} do not fit.",
            allowed="[N, D] and [V, D]",
        )
    for name, tensor in per_token.items():
        if tensor is not None and tensor.shape != hidden_ND.shape[:1]:
            raise BadInput(
                f"{name} has shape {[*tensor.shape]}.", allowed=f"[{len(hidden_ND)}], one for each token"
            )


def _checked_reference(
    ref_hidden_MD: Tensor | None, ref_head_VD: Tensor | None, head_VD: Tensor, kl_rows: int
) -> Tensor:
    """The reference's hidden states, or BadInput unless they are those of the rows with a KL weight."""
    if ref_head_VD is None:
        ref_head_VD = head_VD
    elif len(ref_head_VD) != len(head_VD):
        raise BadInput(f"vocabularies of {len(head_VD)} and {len(ref_head_VD)} tokens cannot be compared.")
    allowed = (kl_rows, ref_head_VD.shape[1])
    if ref_hidden_MD is None:
        ref_hidden_MD = head_VD.new_empty(0, ref_head_VD.shape[1])
    if ref_hidden_MD.shape != allowed:
        raise BadInput(
            f"reference hidden states of shape {[*ref_hidden_MD.shape]} for {kl_rows} tokens with KL.",
            allowed=f"{[*allowed]}",
            next="Pass ref_hidden_ND with the rows whose kl_weight is not 0, in their order, and only those.",
        )
    return ref_hidden_MD.detach()
