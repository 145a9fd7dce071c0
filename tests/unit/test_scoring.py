"""RDS scores against plain transformers, without any of our code on the oracle's side."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from playsafe.data.chat import Rendered
from playsafe.likelihood import logprobs
from playsafe.objectives import mean_logprob, rds_gap
from playsafe.records import Score
from playsafe.scoring import score_rows


def rows(count: int = 9, prefix: int = 40) -> list[Rendered]:
    rng = random.Random(0)
    shared = [rng.randrange(3, 320) for _ in range(prefix)]
    made = []
    for _ in range(count):
        x, y = rng.randint(1, 12), rng.randint(1, 9)
        ids = shared + [rng.randrange(3, 320) for _ in range(x + y)]
        made.append(Rendered(tuple(ids), (False,) * (prefix + x) + (True,) * y))
    return made


def oracle(model: Any, row: Rendered) -> float:
    """Sum of reply log-probabilities from the model's own logits, one row at a time."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row.ids])).logits[0].double()
    logp = torch.log_softmax(logits, dim=-1)
    return sum(float(logp[t - 1, row.ids[t]]) for t in range(1, len(row.ids)) if row.reply_mask[t])


@pytest.mark.parametrize("prefix", [0, 40, 100])  # 100 is past Gemma-2's window of 64
def test_equal_to_plain_forwards(family_model: Any, prefix: int) -> None:
    data = rows(prefix=prefix)
    for row, score in zip(data, logprobs(family_model, data, tokens_per_batch=64), strict=True):
        assert score.sum == pytest.approx(oracle(family_model, row), abs=1e-4)
        assert score.tokens == sum(row.reply_mask)


def test_batching_changes_nothing(family_model: Any) -> None:
    data = rows()
    one_by_one = [logprobs(family_model, [row])[0].sum for row in data]
    together = [score.sum for score in logprobs(family_model, data)]
    assert together == pytest.approx(one_by_one, abs=1e-4)


def test_single_row_and_no_rows(family_model: Any) -> None:
    assert logprobs(family_model, []) == []
    (only,) = rows(1)
    assert logprobs(family_model, [only])[0].sum == pytest.approx(oracle(family_model, only), abs=1e-4)


def test_scores_file_resumes_and_keeps_finished_rows(family_model: Any, tmp_path: Path) -> None:
    data = rows(8)
    ids = [f"r{i}" for i in range(8)]
    whole = score_rows(
        family_model, "A", ids, data, data[::-1][::-1], tmp_path / "whole.jsonl", rows_per_write=3
    )
    part = tmp_path / "part.jsonl"
    lines = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)
    part.write_text("".join(lines[:3]) + lines[3][:17])  # a kill tore the fourth line
    again = score_rows(family_model, "A", ids, data, data, part, rows_per_write=3)
    assert again == whole
    assert [json.loads(line)["id"] for line in part.read_text().splitlines()] == ids


def test_gap_and_round_trip(family_model: Any, tmp_path: Path) -> None:
    data = rows(4)
    other = [Rendered((5, 6, 7, *row.ids), (False, False, False, *row.reply_mask)) for row in data]
    scores = score_rows(family_model, "A", ["a", "b", "c", "d"], data, other, tmp_path / "s.jsonl")
    for row, unsafe, score in zip(data, other, scores, strict=True):
        expected = (oracle(family_model, unsafe) - oracle(family_model, row)) / sum(row.reply_mask)
        assert score.gap == pytest.approx(expected, abs=1e-4)
        by_equation = rds_gap(
            mean_logprob(score.role_logprob.sum, score.role_logprob.tokens),
            mean_logprob(score.unsafe_logprob.sum, score.unsafe_logprob.tokens),
        )
        assert score.gap == pytest.approx(by_equation, abs=1e-12)
        assert Score.from_json(json.loads(json.dumps(score.to_json()))) == score
