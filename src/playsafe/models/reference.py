"""The frozen reference policy p_ref, three ways. Each gives final hidden states and a head.

AdapterOff: the same weights with the LoRA adapter switched off.  Bank: hidden states of the rows that need
them, computed once before training, and a frozen copy of the head (full fine-tuning without a second
model).  SecondModel: another copy of the model, on request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from playsafe.models.heads import Head, head_of, hidden_states

Batch = dict[str, Any]  # see `data.rows.Collator`


class Reference(Protocol):
    """Gives p_ref for rows of a training batch."""

    name: str
    collective: bool  # whether `hidden` runs the model under training, which may be sharded over ranks

    def head(self, policy: Any) -> Head:
        """The reference's head; `policy` is the model under training."""

    def hidden(self, policy: Any, batch: Batch, term: str, rows_R: Tensor, mask_RT: Tensor) -> Tensor:
        """Hidden states [M, D] at the positions of mask_RT (row-major), of the batch rows `rows_R`.

        term: whose weights the mask is of."""


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Eval mode (no dropout, no checkpointing) inside, the former mode afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@torch.no_grad()
def _forward(model: Any, batch: Batch, rows_R: Tensor, mask_RT: Tensor) -> Tensor:
    attention = batch["attention_mask"][rows_R]
    return hidden_states(model, batch["input_ids"][rows_R], attention).last_hidden_state[mask_RT]


class AdapterOff:
    """The policy's own weights with its adapter switched off."""

    name = "adapter_off"
    collective = True

    def head(self, policy: Any) -> Head:
        head = head_of(policy)
        return head._replace(weight_VD=head.weight_VD.detach())

    def hidden(self, policy: Any, batch: Batch, term: str, rows_R: Tensor, mask_RT: Tensor) -> Tensor:
        with evaluating(policy), policy.disable_adapter():
            return _forward(policy, batch, rows_R, mask_RT)


class SecondModel:
    """A separate frozen copy."""

    name = "model"
    collective = False

    def __init__(self, model: Any) -> None:
        self.model = model.eval().requires_grad_(False)

    def head(self, policy: Any) -> Head:
        return head_of(self.model)

    def hidden(self, policy: Any, batch: Batch, term: str, rows_R: Tensor, mask_RT: Tensor) -> Tensor:
        return _forward(self.model, batch, rows_R, mask_RT)


class Bank:
    """Hidden states of the untouched model at the positions that will be asked for, by term and row."""

    name = "bank"
    collective = False

    def __init__(self, model: Any, batches: Sequence[Batch], terms: Sequence[str]) -> None:
        """model: before training. batches: collated rows, each row once. terms: those that need p_ref."""
        self._head = head_of(model).frozen()
        self._states: dict[tuple[str, int], Tensor] = {}
        device = next(model.parameters()).device
        with evaluating(model):
            for batch, term in ((batch, term) for batch in batches for term in terms):
                mask_BT = batch["weights"][term] != 0
                rows_R = mask_BT.any(dim=1).nonzero(as_tuple=True)[0]
                if len(rows_R) == 0:
                    continue
                mask_RT = mask_BT[rows_R]
                on_device = {key: batch[key].to(device) for key in ("input_ids", "attention_mask")}
                states = _forward(model, on_device, rows_R.to(device), mask_RT.to(device)).cpu()
                keys = [(term, number) for number in batch["numbers"][rows_R].tolist()]
                self._states |= dict(zip(keys, states.split(mask_RT.sum(dim=1).tolist()), strict=True))

    def head(self, policy: Any) -> Head:
        return self._head

    def hidden(self, policy: Any, batch: Batch, term: str, rows_R: Tensor, mask_RT: Tensor) -> Tensor:
        states = [self._states[term, int(batch["numbers"][r])] for r in rows_R]
        return torch.cat(states).to(batch["input_ids"].device)
