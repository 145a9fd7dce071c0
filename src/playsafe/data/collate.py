"""Rows of token ids and per-token weights, padded into batches; preference pairs among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class TrainRow:
    """One rendered row. weights[term][t] weighs the prediction made at position t (of token t+1);
    counts[term] is what the row adds to the term's denominator. The last `padding` ids are not attended."""

    number: int
    ids: tuple[int, ...]
    weights: Mapping[str, Sequence[float]]
    counts: Mapping[str, float]
    padding: int = 0

    @property
    def sequences(self) -> tuple[TrainRow, ...]:
        return (self,)


@dataclass(frozen=True, slots=True)
class PairRow:
    """One preference pair with everything that the frozen model says of it, so that none has to be there.

    chosen, rejected: the target's replies y_w, y_l; their weights mark the reply. held: sequences of the
    dominant side whose representation is held, their weights pool it. aim: RG_ref of the dominant side, nats
    per token. ref_chosen, ref_rejected: log p_ref of the target's replies. ref_held: [A, D], A = len(held).
    """

    number: int
    chosen: TrainRow
    rejected: TrainRow
    held: tuple[TrainRow, ...]
    counts: Mapping[str, float]
    aim: float
    ref_chosen: float
    ref_rejected: float
    ref_held: Tensor

    @property
    def sequences(self) -> tuple[TrainRow, ...]:
        return (self.chosen, self.rejected, *self.held)


Row = TrainRow | PairRow


class Collator:
    """Pads sequences to the longest; knows no method. Terms absent from a row weigh nothing."""

    def __init__(self, pad_id: int, terms: Sequence[str], side: Literal["right", "left"] = "right") -> None:
        self.pad_id, self.terms, self.side = pad_id, tuple(terms), side

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        """input_ids, attention_mask: [B, T]; weights: {term: [B, T]}; rows: [B]; counts: {term: [rows]}.

        B counts sequences: one of a row, several of a pair. "pairs" is there where a pair is: numbers of its
        sequences (chosen, rejected: [P], held: [A]) and aim, ref_chosen, ref_rejected [P], ref_held [A, D].
        """
        sequences = [sequence for row in rows for sequence in row.sequences]
        width = max(len(sequence.ids) for sequence in sequences)
        ids = torch.full((len(sequences), width), self.pad_id, dtype=torch.long)
        attention = torch.zeros(len(sequences), width, dtype=torch.long)
        weights = {term: torch.zeros(len(sequences), width) for term in self.terms}
        for i, row in enumerate(sequences):
            start = 0 if self.side == "right" else width - len(row.ids)
            span = slice(start, start + len(row.ids))
            ids[i, span] = torch.tensor(row.ids)
            attention[i, start : start + len(row.ids) - row.padding] = 1
            for term in self.terms:
                if term in row.weights:
                    weights[term][i, span] = torch.tensor(row.weights[term], dtype=torch.float32)
        counts = {
            term: torch.tensor([float(row.counts.get(term, 0.0)) for row in rows]) for term in self.terms
        }
        batch = {
            "input_ids": ids,
            "attention_mask": attention,
            "weights": weights,
            "counts": counts,
            "rows": torch.tensor([sequence.number for sequence in sequences]),
        }
        pairs = _pairs(rows)
        return batch | ({"pairs": pairs} if pairs is not None else {})


def _pairs(rows: Sequence[Row]) -> dict[str, Tensor] | None:
    pairs: list[PairRow] = []
    chosen: list[int] = []
    held: list[int] = []
    place = 0
    for row in rows:
        if isinstance(row, PairRow):
            pairs.append(row)
            chosen.append(place)
            held += range(place + 2, place + len(row.sequences))
        place += len(row.sequences)
    if not pairs:
        return None
    return {
        "chosen": torch.tensor(chosen),
        "rejected": torch.tensor(chosen) + 1,
        "held": torch.tensor(held, dtype=torch.long),
        "aim": torch.tensor([pair.aim for pair in pairs]),
        "ref_chosen": torch.tensor([pair.ref_chosen for pair in pairs]),
        "ref_rejected": torch.tensor([pair.ref_rejected for pair in pairs]),
        "ref_held": torch.cat([pair.ref_held for pair in pairs]),
    }
