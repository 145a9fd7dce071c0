"""The model under training: hidden states in, loss terms out, inside the wrapped forward.

The loss has to be computed inside `model.forward`: calling the unwrapped backbone would pass by DDP's and
FSDP's hooks and let ranks diverge. `install` therefore gives the model a forward that answers a training
batch (recognised by `scale`) with the method's loss and everything else as before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from playsafe.models.heads import head_of, hidden_states
from playsafe.models.reference import Reference
from playsafe.objectives import fused_ce_kl, pooled, trained_logprob
from playsafe.rundir import ranks

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Loss(NamedTuple):
    """total: the scalar to differentiate. terms: each term times its scale, detached, for the log."""

    total: Tensor
    terms: dict[str, Tensor]


class PairSums(NamedTuple):
    """Of each pair [P]: Σ_t log p_θ and length of y_w and of y_l, log p_ref of both, RG_ref of the dominant
    side. Nats; only chosen and rejected carry a graph.
    """

    chosen: Tensor
    chosen_tokens: Tensor
    rejected: Tensor
    rejected_tokens: Tensor
    ref_chosen: Tensor
    ref_rejected: Tensor
    aim: Tensor


class Policy:
    """View of the model that methods compute their loss with."""

    def __init__(self, model: Any, reference: Reference | None) -> None:
        self.model, self.reference = model, reference

    def hidden(self, batch: dict[str, Any]) -> Tensor:
        """Final hidden states [B, T, D] of every sequence of the batch."""
        return hidden_states(self.model, batch["input_ids"], batch["attention_mask"]).last_hidden_state

    def ce_kl(
        self,
        batch: dict[str, Any],
        scale: Mapping[str, Tensor],
        *,
        hidden_BTD: Tensor | None = None,
        direction: str = "forward",
    ) -> Loss:
        """Σ scale_ce·w_ce·CE + scale_kl·w_kl·KL over the batch; vocabulary-sized tensors live one chunk long.

        batch: see `data.collate.Collator`. scale: term → factor over denominator. hidden_BTD: of the batch,
        where they are there already. The reference runs only on rows that carry KL weight.
        """
        weights = batch["weights"]
        ce_BT = weights["ce"] * scale["ce"]
        kl_BT = weights["kl"] * scale["kl"] if "kl" in weights else torch.zeros_like(ce_BT)
        needed_BT = (ce_BT != 0) | (kl_BT != 0)
        hidden_BTD = self.hidden(batch) if hidden_BTD is None else hidden_BTD
        if "pairs" in batch and not bool(needed_BT.any()):
            return Loss(hidden_BTD.sum() * 0.0, {})
        head = head_of(self.model)
        target_BT = _targets(batch)
        kl_rows = (kl_BT != 0).any(dim=1).nonzero(as_tuple=True)[0]
        reference_MD, reference_head = None, None
        if not len(kl_rows) and self.reference and self.reference.collective and ranks()[1] > 1:
            # Other ranks may have subset rows: a sharded model's forward is work for all ranks together.
            self.reference.hidden(
                self.model, batch, torch.tensor([0]), torch.zeros_like(kl_BT[:1], dtype=torch.bool)
            )
        if len(kl_rows):
            assert self.reference is not None, "a KL weight needs a reference"
            reference_MD = self.reference.hidden(self.model, batch, kl_rows, (kl_BT != 0)[kl_rows])
            reference_head = self.reference.head(self.model)
        out = fused_ce_kl(
            hidden_BTD[needed_BT],
            head.weight_VD,
            target_BT[needed_BT],
            ce_weight_N=ce_BT[needed_BT],
            kl_weight_N=kl_BT[needed_BT] if len(kl_rows) else None,
            ref_hidden_ND=reference_MD,
            ref_head_weight_VD=reference_head.weight_VD if reference_head else None,
            bias=head.bias_V,
            ref_bias=reference_head.bias_V if reference_head else None,
            softcap=head.softcap,
            logit_scale=head.scale,
            direction=direction,
        )
        terms = {"ce": out.ce}
        if "kl" in weights:
            terms["kl"] = out.kl if len(kl_rows) else torch.zeros_like(out.ce)
        return Loss(out.total, terms)

    def pairs(self, batch: dict[str, Any], term: str, hidden_BTD: Tensor) -> PairSums:
        """Reply log-probabilities of the batch's pairs. term: whose weights mark the replies' tokens."""
        pairs = batch["pairs"]
        rows_R = torch.cat([pairs["chosen"], pairs["rejected"]])
        reply_RT = batch["weights"][term][rows_R] != 0
        head = head_of(self.model)
        logp_N = trained_logprob(
            hidden_BTD[rows_R][reply_RT],
            head.weight_VD,
            _targets(batch)[rows_R][reply_RT],
            bias=head.bias_V,
            softcap=head.softcap,
            logit_scale=head.scale,
        )
        sums_R = logp_N.new_zeros(len(rows_R)).index_add(0, reply_RT.nonzero(as_tuple=True)[0], logp_N)
        chosen, rejected = sums_R.chunk(2)
        chosen_tokens, rejected_tokens = reply_RT.sum(dim=1).chunk(2)
        reference = (pairs[name] for name in ("ref_chosen", "ref_rejected", "aim"))
        return PairSums(chosen, chosen_tokens, rejected, rejected_tokens, *reference)

    def held(self, batch: dict[str, Any], term: str, hidden_BTD: Tensor) -> tuple[Tensor, Tensor]:
        """Representations [A, D] of the pairs' dominant sides: h_θ with a graph, h_ref."""
        held = batch["pairs"]["held"]
        return pooled(hidden_BTD[held], batch["weights"][term][held]), batch["pairs"]["ref_held"]


def _targets(batch: dict[str, Any]) -> Tensor:
    """The token that each position predicts, [B, T]; −100 at the last one."""
    target_BT = torch.full_like(batch["input_ids"], -100)
    target_BT[:, :-1] = batch["input_ids"][:, 1:]
    return target_BT


def install(
    model: PreTrainedModel,
    loss: Callable[[Policy, dict[str, Any], Mapping[str, Tensor]], Loss],
    reference: Reference | None,
) -> Policy:
    """Let `model(**batch, scale=...)` answer with {"loss", <term>...}; other calls are unchanged."""
    original = model.forward
    policy = Policy(model, reference)

    def forward(self: Any, *args: Any, **inputs: Any) -> Any:
        if "scale" not in inputs:
            return original(*args, **inputs)
        scale = inputs.pop("scale")
        found = loss(policy, inputs, scale)
        return {"loss": found.total, **{term: value.detach() for term, value in found.terms.items()}}

    model.forward = MethodType(forward, model)
    return policy
