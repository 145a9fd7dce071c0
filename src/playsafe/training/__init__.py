"""One training run: from rows to weights on disk, whatever the method."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from playsafe.config import LoraSettings, TrainingConfig
from playsafe.data.rows import Collator, Example
from playsafe.errors import BadInput
from playsafe.methods import Method, loss_of
from playsafe.models.adapters import changes_base, refuse_endless
from playsafe.models.heads import check_head, refuse_on_head
from playsafe.models.integrity import fingerprint, refuse_infinite
from playsafe.models.policy import install
from playsafe.models.reference import AdapterOff, Bank, Reference, SecondModel
from playsafe.rundir import broken_seals, intact, is_writer
from playsafe.terms import REFERENCE, Loss
from playsafe.training import checks
from playsafe.training.arguments import check_settings, training_arguments
from playsafe.training.resolution import Resolution, Sample
from playsafe.training.trainer import COMPLETE, MethodTrainer, StepLog

INITIAL = "initial"  # an adapter as it was made, where that changed the base


def train(
    model: Any,
    method: Method,
    options: Any,
    examples: Sequence[Example],
    config: TrainingConfig,
    directory: Path,
    *,
    seed: int,
    pad_id: int,
    end_of_turn: int,
    second_model: Callable[[], Any] | None = None,
    gaps: Callable[[Any], dict[str, float]] | None = None,
    progress: Callable[[int, int], None] = lambda step, total: None,
) -> dict[str, Any]:
    """Train `model`, the untouched aligned model, into `directory`/adapter or /model; returns what was done.

    Goes on from the last complete checkpoint. With LoRA the model is handed back without its adapter, with
    full fine-tuning it is trained in place. second_model: loads a frozen copy, for reference "model".
    gaps: measures reward gaps before the first and after every `config.gap_steps`-th step, for train.jsonl.
    Raises BadInput for settings that cannot work and CheckFailed where a self-check does not hold.
    """
    checks.rows_train(examples, end_of_turn)
    config, stored = masters(model, config)
    present = {row.stream.partition(".")[0] for example in examples for row in example}
    loss = loss_of(method, options).on(*present)
    collator, compared = Collator(pad_id, loss), _compared(loss, examples)
    probe = torch.tensor([examples[0][0].ids], device=model.device)
    check_head(model, probe)
    # Initial adapter weights, data order and dropout all follow from the run's seed.
    torch.manual_seed(seed)
    policy_model, reference = _policy(model, config, collator, examples, compared, second_model, probe)
    if config.lora and changes_base(config.lora.init_lora_weights):
        policy_model.save_pretrained(str(directory / INITIAL))  # what is learned is the difference to this
    method.prepare(policy_model, options)
    install(policy_model, loss, partial(method.step, options=options), reference)
    checkpoint, done = _last_complete(directory)
    exact = model.dtype == torch.float32 and not config.bf16
    # a model that drops activations is another one at each step, the first among them
    same = not checks.drops(policy_model)
    watch = checks.TermWatch(compared=compared, exact=exact, started=done, same=same)
    measure = partial(gaps, policy_model) if gaps is not None else None
    log = StepLog(directory / "train.jsonl", done, watch, progress, measure, config.gap_steps)
    trainer = MethodTrainer(
        model=policy_model,
        args=training_arguments(config, directory, seed=seed, device=model.device),
        train_dataset=list(examples),
        data_collator=collator,
        loss=loss,
    )
    log.follow(trainer)
    before, sample = fingerprint(checks.trained(policy_model)), Sample(policy_model)
    trainer.add_callback(Resolution(policy_model))
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    log.flush()
    checks.weights_changed(before, policy_model, trainer.state.max_steps)
    del policy_model.forward  # the class's own forward again
    method.finish(policy_model, options)
    refuse_infinite(checks.trained(policy_model), "the trained weights")
    moved = {"trained": sample.moved()}
    if not config.lora:
        moved["stored"] = sample.moved(stored)
        if moved["stored"] >= moved["trained"] / 2:
            model.to(stored)  # else most of what was learned would be lost in rounding
    _save(trainer, directory, "adapter" if config.lora else "model")
    if config.lora:
        policy_model.unload()  # `model` is the aligned model again, unless the adapter began by changing it
    model.eval()
    final = log.last("loss", *(term.name for term in loss))
    about = {"rows": len(examples), "reference": reference.name if reference else "none", "final": final}
    return {"steps": trainer.state.global_step, "moved": moved, "dtype": str(model.dtype), **about}


def masters(model: Any, config: TrainingConfig) -> tuple[TrainingConfig, torch.dtype]:
    """Weights under full fine-tuning are kept in float32 and computed with in bfloat16 where they came in it:
    an update of a bfloat16 weight below 1/256 of it is lost. Returns the dtype that they came in.

    (PEFT keeps adapters in float32 by itself.)
    """
    stored = model.dtype
    if config.lora is None and stored != torch.float32:
        model.float()
        config = config.model_copy(update={"bf16": config.bf16 or stored == torch.bfloat16})
    return config, stored


def _compared(loss: Loss, examples: Sequence[Example]) -> list[str]:
    """The terms that compare some row with the reference."""
    rows = [row for example in examples for row in example]
    terms = loss.needing(REFERENCE)
    return [t.name for t in terms if any(marks is not None and any(marks) for marks in map(t.marks, rows))]


def _policy(
    model: Any,
    config: TrainingConfig,
    collator: Collator,
    examples: Sequence[Example],
    compared: Sequence[str],
    second_model: Callable[[], Any] | None,
    probe: Tensor,
) -> tuple[Any, Reference | None]:
    """The model to train and, where terms are compared with it, its frozen reference."""
    kind = check_settings(config)
    reference: Reference | None = None
    if compared and kind == "bank":
        size = config.per_device_train_batch_size
        batches = [collator(examples[i : i + size]) for i in range(0, len(examples), size)]
        with torch.autocast(model.device.type, torch.bfloat16, enabled=config.bf16):  # as in training
            reference = Bank(model, batches, compared)
    elif compared and kind == "model":
        assert second_model is not None, "reference 'model' needs a loader"
        reference = SecondModel(second_model())
    if not config.lora:
        return model.requires_grad_(True), reference
    original = checks.probe_logits(model, probe)
    wrapped = _adapted(model, config.lora)
    if kind == "adapter_off":
        checks.adapter_off_is_original(wrapped, probe, original)
        if compared:
            reference = AdapterOff()
    if config.gradient_checkpointing:
        wrapped.enable_input_require_grads()
    return wrapped, reference


def check_lora(model: Any, settings: LoraSettings) -> None:
    """Refuse an adapter that the model has no place for: on a twin without weights, before any work."""
    with torch.device("meta"):
        twin = type(model)(model.config)
    _adapted(twin, settings.model_copy(update={"init_lora_weights": True}))


def _adapted(model: Any, lora: LoraSettings) -> Any:
    """The model with a new adapter. Raises BadInput where there is no place for it."""
    from peft import LoraConfig, get_peft_model

    settings = lora.model_dump()
    refuse_endless(settings, [name for name, _ in model.named_modules()], "training.lora")
    try:
        wrapped: Any = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings))
    except (ValueError, TypeError, KeyError) as error:
        raise BadInput(f"{error}", where="training.lora") from None
    refuse_on_head(wrapped)
    return wrapped


def _last_complete(directory: Path) -> tuple[Path | None, int]:
    """The newest checkpoint with everything that was written into it (weights, optimiser, schedule, random
    state), and its step; others are removed: training that went on from them would be another."""
    found: list[tuple[int, Path]] = []
    for path in _checkpoints(directory):
        sealed = intact(path / COMPLETE)
        if sealed and not broken_seals(path, sealed):
            found.append((int(path.name.split("-")[1]), path))
        elif is_writer():
            shutil.rmtree(path)
    step, newest = max(found, default=(0, None))
    return newest, step


def _save(trainer: MethodTrainer, directory: Path, name: str) -> None:
    """The weights; checkpoints are not needed any more."""
    if (directory / INITIAL).exists():
        adapted: Any = trainer.model
        convert = {"path_initial_model_for_weight_conversion": str(directory / INITIAL)}
        adapted.save_pretrained(str(directory / name), **convert)
        shutil.rmtree(directory / INITIAL)
    else:
        trainer.save_model(str(directory / name))
    if trainer.is_world_process_zero():
        # a pickle; config.yaml says the same
        (directory / name / "training_args.bin").unlink(missing_ok=True)
        for left in _checkpoints(directory):
            shutil.rmtree(left)


def _checkpoints(directory: Path) -> list[Path]:
    found = directory.glob("checkpoint-*")
    return [path for path in found if path.name.removeprefix("checkpoint-").isdecimal()]
