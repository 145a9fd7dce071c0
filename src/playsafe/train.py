"""One training run: the Trainer subclass, which knows no method by name, and the run around it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from playsafe import checks
from playsafe.arguments import check_settings, training_arguments
from playsafe.config import TrainingConfig
from playsafe.data.collate import Collator, Row
from playsafe.errors import BadInput
from playsafe.methods import Method
from playsafe.models.heads import check_head
from playsafe.models.policy import install
from playsafe.models.reference import AdapterOff, Bank, Reference, SecondModel
from playsafe.rundir import append_jsonl, is_writer, read_jsonl, write_jsonl

COMPLETE = "complete"  # written into a checkpoint directory when everything else in it is


class MethodTrainer(Trainer):
    """A Trainer whose loss is the method's: a sum of named terms, each over its own denominator.

    Denominators are counted over the whole optimiser step, all micro-batches and all ranks, before the
    first forward; the result does not depend on how a step is cut into micro-batches.
    """

    def __init__(
        self, *, factors: Mapping[str, float], on_log: Callable[[dict[str, float]], None], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        # The loss is already over the step's denominators: the Trainer must not divide it again.
        self.model_accepts_loss_kwargs = True
        self.factors, self.on_log = dict(factors), on_log
        self._sums: dict[str, Tensor] = {}
        self._weighted: set[str] = set()

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list[Any], Any]:
        batches, _ = super().get_batch_samples(*args, **kwargs)
        self._weighted = {t for t in self.factors if any(bool(b["weights"][t].any()) for b in batches)}
        counts = torch.stack(
            [sum((b["counts"][t].sum() for b in batches), torch.zeros(())) for t in self.factors]
        )
        counts = self.accelerator.reduce(counts.to(self.args.device), reduction="sum")
        return batches, counts

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        # Gradients are averaged over ranks; the counts are over all ranks: hence the factor.
        ranks = self.accelerator.num_processes
        scale = {
            term: factor * ranks / num_items_in_batch[i].clamp(min=1.0)
            for i, (term, factor) in enumerate(self.factors.items())
        }
        outputs = model(**inputs, scale=scale)
        for term, value in outputs.items():
            factor = self.factors.get(term, 1.0) or 1.0
            self._sums[term] = self._sums.get(term, torch.zeros((), device=value.device)) + value.detach() / (
                factor * ranks
            )
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def step_terms(self) -> tuple[dict[str, float], set[str]]:
        """Loss terms of the optimiser step just done, over all ranks, before their factors, and which of them
        any row of this rank carried weight for; resets them."""
        terms = {k: float(self.accelerator.reduce(v, reduction="sum")) for k, v in self._sums.items()}
        self._sums = {}
        return terms, self._weighted

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        super().log(logs, *args, **kwargs)
        if "grad_norm" in logs:
            self.on_log(
                {k: float(v) for k, v in logs.items() if k in ("grad_norm", "learning_rate", "epoch")}
            )


class _RunCallback(TrainerCallback):
    """Writes train.jsonl, watches the terms, marks checkpoints as complete, tells the progress bar."""

    def __init__(
        self,
        trainer_of: Callable[[], MethodTrainer],
        record: Callable[[int, dict[str, float], set[str]], None],
        flush: Callable[[], None],
    ) -> None:
        self.trainer_of, self.record, self.flush = trainer_of, record, flush

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.record(state.global_step, *self.trainer_of().step_terms())

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.flush()  # the log holds every step of a complete checkpoint
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()


def train(
    model: Any,
    method: Method,
    options: Any,
    rows: Sequence[Row],
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
    factors = method.factors(options)
    collator = Collator(pad_id, list(factors))
    checks.rows_train(rows, end_of_turn)
    device = model.device
    probe = torch.tensor([rows[0].sequences[0].ids], device=device)
    check_head(model, probe)
    weighted = any(any(s.weights.get("kl", ())) for row in rows for s in row.sequences)
    needs_reference = weighted and factors.get("kl", 0.0) > 0
    # Initial adapter weights, data order and dropout all follow from the run's seed.
    torch.manual_seed(seed)
    policy_model, reference = _policy(model, config, collator, rows, needs_reference, second_model, probe)
    install(policy_model, lambda view, batch, scale: method.loss(view, batch, scale, options), reference)

    log = directory / "train.jsonl"
    checkpoint = _last_complete(directory)
    done = int(checkpoint.name.split("-")[1]) if checkpoint else 0
    write_jsonl(log, [line for line in read_jsonl(log) if done and line["step"] <= done])
    exact = model.dtype == torch.float32 and not config.bf16
    watch = checks.TermWatch(expect_kl=needs_reference, exact=exact, started=done)
    pending: list[dict[str, Any]] = []

    arguments = training_arguments(config, directory, seed=seed, device=device)
    steps_total = 0

    def record(step: int, terms: dict[str, float], weighted: set[str]) -> None:
        watch(step, terms, weighted)
        pending.append({"step": step, **{k: round(v, 8) for k, v in terms.items()}})
        if gaps is not None and step % config.gap_steps == 0:
            pending[-1] |= gaps(policy_model)
        progress(step, steps_total)

    def on_log(values: dict[str, float]) -> None:
        if pending:
            pending[-1] |= values
        flush()

    def flush() -> None:
        append_jsonl(log, pending)
        pending.clear()

    trainer = MethodTrainer(
        model=policy_model,
        args=arguments,
        train_dataset=list(rows),
        data_collator=collator,
        factors=factors,
        on_log=on_log,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_RunCallback(lambda: trainer, record, flush))
    steps_total = _total_steps(trainer, arguments)
    if gaps is not None and done == 0:
        append_jsonl(log, [{"step": 0, **gaps(policy_model)}])
    before = checks.fingerprint(policy_model)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    flush()
    checks.weights_changed(before, policy_model, steps_total)
    out = directory / ("adapter" if config.lora else "model")
    del policy_model.forward  # the class's own forward again
    trainer.save_model(str(out))
    if trainer.is_world_process_zero():
        (out / "training_args.bin").unlink(missing_ok=True)  # a pickle; config.yaml says the same
        for left in directory.glob("checkpoint-*"):
            shutil.rmtree(left)
    if config.lora:
        policy_model.unload()  # `model` is the aligned model again
    model.eval()
    last = (read_jsonl(log) or [{}])[-1]
    return {
        "steps": trainer.state.global_step,
        "rows": len(rows),
        "reference": reference.name if reference else "none",
        "final": {k: last[k] for k in ("loss", *factors) if k in last},
    }


def _policy(
    model: Any,
    config: TrainingConfig,
    collator: Collator,
    rows: Sequence[Row],
    needs_reference: bool,
    second_model: Callable[[], Any] | None,
    probe: Tensor,
) -> tuple[Any, Reference | None]:
    """The model to train and its frozen reference."""
    kind = check_settings(config)
    reference: Reference | None = None
    if needs_reference and kind == "bank":
        size = config.per_device_train_batch_size
        batches = [collator(rows[i : i + size]) for i in range(0, len(rows), size)]
        with torch.autocast(model.device.type, torch.bfloat16, enabled=config.bf16):  # as in training
            reference = Bank(model, batches)
    elif needs_reference and kind == "model":
        assert second_model is not None, "reference 'model' needs a loader"
        reference = SecondModel(second_model())
    if not config.lora:
        return model.requires_grad_(True), reference
    from peft import LoraConfig, get_peft_model

    settings = config.lora.model_dump()
    original = checks.probe_logits(model, probe)
    try:
        wrapped: Any = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings))
    except ValueError as error:
        raise BadInput(f"{error}", where="training.lora") from None
    if kind == "adapter_off":
        checks.adapter_off_is_original(wrapped, probe, original)
        if needs_reference:
            reference = AdapterOff()
    if config.gradient_checkpointing:
        wrapped.enable_input_require_grads()
    return wrapped, reference


def _last_complete(directory: Path) -> Path | None:
    """The newest checkpoint that was written to its end; unfinished ones are removed."""
    found = []
    for path in directory.glob("checkpoint-*"):
        if (path / COMPLETE).exists():
            found.append(path)
        elif is_writer():
            shutil.rmtree(path)
    return max(found, key=lambda path: int(path.name.split("-")[1]), default=None)


def _total_steps(trainer: Trainer, arguments: TrainingArguments) -> int:
    if arguments.max_steps > 0:
        return arguments.max_steps
    per_epoch = math.ceil(len(trainer.get_train_dataloader()) / arguments.gradient_accumulation_steps)
    return math.ceil(per_epoch * arguments.num_train_epochs)
