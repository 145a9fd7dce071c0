"""From a study's settings to `transformers.TrainingArguments`, or to a clear refusal."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainingArguments
from transformers.integrations import get_reporting_integration_callbacks
from transformers.optimization import get_scheduler

from playsafe.config import TrainingConfig
from playsafe.errors import BadInput, nearest
from playsafe.models.adapters import changes_base, refuse_base_changing
from playsafe.rundir import ranks

CONVERTED = ("pissa", "olora")  # adapters that are saved as what they add to the unchanged base
_FIXED: dict[str, Any] = {
    "remove_unused_columns": False,
    "save_strategy": "steps",
    "save_total_limit": 2,
    "logging_strategy": "steps",
    "logging_nan_inf_filter": False,
    "disable_tqdm": True,
    "label_names": [],
}
Needs = tuple[Callable[[TrainingConfig], Any], str] | None
_ADAM: Needs = (lambda c: "adam" in c.optim or "lion" in c.optim, "an optimiser of Adam's kind")
_WORKERS: Needs = (lambda c: c.extra.get("dataloader_num_workers"), "dataloader_num_workers")
_COMPILED: Needs = (lambda c: c.extra.get("torch_compile"), "torch_compile")
_PLAIN_OPTIMISERS = ("adamw_torch", "adamw_torch_fused", "sgd", "adagrad", "adafactor")
EXTRA: dict[str, Needs] = {  # keys of TrainingArguments that are passed on, and what they need to matter
    "adam_beta1": _ADAM,
    "adam_beta2": _ADAM,
    "adam_epsilon": _ADAM,
    "optim_args": (lambda c: c.optim not in _PLAIN_OPTIMISERS, "an optimiser that takes them"),
    "optim_target_modules": (lambda c: c.optim.startswith(("galore", "apollo")), "galore or apollo"),
    "lr_scheduler_kwargs": (lambda c: not c.lr_scheduler_type.startswith("constant"), "another schedule"),
    "neftune_noise_alpha": None,
    "dataloader_drop_last": None,
    "dataloader_num_workers": None,
    "dataloader_pin_memory": None,
    "dataloader_persistent_workers": _WORKERS,
    "dataloader_prefetch_factor": _WORKERS,
    "ddp_backend": None,
    "ddp_broadcast_buffers": None,
    "ddp_bucket_cap_mb": None,
    "ddp_find_unused_parameters": None,
    "ddp_static_graph": None,
    "ddp_timeout": None,
    "fsdp": (lambda c: ranks()[1] > 1, "several processes (accelerate launch)"),
    "fsdp_config": (lambda c: c.extra.get("fsdp"), "fsdp"),
    "deepspeed": None,
    "accelerator_config": None,
    "parallelism_config": None,
    "fp16": None,
    "tf32": None,
    "full_determinism": None,
    "torch_empty_cache_steps": None,
    "torch_compile": None,
    "torch_compile_backend": _COMPILED,
    "torch_compile_mode": _COMPILED,
    "use_liger_kernel": (lambda c: find_spec("liger_kernel"), "the library liger-kernel, which is not here"),
    "liger_kernel_config": (lambda c: c.extra.get("use_liger_kernel"), "use_liger_kernel"),
    "run_name": (lambda c: c.report_to, "report_to"),
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
    init = config.lora and config.lora.init_lora_weights
    if changes_base(init) and not str(init).lower().startswith(CONVERTED):
        raise BadInput(
            f"init_lora_weights={init!r} changes the base weights and cannot be told from them afterwards.",
            where="training.lora.init_lora_weights",
            allowed="true, 'gaussian', 'orthogonal'; 'pissa' and 'olora' with reference bank or model",
        )
    if config.lora and "lm_head" in config.lora.target_modules:
        raise BadInput(
            "LoRA on lm_head is not supported: the loss works on the head's own weight.",
            where="training.lora.target_modules",
            next="Remove lm_head from the list.",
        )
    for key in config.extra:
        _check_extra(key, config)
    return kind


def _check_extra(key: str, config: TrainingConfig) -> None:
    """Refuse a key of `training.extra` that is unknown, ours, or without effect here."""
    known = TrainingArguments.__dataclass_fields__
    where = f"training.extra.{key}"
    if key not in known:
        raise BadInput(f"unknown key {key!r}. {nearest(key, known)}", where="training.extra")
    if key in TrainingConfig.model_fields or key in _OWN_ARGUMENTS:
        raise BadInput(
            "the key is set by playsafe.", where=where, next="Set it under training, where it is a key."
        )
    if key not in EXTRA:
        raise BadInput(
            "the key has no effect on these trainings, or would undo what they promise.",
            where=where,
            allowed=", ".join(EXTRA),
        )
    needed = EXTRA[key]
    if needed is not None and not needed[0](config):
        raise BadInput(f"the key has no effect without {needed[1]}.", where=where, next="Remove the key.")


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
    except Exception as error:  # it reads files and libraries that the keys name
        raise BadInput(
            f"{error}" or type(error).__name__, where="training", next="See transformers.TrainingArguments."
        ) from None
    _try_out(arguments)
    if arguments.n_gpu > 1:
        raise BadInput(
            f"{arguments.n_gpu} GPUs are visible to one process.",
            next="Use `accelerate launch`, or choose one with CUDA_VISIBLE_DEVICES=0.",
        )
    return arguments


def _try_out(arguments: TrainingArguments) -> None:
    """Make optimiser, schedule and reporters once: a missing library or setting shows before any work."""
    dummy: Any = torch.nn.Linear(1, 1)
    schedule: Any = arguments.lr_scheduler_kwargs or {}
    try:
        for make in get_reporting_integration_callbacks(arguments.report_to):
            make()
        if not arguments.optim_target_modules:  # those choose among the modules of the real model
            Trainer.get_optimizer_cls_and_kwargs(arguments, dummy)
        get_scheduler(
            arguments.lr_scheduler_type,
            torch.optim.SGD(dummy.parameters(), lr=arguments.learning_rate),
            num_warmup_steps=arguments.get_warmup_steps(10),
            num_training_steps=10,
            scheduler_specific_kwargs=dict(schedule),
        )
    except (ImportError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise BadInput(
            " ".join(str(error).split()) or type(error).__name__,
            where="training (optim, lr_scheduler_type, report_to, extra)",
            next="See transformers.TrainingArguments.",
        ) from None
