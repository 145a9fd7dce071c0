"""What a plan will cost: from the jobs that are done, and by rough arithmetic where none of a kind is."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from playsafe.config import StudyConfig
from playsafe.rundir import read_json
from playsafe.study.plan import KINDS, Kind, Plan
from playsafe.tiny import MODEL_DIR

RATE = 3e10  # floating-point operations a second: two cores of an ordinary processor
ROWS, PROMPTS, TOKENS = 300, 100, 150  # of a role, of a suite, of a row, where the configuration does not say
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}


class Cost(NamedTuple):
    """seconds: of one job of a kind, None where nothing is known. measured: of so many jobs that are done."""

    seconds: float | None
    measured: int


def costs(plan: Plan) -> dict[Kind, Cost]:
    """Seconds of one job of each kind."""
    found = {}
    parameters, _ = model_size(plan.config)
    for kind in KINDS:
        done = [
            plan.last(job) for job in plan.jobs.values() if job.kind == kind and plan.state(job) == "done"
        ]
        times = [float(event["seconds"]) for event in done if event.get("seconds")]
        found[kind] = (
            Cost(median(times), len(times)) if times else Cost(_rough(plan.config, kind, parameters), 0)
        )
    return found


def memory(config: StudyConfig) -> float | None:
    """Bytes that one worker's model takes, with gradients and optimiser states in full fine-tuning."""
    parameters, size = model_size(config)
    if parameters is None:
        return None
    # under full fine-tuning weights, gradients and the two moments of Adam are float32
    return parameters * (size if config.training.lora is not None else 4 * 4)


def model_size(config: StudyConfig) -> tuple[float | None, int]:
    """Parameters of a model that lies on disk and bytes of each in memory; (None, …) where it does not."""
    named = config.model.name_or_path
    folder = MODEL_DIR if named == "tiny" else Path(named).expanduser()
    weights = list(folder.glob("*.safetensors")) if folder.is_dir() else []
    about: dict[str, Any] = read_json(folder / "config.json") if (folder / "config.json").exists() else {}
    stored = BYTES.get(str(about.get("dtype") or about.get("torch_dtype")), 4)
    size = BYTES.get(config.model.dtype, stored)
    return (sum(file.stat().st_size for file in weights) / stored if weights else None), size


def _rough(config: StudyConfig, kind: Kind, parameters: float | None) -> float | None:
    """Operations over RATE: 2 a parameter and token forward, 6 with the backward pass."""
    if kind in ("judge", "edit"):
        return 1.0
    if parameters is None:
        return None
    rows, evaluation = config.data.limit or ROWS, config.evaluation
    asked = sum(suite.limit or PROMPTS for suite in evaluation.suites) * len(evaluation.system)
    asked *= 1 + len(evaluation.attacks)
    tokens = {
        "score": 2 * 2 * rows * TOKENS,
        "train": 6 * rows * TOKENS * config.training.num_train_epochs,
        "answer": 2 * asked * (TOKENS + evaluation.generation.max_new_tokens),
        "measure": 2 * 2 * asked * TOKENS * (evaluation.voice.measure and config.roles is not None),
    }
    return tokens[kind] * parameters / RATE
