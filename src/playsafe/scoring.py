"""RDS scores: log p_ref(y | s, x) under the role prompt and under role + unsafe prompt.

The rows of one role share their system prompt. Its key-value states are computed once and reused for every
row; the rest of the rows is sorted by length, padded on the right and scored in batches of a token budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from playsafe.data.chat import Rendered
from playsafe.errors import BadInput, CheckFailed
from playsafe.models.heads import Head, head_of, hidden_states
from playsafe.objectives import reply_logprob
from playsafe.records import LogProb, Score
from playsafe.rundir import append_jsonl, cut_torn_line, read_jsonl


def model_can_read(model: Any, rows: Sequence[Rendered], where: str) -> None:
    """Refuse rows that are longer than the model's positions."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    longest = max((len(row.ids) for row in rows), default=0)
    if limit and longest > limit:
        raise BadInput(
            f"a row has {longest} tokens under the role prompt; the model reads {limit}.",
            where=where,
            next="Lower data.max_length and set data.overlong to drop or truncate.",
        )


@torch.no_grad()
def logprobs(model: Any, rows: Sequence[Rendered], *, tokens_per_batch: int = 8192) -> list[LogProb]:
    """Log-probability of each row's reply (nats, summed over reply and end-of-turn), in the order given.

    Rows that share a prefix share its computation. Exact: equal to one full forward per row.
    """
    if not rows:
        return []
    if model.training:  # checkpointing layers drop the key-value cache in train mode
        raise ValueError("scoring needs a model in eval mode")
    shared = _shared_prefix(rows)
    head = head_of(model)
    prefix = _prefill(model, rows[0].ids[:shared]) if shared else None
    results: list[LogProb | None] = [None] * len(rows)
    for indices in _by_length(rows, shared, tokens_per_batch):
        sums = _score_batch(model, head, [rows[i] for i in indices], shared, prefix)
        for i, total in zip(indices, sums, strict=True):
            results[i] = LogProb(total, sum(rows[i].reply_mask))
    return [result for result in results if result is not None]


def score_rows(
    model: Any,
    role: str,
    ids: Sequence[str],
    under_role: Sequence[Rendered],
    under_unsafe: Sequence[Rendered],
    path: Path,
    *,
    tokens_per_batch: int = 8192,
    rows_per_write: int = 64,
    advance: Callable[[int], None] = lambda n: None,
) -> list[Score]:
    """Score all rows into `path` (scores.jsonl), going on where an earlier call stopped.

    Rows are written in groups of `rows_per_write`; a group always holds the same rows, so an interrupted
    run ends with the same numbers. `advance` is told how many rows are done.
    """
    cut_torn_line(path)
    found = {row["id"]: Score.from_json(row) for row in read_jsonl(path)}
    for start in range(0, len(ids), rows_per_write):
        group = slice(start, start + rows_per_write)
        if not all(i in found for i in ids[group]):
            role_scores = logprobs(model, under_role[group], tokens_per_batch=tokens_per_batch)
            unsafe_scores = logprobs(model, under_unsafe[group], tokens_per_batch=tokens_per_batch)
            scores = [
                Score(i, role, a, b) for i, a, b in zip(ids[group], role_scores, unsafe_scores, strict=True)
            ]
            append_jsonl(path, [score.to_json() for score in scores if score.id not in found])
            found |= {score.id: score for score in scores if score.id not in found}
        advance(len(ids[group]))
    for score in found.values():
        if score.role_logprob.tokens != score.unsafe_logprob.tokens:
            raise CheckFailed(
                f"row {score.id!r} has {score.role_logprob.tokens} reply tokens under one prompt and "
                f"{score.unsafe_logprob.tokens} under the other.",
                where=str(path),
            )
    return [found[i] for i in ids]


def _shared_prefix(rows: Sequence[Rendered]) -> int:
    """Length of the common prefix, ended before any row's last prompt token (it predicts the reply)."""
    longest = min(row.prompt_length for row in rows) - 1
    columns = zip(*(row.ids[:longest] for row in rows), strict=True)
    return next((t for t, column in enumerate(columns) if len(set(column)) > 1), max(0, longest))


def _prefill(model: Any, ids: Sequence[int]) -> Any:
    ids_1T = torch.tensor([list(ids)], device=model.device)
    cache = DynamicCache(config=model.config)
    hidden_states(model, ids_1T, torch.ones_like(ids_1T), use_cache=True, past_key_values=cache)
    return cache


def _expanded(prefix: Any, model: Any, batch: int) -> Any:
    """The prefix cache for `batch` rows; views, nothing is copied until a layer appends to it."""
    cache = DynamicCache(config=model.config)
    for layer, source in zip(cache.layers, prefix.layers, strict=True):
        for name, value in vars(source).items():
            is_state = isinstance(value, Tensor) and value.dim() == 4
            setattr(layer, name, value.expand(batch, *value.shape[1:]) if is_state else value)
    return cache


def _by_length(rows: Sequence[Rendered], shared: int, budget: int) -> Iterator[list[int]]:
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
    batch: list[int] = []
    for i in order:
        if batch and (len(rows[i].ids) - shared) * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(i)
    yield batch


def _score_batch(model: Any, head: Head, rows: Sequence[Rendered], shared: int, prefix: Any) -> list[float]:
    width = max(len(row.ids) for row in rows) - shared
    ids_BT = torch.zeros(len(rows), width, dtype=torch.long)
    mask_BT = torch.zeros(len(rows), width, dtype=torch.bool)  # True where the next token is of the reply
    attention_BT = torch.ones(len(rows), shared + width, dtype=torch.long)
    for i, row in enumerate(rows):
        length = len(row.ids) - shared
        ids_BT[i, :length] = torch.tensor(row.ids[shared:])
        mask_BT[i, : length - 1] = torch.tensor(row.reply_mask[shared + 1 :])
        attention_BT[i, shared + length :] = 0
    target_BT = ids_BT.roll(-1, dims=1)
    device = model.device
    ids_BT, mask_BT, attention_BT, target_BT = (
        t.to(device) for t in (ids_BT, mask_BT, attention_BT, target_BT)
    )
    more: dict[str, Any] = {
        "position_ids": torch.arange(shared, shared + width, device=device).expand(len(rows), -1)
    }
    if prefix is not None:
        more |= {"past_key_values": _expanded(prefix, model, len(rows)), "use_cache": True}
    hidden_BTD = hidden_states(model, ids_BT, attention_BT, **more).last_hidden_state
    logp_N = reply_logprob(
        hidden_BTD[mask_BT],
        head.weight_VD,
        target_BT[mask_BT],
        bias=head.bias_V,
        softcap=head.softcap,
        logit_scale=head.scale,
    )
    row_N = mask_BT.nonzero(as_tuple=True)[0]
    sums = torch.zeros(len(rows), dtype=torch.float64, device=device).index_add_(0, row_N, logp_N.double())
    return [float(total) for total in sums]
