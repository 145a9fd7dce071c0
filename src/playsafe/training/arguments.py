"""From a study's settings to `transformers.TrainingArguments`, or to a clear refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from playsafe.config import TrainingConfig
from playsafe.errors import BadInput, nearest
from playsafe.models.loading import refuse_base_changing

_FIXED: dict[str, Any] = {
    "remove_unused_columns": False,
    "save_strategy": "steps",
    "save_total_limit": 2,
    "logging_strategy": "steps",
    "logging_nan_inf_filter": False,
    "disable_tqdm": True,
    "label_names": [],
}
_OWN_ARGUMENTS = _FIXED.keys() | {"output_dir", "seed", "data_seed", "use_cpu"}


def check_settings(config: TrainingConfig) -> str:
    """Refuse settings that cannot work together; returns the kind of reference that they mean."""
    kind = config.reference
    if kind == "auto":
        kind = "adapter_off" if config.lora else "bank"
    if kind == "adapter_off" and not config.lora:
        raise BadInput(
            "reference adapter_off needs LoRA: with full fine-tuning there is no adapter to switch off.",
            where="training.reference",
            allowed="auto, bank, model",
        )
    if config.lora and kind == "adapter_off":
        refuse_base_changing(config.lora.init_lora_weights, "training.lora.init_lora_weights")
    if config.lora and "lm_head" in config.lora.target_modules:
        raise BadInput(
            "LoRA on lm_head is not supported: the loss works on the head's own weight.",
            where="training.lora.target_modules",
            next="Remove lm_head from the list.",
        )
    for key in config.extra:
        known = TrainingArguments.__dataclass_fields__
        if key not in known:
            raise BadInput(f"unknown key {key!r}. {nearest(key, known)}", where="training.extra")
        if key in TrainingConfig.model_fields or key in _OWN_ARGUMENTS:
            raise BadInput(
                f"{key!r} is set by playsafe.",
                where="training.extra",
                next="Set it under training, where it is a key.",
            )
    return kind


def training_arguments(
    config: TrainingConfig, directory: Path, *, seed: int, device: torch.device
) -> TrainingArguments:
    """`TrainingArguments` of a run; keys of `training.extra` must be known to it."""
    known = TrainingArguments.__dataclass_fields__
    names = TrainingConfig.model_fields.keys() & known.keys() - {"gradient_checkpointing"}
    chosen = {name: getattr(config, name) for name in names}
    if config.gradient_checkpointing:  # renamed in later transformers
        checkpointing = (
            "activation_checkpointing" if "activation_checkpointing" in known else "gradient_checkpointing"
        )
        chosen |= {checkpointing: True, f"{checkpointing}_kwargs": {"use_reentrant": False}}
    own = _FIXED | {"output_dir": str(directory), "seed": seed, "data_seed": seed}
    own["use_cpu"] = device.type == "cpu"
    try:
        arguments = TrainingArguments(**own, **chosen, **config.extra)
    except (ValueError, TypeError) as error:
        raise BadInput(str(error), where="training", next="See transformers.TrainingArguments.") from None
    if arguments.n_gpu > 1:
        raise BadInput(
            f"{arguments.n_gpu} GPUs are visible to one process.",
            next="Use `accelerate launch`, or choose one with CUDA_VISIBLE_DEVICES=0.",
        )
    return arguments
