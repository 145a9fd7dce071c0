"""RDS scores: log p_ref(y | s, x) under the role prompt and role + unsafe prompt; resumable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from playsafe.data.chat import Rendered
from playsafe.errors import BadInput, CheckFailed
from playsafe.likelihood import logprobs
from playsafe.records import Score
from playsafe.rundir import append_jsonl, read_jsonl


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
