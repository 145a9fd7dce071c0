"""What the frozen model says of preference pairs, asked once and kept in <output_dir>/cache/.

That is one scalar a dominant side, two sums a target and a vector a held row; no frozen model is needed
afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from playsafe.data.chat import Rendered
from playsafe.data.rows import Collator, Row
from playsafe.likelihood import logprobs
from playsafe.models.heads import hidden_states
from playsafe.models.integrity import fingerprint
from playsafe.objectives import pooled
from playsafe.rundir import replacing
from playsafe.terms import Loss, held

CHECK = "fingerprint"  # of the tensors, in the file's metadata
TOKENS = 8192  # in a batch of held rows


class RenderedPair(NamedTuple):
    """Token ids of a target and of its dominant side."""

    chosen: Rendered
    rejected: Rendered
    dominant_chosen: Rendered
    dominant_rejected: Rendered


class Frozen(NamedTuple):
    """What the frozen model says of P pairs, float32 on the CPU.

    aim [P]: RG_ref of the dominant sides. ref_chosen, ref_rejected [P]: log p_ref of the targets' replies.
    held [P·A, D]: representations of the held rows.
    """

    aim: Tensor
    ref_chosen: Tensor
    ref_rejected: Tensor
    held: Tensor


def kept(path: Path, ask: Callable[[], Frozen]) -> Frozen:
    """What an earlier call kept in `path`; asked anew where there is nothing or something damaged."""
    try:
        with safe_open(path, "pt") as file:
            frozen = Frozen(**{name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            if (file.metadata() or {}).get(CHECK) == fingerprint(frozen._asdict().items()):
                return frozen
    except (FileNotFoundError, SafetensorError, TypeError):
        pass
    frozen = ask()
    with replacing(path) as temporary:
        if temporary is not None:
            save_file(frozen._asdict(), temporary, {CHECK: fingerprint(frozen._asdict().items())})
    return frozen


@torch.no_grad()
def frozen_values(
    model: Any, rendered: Sequence[RenderedPair], held: Sequence[Sequence[Row]], pad_id: int
) -> Frozen:
    """Ask the frozen model; what several pairs share (a dominant side, its representation) is asked once."""
    distinct = list(dict.fromkeys(reply for pair in rendered for reply in pair))
    said = dict(zip(distinct, logprobs(model, distinct), strict=True))
    aim = [said[p.dominant_chosen].mean - said[p.dominant_rejected].mean for p in rendered]
    sums = [[said[reply].sum for reply in pair[:2]] for pair in rendered]
    chosen, rejected = torch.tensor(sums).T.contiguous() if sums else (torch.zeros(0), torch.zeros(0))
    every = [sequence for sequences in held for sequence in sequences]
    vectors = _vectors(model, {(row.ids, row.padding): row for row in every}, pad_id)
    width = model.get_input_embeddings().embedding_dim
    stacked = [vectors[row.ids, row.padding] for row in every]
    return Frozen(
        torch.tensor(aim),
        chosen.clone(),
        rejected.clone(),
        torch.stack(stacked) if stacked else torch.zeros(0, width),
    )


def _vectors(
    model: Any, sequences: dict[tuple[tuple[int, ...], int], Row], pad_id: int
) -> dict[tuple[tuple[int, ...], int], Tensor]:
    """The pooled representation of each sequence, [D] in float32."""
    collator = Collator(pad_id, Loss.of(held("retain", lambda h, ref_h: h, "")))
    found: dict[tuple[tuple[int, ...], int], Tensor] = {}
    for keys in _batches(sorted(sequences, key=lambda key: len(key[0]))):
        batch = collator([(sequences[key],) for key in keys])
        ids_BT, attention_BT, weights_BT = (
            t.to(model.device)
            for t in (batch["input_ids"], batch["attention_mask"], batch["weights"]["retain"])
        )
        hidden_BTD = hidden_states(model, ids_BT, attention_BT).last_hidden_state
        found |= dict(zip(keys, pooled(hidden_BTD, weights_BT).float().cpu(), strict=True))
    return found


def _batches(keys: Sequence[Any]) -> Iterator[list[Any]]:
    """Of about TOKENS tokens; keys are sorted by the length of their row."""
    batch: list[Any] = []
    for key in keys:
        if batch and len(key[0]) * (len(batch) + 1) > TOKENS:
            yield batch
            batch = []
        batch.append(key)
    if batch:
        yield batch
