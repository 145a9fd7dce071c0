"""Rows of token ids with marks on their positions, padded into batches. One row type for every stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from playsafe.terms import Loss


@dataclass(frozen=True, slots=True)
class Row:
    """One rendered sequence.

    stream: where it comes from: "role", "role.flagged", "pairs.chosen", ... number: its own in a data set.
    marks: by name, a number per position; at t it belongs to the prediction made there, of token t + 1.
    "reply", which every stream has, marks the tokens of the reply and the one that ends the turn.
    constants: what the frozen model says of it: numbers, or vectors. The last `padding` ids are not attended.
    """

    stream: str
    number: int
    ids: tuple[int, ...]
    marks: Mapping[str, Sequence[float]]
    constants: Mapping[str, float | Tensor] = field(default_factory=dict)
    padding: int = 0

    def mark(self, name: str) -> Sequence[float]:
        """A mark of the row; "all" predictions of a next token and all "attended" positions are known."""
        if name == "all":
            return [1.0] * (len(self.ids) - 1) + [0.0]
        return [1.0] * len(self.ids) if name == "attended" else self.marks[name]


Example = tuple[Row, ...]  # rows that stay together in one micro-batch: one, or those of a pair


def reply_marks(reply_mask: Sequence[bool]) -> list[float]:
    """From a mask of tokens to marks of the positions that predict them."""
    return [1.0 if m else 0.0 for m in reply_mask[1:]] + [0.0]


class Collator:
    """Pads rows to the longest and asks each term how it weighs them; knows no method and no stream."""

    def __init__(self, pad_id: int, loss: Loss, side: Literal["right", "left"] = "right") -> None:
        self.pad_id, self.loss, self.side = pad_id, loss, side

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """input_ids, attention_mask: [B, T]; numbers: [B]; weights: {term: [B, T]}; counts: {term: [B]}.

        streams: {stream: numbers of its rows in the batch}. constants: {stream: {name: one a row}}.
        """
        rows = [row for example in examples for row in example]
        width = max(len(row.ids) for row in rows)
        ids = torch.full((len(rows), width), self.pad_id, dtype=torch.long)
        attention = torch.zeros(len(rows), width, dtype=torch.long)
        weights = {term.name: torch.zeros(len(rows), width) for term in self.loss}
        for i, row in enumerate(rows):
            start = 0 if self.side == "right" else width - len(row.ids)
            span = slice(start, start + len(row.ids))
            ids[i, span] = torch.tensor(row.ids)
            attention[i, start : start + len(row.ids) - row.padding] = 1
            for term in self.loss:
                if (marks := term.marks(row)) is not None:
                    weights[term.name][i, span] = torch.as_tensor(marks, dtype=torch.float32)
        return {
            "input_ids": ids,
            "attention_mask": attention,
            "numbers": torch.tensor([row.number for row in rows]),
            "weights": weights,
            "counts": {t.name: torch.tensor([t.count(row) for row in rows]) for t in self.loss},
            **_by_stream(rows),
        }


def _by_stream(rows: Sequence[Row]) -> dict[str, Any]:
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row.stream, []).append(place)
    constants = {
        stream: {
            name: torch.stack([torch.as_tensor(rows[place].constants[name]) for place in own])
            for name in rows[own[0]].constants
        }
        for stream, own in places.items()
    }
    return {"streams": {name: torch.tensor(own) for name, own in places.items()}, "constants": constants}
