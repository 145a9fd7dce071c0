"""Decoding under guidance: at every step the model reads further contexts beside the prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, LogitsProcessor

from playsafe.models.heads import head_of, hidden_states

Combine = Callable[[Tensor, Sequence[Tensor]], Tensor]


class Context:
    """One further context of a batch, left-padded, with its key-value cache."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], pad: int) -> None:
        self.model = model
        self.ids_BT, self.attention_BT = left_padded(prompts, pad)
        self.ids_BT, self.attention_BT = self.ids_BT.to(model.device), self.attention_BT.to(model.device)
        self.cache = DynamicCache(config=model.config)

    def next(self, new_B1: Tensor | None) -> Tensor:
        """log p [B, V] of the next token, after the tokens that were added since (None: none yet)."""
        ids_BT = self.ids_BT
        if new_B1 is not None:
            ids_BT = new_B1
            self.attention_BT = torch.cat([self.attention_BT, torch.ones_like(new_B1)], dim=1)
        positions_BT = (self.attention_BT.cumsum(dim=1) - 1).clamp(min=0)[:, -ids_BT.shape[1] :]
        hidden_BTD = hidden_states(
            self.model,
            ids_BT,
            self.attention_BT,
            position_ids=positions_BT,
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state
        return head_of(self.model).logits(hidden_BTD[:, -1]).float().log_softmax(dim=-1)


class Guided(LogitsProcessor):
    """Scores of the next token: what `combine` makes of the log-probabilities in all contexts."""

    def __init__(self, contexts: Sequence[Context], combine: Combine) -> None:
        self.contexts, self.combine, self.begun = contexts, combine, False

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        new_B1 = input_ids[:, -1:] if self.begun else None
        self.begun = True
        return self.combine(
            scores.float().log_softmax(dim=-1), [context.next(new_B1) for context in self.contexts]
        )


def left_padded(prompts: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and attention [B, T]."""
    width = max(len(ids) for ids in prompts)
    ids_BT = torch.full((len(prompts), width), pad, dtype=torch.long)
    attention_BT = torch.zeros(len(prompts), width, dtype=torch.long)
    for i, ids in enumerate(prompts):
        ids_BT[i, width - len(ids) :] = torch.tensor(ids)
        attention_BT[i, width - len(ids) :] = 1
    return ids_BT, attention_BT
