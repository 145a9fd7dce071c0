"""MPO's own pairs with the real tokenizers and small random models: training runs, the targets' gaps come
nearer to their aim, and the dominant language's gap stays where it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from playsafe.config import load_study
from playsafe.likelihood import logprobs
from playsafe.models.adapters import attach_adapter
from playsafe.rundir import read_json, read_jsonl
from playsafe.streams.pairs import rendered
from playsafe.study.opening import open_study
from playsafe.study.plan import Plan
from playsafe.study.resident import Resident
from playsafe.study.weights import train

# family, tokenizer, file, dominant language, β of the paper, longest sequence, requests and languages taken
BACKBONES = [
    ("qwen2", "qwen2.5-7b-instruct", "qwen", "zh", 1.5, 200, 8, ["ar", "ko", "sw"]),
    ("gemma2", "gemma-2-9b-it", "gemma", "en", 1.5, 130, 53, ["ar", "sw"]),
    ("llama", "llama-3.1-8b-instruct", "llama", "en", 1.0, 560, 16, ["sw"]),
]


def gaps(model: Any, study: Resident) -> torch.Tensor:
    """[pairs, 2]: reward gaps of targets and of their dominant sides."""
    said = logprobs(model, [reply for pair in rendered(study.material(None)) for reply in pair])
    means = torch.tensor([one.mean for one in said]).reshape(-1, 4)
    return torch.stack([means[:, 0] - means[:, 1], means[:, 2] - means[:, 3]], dim=1)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda b: b[2])
def test_mpo_on_its_own_pairs(
    tmp_path: Path, shared: Path, save_model: Callable[..., Path], backbone: Any
) -> None:
    family, tokenizer, name, dominant, beta, longest, limit, languages = backbone
    model = save_model(family, shared / "tokenizers" / tokenizer, hidden_size=64, initializer_range=0.1)
    path = shared / "data" / "mpo_train" / "data" / f"{name}_mpo_data.json"
    study = Resident(
        load_study(
            None,
            [],
            {
                "output_dir": str(tmp_path / "run"),
                "model": {"name_or_path": str(model)},
                "roles": None,
                "pairs": {
                    "path": str(path),
                    "dominant": dominant,
                    "limit": limit,
                    "languages": languages,
                },
                "data": {"max_length": longest, "overlong": "drop"},
                "training": {
                    "lora": {"r": 8, "lora_alpha": 16},
                    "learning_rate": 2.5e-4,
                    "lr_scheduler_type": "cosine",
                    "warmup_steps": 0.1,
                    "num_train_epochs": 2,
                    "per_device_train_batch_size": 2,
                    "gradient_accumulation_steps": 1,
                    "logging_steps": 1,
                },
                "methods": [{"name": "mpo", "options": {"beta": beta}}],
            },
        )
    )
    open_study(study)
    before = gaps(study.aligned().model, study)
    plan = Plan(study.config)
    [cell] = [plan.cell(job) for job in plan.jobs.values() if job.kind == "train"]
    train(study, cell, lambda: None)
    run = study.root / cell.place
    after = gaps(attach_adapter(study.aligned().model, run / "adapter"), study)

    def mismatch(found: torch.Tensor) -> float:
        return (beta * found[:, 0] - before[:, 1]).square().mean().item()

    counted = read_json(run / "training.json")["pairs"]
    assert counted["read"] == 600
    assert counted["trained"] == len(before) > 0
    assert counted["trained"] + counted["too_long"] == counted["targets"]
    assert mismatch(after) < 0.99 * mismatch(before)
    moved = (after - before)[:, 1].abs().mean() / before[:, 1].abs().mean()
    assert moved < 0.01
    log = read_jsonl(run / "train.jsonl")
    assert len(log) == 2 * -(-len(before) // 2)
    assert all(torch.isfinite(torch.tensor([line["gap"], line["retain"]])).all() for line in log)
