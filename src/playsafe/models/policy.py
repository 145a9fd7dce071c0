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
from playsafe.objectives import fused_ce_kl
from playsafe.rundir import ranks

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Loss(NamedTuple):
    """total: the scalar to differentiate. terms: each term times its scale, detached, for the log."""

    total: Tensor
    terms: dict[str, Tensor]


class Policy:
    """View of the model that methods compute their loss with."""

    def __init__(self, model: Any, reference: Reference | None) -> None:
        self.model, self.reference = model, reference

    def ce_kl(
        self, batch: dict[str, Any], scale: Mapping[str, Tensor], *, direction: str = "forward"
    ) -> Loss:
        """Σ scale_ce·w_ce·CE + scale_kl·w_kl·KL over the batch; vocabulary-sized tensors live one chunk long.

        batch: see `data.collate.Collator`. scale: term → factor over denominator. The reference runs only
        on rows that carry KL weight.
        """
        weights = batch["weights"]
        ce_BT = weights["ce"] * scale["ce"]
        kl_BT = weights["kl"] * scale["kl"] if "kl" in weights else torch.zeros_like(ce_BT)
        needed_BT = (ce_BT != 0) | (kl_BT != 0)
        hidden_BTD = hidden_states(self.model, batch["input_ids"], batch["attention_mask"]).last_hidden_state
        head = head_of(self.model)
        target_BT = torch.full_like(batch["input_ids"], -100)
        target_BT[:, :-1] = batch["input_ids"][:, 1:]
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
