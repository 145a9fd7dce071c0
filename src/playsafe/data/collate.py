"""Rows of token ids and per-token weights, padded into batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch


@dataclass(frozen=True, slots=True)
class TrainRow:
    """One rendered row. weights[term][t] weighs the prediction made at position t (of token t+1);
    counts[term] is what the row adds to the term's denominator."""

    number: int
    ids: tuple[int, ...]
    weights: Mapping[str, Sequence[float]]
    counts: Mapping[str, float]


class Collator:
    """Pads rows to the longest; knows no method. Terms absent from a row weigh nothing."""

    def __init__(self, pad_id: int, terms: Sequence[str], side: Literal["right", "left"] = "right") -> None:
        self.pad_id, self.terms, self.side = pad_id, tuple(terms), side

    def __call__(self, rows: Sequence[TrainRow]) -> dict[str, Any]:
        """input_ids, attention_mask: [B, T]; weights: {term: [B, T]}; counts: {term: [B]}; rows: [B]."""
        width = max(len(row.ids) for row in rows)
        ids = torch.full((len(rows), width), self.pad_id, dtype=torch.long)
        attention = torch.zeros(len(rows), width, dtype=torch.long)
        weights = {term: torch.zeros(len(rows), width) for term in self.terms}
        counts = {
            term: torch.tensor([float(row.counts.get(term, 0.0)) for row in rows]) for term in self.terms
        }
        for i, row in enumerate(rows):
            start = 0 if self.side == "right" else width - len(row.ids)
            span = slice(start, start + len(row.ids))
            ids[i, span] = torch.tensor(row.ids)
            attention[i, span] = 1
            for term in self.terms:
                if term in row.weights:
                    weights[term][i, span] = torch.tensor(row.weights[term], dtype=torch.float32)
        return {
            "input_ids": ids,
            "attention_mask": attention,
            "weights": weights,
            "counts": counts,
            "rows": torch.tensor([row.number for row in rows]),
        }
