"""The model under training: hidden states in, loss terms out, inside the wrapped forward.

The loss has to be computed inside `model.forward`: calling the unwrapped backbone would pass by DDP's and
FSDP's hooks and let ranks diverge. `install` therefore gives the model a forward that answers a training
batch (recognised by `scale`) with the method's loss and everything else as before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import zip_longest
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from playsafe import objectives
from playsafe.errors import CheckFailed
from playsafe.models.heads import head_of, hidden_states
from playsafe.models.reference import Reference
from playsafe.rundir import ranks
from playsafe.terms import HeldTerm, Loss, PairTerm, TokenTerm

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Batch = dict[str, Any]  # see `data.rows.Collator`


class Found(NamedTuple):
    """total: the scalar to differentiate. terms: each term times its scale, detached, for the log."""

    total: Tensor
    terms: dict[str, Tensor]

    def plus(self, term: str, value: Tensor) -> Found:
        return Found(self.total + value, self.terms | {term: value.detach()})


class PairSums(NamedTuple):
    """Of each pair [P]: Σ_t log p_θ and length of y_w and of y_l, with a graph; nats. constants: what the
    term declared to need of the frozen model ("aim", "ref_chosen", "ref_rejected")."""

    chosen: Tensor
    chosen_tokens: Tensor
    rejected: Tensor
    rejected_tokens: Tensor
    constants: Mapping[str, Tensor]

    @property
    def gap(self) -> Tensor:
        """RG_θ, nats per token."""
        return objectives.reward_gap(*self[:4])


class Policy:
    """View of the model that losses are computed with."""

    def __init__(self, model: Any, loss: Loss, reference: Reference | None) -> None:
        self.model, self.loss, self._reference = model, loss, reference

    @property
    def reference(self) -> Reference:
        """The frozen policy; there only where a term with weight needs it."""
        if self._reference is None:
            raise CheckFailed("the loss asks for the reference policy, and no term has declared it.")
        return self._reference

    def hidden(self, batch: Batch) -> Tensor:
        """Final hidden states [B, T, D] of every row of the batch."""
        return hidden_states(self.model, batch["input_ids"], batch["attention_mask"]).last_hidden_state

    def value(self, batch: Batch, scale: Mapping[str, Tensor], hidden_BTD: Tensor | None = None) -> Found:
        """Σ_terms scale · Σ_rows Σ_t weight · value; scale: factor over denominator of the optimiser step."""
        hidden_BTD = self.hidden(batch) if hidden_BTD is None else hidden_BTD
        found = Found(hidden_BTD.sum() * 0.0, {})
        tokens = [term for term in self.loss if isinstance(term, TokenTerm)]
        plain, compared = ([t for t in tokens if bool(t.direction) == side] for side in (False, True))
        for ce, kl in zip_longest(plain, compared):  # a term of each kind shares one pass over the logits
            found = self._tokens(found, batch, scale, hidden_BTD, ce, kl)
        for term in self.loss:
            if isinstance(term, PairTerm) and f"{term.on[0]}.chosen" in batch["streams"]:
                value_P = term.value(self._pairs(batch, term, hidden_BTD))
                found = found.plus(term.name, value_P.sum() * scale[term.name])
            elif isinstance(term, HeldTerm) and term.on[0] in batch["streams"]:
                held = batch["streams"][term.on[0]]
                h_AD = objectives.pooled(hidden_BTD[held], batch["weights"][term.name][held])
                value_A = term.value(h_AD, batch["constants"][term.on[0]]["ref_hidden"])
                found = found.plus(term.name, value_A.sum() * scale[term.name])
        return found

    def _tokens(
        self,
        found: Found,
        batch: Batch,
        scale: Mapping[str, Tensor],
        hidden_BTD: Tensor,
        ce: TokenTerm | None,
        kl: TokenTerm | None,
    ) -> Found:
        """Cross-entropy and KL together; tensors of the vocabulary's size live one chunk long, and the
        reference runs only on rows that carry KL weight."""
        ce_BT, kl_BT = (
            torch.zeros_like(hidden_BTD[..., 0], dtype=torch.float32)
            if term is None
            else batch["weights"][term.name] * scale[term.name]
            for term in (ce, kl)
        )
        needed_BT = (ce_BT != 0) | (kl_BT != 0)
        kl_rows = (kl_BT != 0).any(dim=1).nonzero(as_tuple=True)[0]
        reference_MD, reference_head = None, None
        if kl is not None and len(kl_rows):
            reference_MD = self.reference.hidden(self.model, batch, kl.name, kl_rows, (kl_BT != 0)[kl_rows])
            reference_head = self.reference.head(self.model)
        elif kl is not None and self._reference and self._reference.collective and ranks()[1] > 1:
            # Other ranks may have such rows: a sharded model's forward is work for all ranks together.
            nothing = torch.zeros_like(kl_BT[:1], dtype=torch.bool)
            self._reference.hidden(self.model, batch, kl.name, torch.tensor([0]), nothing)
        if not bool(needed_BT.any()):
            return found
        head = head_of(self.model)
        out = objectives.fused_ce_kl(
            hidden_BTD[needed_BT],
            head.weight_VD,
            _targets(batch)[needed_BT],
            ce_weight_N=ce_BT[needed_BT],
            kl_weight_N=kl_BT[needed_BT] if len(kl_rows) else None,
            ref_hidden_ND=reference_MD,
            ref_head_weight_VD=reference_head.weight_VD if reference_head else None,
            bias=head.bias_V,
            ref_bias=reference_head.bias_V if reference_head else None,
            softcap=head.softcap,
            logit_scale=head.scale,
            direction=kl.direction or "forward" if kl is not None else "forward",
        )
        terms = {ce.name: out.ce} if ce is not None else {}
        if kl is not None:
            terms[kl.name] = out.kl if len(kl_rows) else torch.zeros_like(out.ce)
        return Found(out.total if not found.terms else found.total + out.total, found.terms | terms)

    def _pairs(self, batch: Batch, term: PairTerm, hidden_BTD: Tensor) -> PairSums:
        """Reply log-probabilities of the batch's pairs."""
        chosen, rejected = (batch["streams"][f"{term.on[0]}.{side}"] for side in ("chosen", "rejected"))
        rows_R = torch.cat([chosen, rejected])
        reply_RT = batch["weights"][term.name][rows_R] != 0
        head = head_of(self.model)
        logp_N = objectives.trained_logprob(
            hidden_BTD[rows_R][reply_RT],
            head.weight_VD,
            _targets(batch)[rows_R][reply_RT],
            bias=head.bias_V,
            softcap=head.softcap,
            logit_scale=head.scale,
        )
        sums_R = logp_N.new_zeros(len(rows_R)).index_add(0, reply_RT.nonzero(as_tuple=True)[0], logp_N)
        (chosen_P, rejected_P), (c, r) = sums_R.chunk(2), reply_RT.sum(dim=1).chunk(2)
        constants = batch["constants"][f"{term.on[0]}.chosen"]
        return PairSums(chosen_P, c, rejected_P, r, {name: constants[name] for name in term.needs})


def _targets(batch: Batch) -> Tensor:
    """The token that each position predicts, [B, T]; −100 at the last one."""
    target_BT = torch.full_like(batch["input_ids"], -100)
    target_BT[:, :-1] = batch["input_ids"][:, 1:]
    return target_BT


Step = Callable[[Policy, Batch, Mapping[str, Tensor]], Found]


def install(model: PreTrainedModel, loss: Loss, step: Step, reference: Reference | None) -> Policy:
    """Let `model(**batch, scale=...)` answer with {"loss", <term>...}; other calls are unchanged."""
    original = model.forward
    policy = Policy(model, loss, reference)

    def forward(self: Any, *args: Any, **inputs: Any) -> Any:
        if "scale" not in inputs:
            return original(*args, **inputs)
        scale = inputs.pop("scale")
        found = step(policy, inputs, scale)
        return {"loss": found.total, **{term: value.detach() for term, value in found.terms.items()}}

    model.forward = MethodType(forward, model)
    return policy
