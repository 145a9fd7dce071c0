"""Full fine-tuning of a model that comes in bfloat16: weights that move, and the loss against float32.

    python benchmarks/bf16_masters.py [--steps 50] [--out FILE]

The embedded model in bfloat16 learns one role's rows with AdamW three ways: the weights themselves in
bfloat16 (what a Trainer does with such a model), with float32 masters under bfloat16 autocast (what playsafe
does), and all in float32. Same rows, order and seed. `moved`: share of sampled weights that are another
number afterwards; `apart`: mean distance of the loss of a step to that of the float32 run, relative to it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from environment import describe
from playsafe import training
from playsafe.config import StudyConfig
from playsafe.methods import sft
from playsafe.progress import quieten
from playsafe.rundir import read_jsonl
from playsafe.streams import role
from playsafe.study.resident import Resident

RATES = (1e-5, 1e-4, 1e-3)


class Unwatched(TrainerCallback):
    """Stands for the check that would stop the first way."""

    def __init__(self, model: Any) -> None: ...


def trained(folder: Path, rate: float, steps: int, dtype: torch.dtype, masters: bool) -> dict[str, Any]:
    study = StudyConfig.model_validate(
        {
            "output_dir": str(folder),
            "roles": {"names": ["Skarn"]},
            "training": {
                "lora": None,
                "learning_rate": rate,
                "max_steps": steps,
                "per_device_train_batch_size": 16,
                "gradient_accumulation_steps": 1,
            },
        }
    )
    resident = Resident(study)
    [who] = resident.roles.values()
    rows = role.STREAM.rows(resident.material(who), sft.METHOD.loss(sft.METHOD.Options()), 0).examples
    kept = training.masters, training.Resolution
    if not masters:
        training.masters = lambda model, config: (config, model.dtype)
        training.Resolution = Unwatched
    try:
        done = training.train(
            resident.aligned().model.to(dtype),
            sft.METHOD,
            sft.METHOD.Options(),
            rows,
            study.training,
            folder,
            seed=0,
            pad_id=resident.material(who).pad_id,
            end_of_turn=resident.aligned().renderer.end_of_turn,
        )
    finally:
        training.masters, training.Resolution = kept
    losses = [line["loss"] for line in read_jsonl(folder / "train.jsonl")]
    return {"moved": done["moved"]["trained"], "stored": done["moved"]["stored"], "dtype": done["dtype"]} | {
        "losses": losses
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    quieten()
    torch.set_num_threads(1)
    ways = {
        "bfloat16 weights": (torch.bfloat16, False),
        "float32 masters": (torch.bfloat16, True),
        "float32": (torch.float32, True),
    }
    rows = []
    for rate in RATES:
        found = {}
        for name, (dtype, masters) in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                found[name] = trained(Path(folder), rate, options.steps, dtype, masters)
        exact = found["float32"]["losses"]
        for name, one in found.items():
            losses = one.pop("losses")
            apart = sum(abs(x - y) / y for x, y in zip(losses, exact, strict=True)) / len(exact)
            rows.append({"rate": rate, "way": name, **one, "apart": apart, "last": losses[-1]})
            print(
                f"{rate:g}  {name:17} moved {one['moved']:6.1%}  in the stored dtype {one['stored']:6.1%}  "
                f"loss apart {apart:6.2%}  last {losses[-1]:.4f}"
            )
    if options.out is not None:
        told = {"environment": describe(), "steps": options.steps, "rows": rows}
        options.out.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
