"""log p(y | s, x) of replies under a model, summed in nats: three ways, and a check which of them holds.

shared  The rows of one role share their system prompt: its key-value states are computed once and reused for
        every row; the rest of the rows is sorted by length, padded on the right and scored in batches.
padded  Whole rows in such batches, logits from the final hidden state and the head.
plain   One full forward a row and the model's own logits: what the others must equal.

Which way a model allows is found once for each model, on the first rows that it is asked for. Layers that
carry a state along (linear attention, convolutions, state spaces) have no states to share; an adapter on the
head or of virtual tokens is not in the hidden state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from playsafe.data.chat import Rendered
from playsafe.errors import CheckFailed
from playsafe.models.heads import Head, head_of, hidden_states
from playsafe.objectives import reply_logprob
from playsafe.records import LogProb

Way = Callable[[Any, Sequence[Rendered], int], list[float]]  # model, rows, tokens a batch → Σ log p a row
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4}  # nats per token; of shorter floats:
SHORT = 3e-2
_WAYS: WeakKeyDictionary[Any, Way] = WeakKeyDictionary()


@torch.no_grad()
def logprobs(model: Any, rows: Sequence[Rendered], *, tokens_per_batch: int = 8192) -> list[LogProb]:
    """Log-probability of each row's reply (nats, summed over reply and end-of-turn), in the order given.

    Equal to one full forward per row. Raises CheckFailed where the model's own logits are not finite.
    """
    if not rows:
        return []
    if model.training:  # checkpointing layers drop the key-value cache in train mode
        raise ValueError("scoring needs a model in eval mode")
    sums = way_of(model, rows)(model, rows, tokens_per_batch)
    return [LogProb(total, sum(row.reply_mask)) for total, row in zip(sums, rows, strict=True)]


def way_of(model: Any, rows: Sequence[Rendered]) -> Way:
    """The fastest way that gives what plain forwards give; known from the first call on."""
    if model not in _WAYS:
        _WAYS[model] = _checked(model, rows)
    return _WAYS[model]


def _checked(model: Any, rows: Sequence[Rendered]) -> Way:
    first, *others = sorted(rows, key=lambda row: len(row.ids))[:2]
    longer = Rendered((*first.ids, first.ids[-1]), (*first.reply_mask, True))
    exact = TOLERANCE.get(model.dtype, SHORT)
    for way in (shared, padded):
        if all(_agrees(way, model, probe, exact) for probe in ([first, longer], [first, *others])):
            return way
    return plain


def _agrees(way: Way, model: Any, probe: Sequence[Rendered], exact: float) -> bool:
    truth = plain(model, probe, 0)
    try:
        # together, and each alone after the other: a state that the first row leaves behind would show
        found = [way(model, probe, budget) for budget in (8192, 1)]
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever another architecture makes of it: then this is not its way
        return False
    lengths = [sum(row.reply_mask) for row in probe]
    apart = [abs(x - y) / n for sums in found for x, y, n in zip(sums, truth, lengths, strict=True)]
    return max(apart) <= exact


def plain(model: Any, rows: Sequence[Rendered], tokens_per_batch: int) -> list[float]:
    """The model's own logits, a row at a time."""
    sums = []
    for row in rows:
        ids_1T = torch.tensor([row.ids], device=model.device)
        logits = model(input_ids=ids_1T, attention_mask=torch.ones_like(ids_1T), use_cache=False).logits
        replied = sum(row.reply_mask)
        # counted from the end: virtual tokens may stand in front
        logp_NV = logits[0, -replied - 1 : -1].float().log_softmax(-1)
        sums.append(float(logp_NV.gather(1, ids_1T[0, -replied:, None]).double().sum()))
    if not all(map(torch.isfinite, torch.tensor(sums))):
        raise CheckFailed(
            "the model's log-probabilities are not finite.",
            where=type(model).__name__,
            next="Set model.dtype to float32 or bfloat16, or check the weights.",
        )
    return sums


def shared(model: Any, rows: Sequence[Rendered], tokens_per_batch: int) -> list[float]:
    """One computation of the prefix that all rows share."""
    length = _shared_prefix(rows)
    return _batched(model, rows, tokens_per_batch, length, _prefill(model, rows[0].ids[:length]))


def padded(model: Any, rows: Sequence[Rendered], tokens_per_batch: int) -> list[float]:
    """Every row whole."""
    return _batched(model, rows, tokens_per_batch, 0, None)


def _batched(model: Any, rows: Sequence[Rendered], budget: int, length: int, prefix: Any) -> list[float]:
    head, sums = head_of(model), [0.0] * len(rows)
    for indices in _by_length(rows, length, budget):
        found = _score_batch(model, head, [rows[i] for i in indices], length, prefix)
        for i, total in zip(indices, found, strict=True):
            sums[i] = total
    return sums


def _shared_prefix(rows: Sequence[Rendered]) -> int:
    """Length of the common prefix, ended before any row's last prompt token (it predicts the reply)."""
    longest = min(row.prompt_length for row in rows) - 1
    columns = zip(*(row.ids[:longest] for row in rows), strict=True)
    return next((t for t, column in enumerate(columns) if len(set(column)) > 1), max(0, longest))


def _prefill(model: Any, ids: Sequence[int]) -> Any:
    """Key-value states of what every row begins with; None where that is nothing."""
    if not ids:
        return None
    ids_1T = torch.tensor([list(ids)], device=model.device)
    cache = DynamicCache(config=model.config)
    if not all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers):
        raise CheckFailed("the model has layers without key-value states.", where=type(model).__name__)
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
