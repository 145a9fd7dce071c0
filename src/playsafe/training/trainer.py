"""The Trainer subclass, which knows no method by name, and what is written down while it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainerCallback

from playsafe.rundir import append_jsonl, read_jsonl, refuse_vanished, seals, write_json, write_jsonl
from playsafe.terms import Loss
from playsafe.training.checks import TermWatch

COMPLETE = "complete.json"  # written into a checkpoint when everything else is: the seals of its files
LOGGED = ("grad_norm", "learning_rate", "epoch")


class MethodTrainer(Trainer):
    """A Trainer whose loss is the method's: a sum of named terms, each over its own denominator.

    Denominators are counted over the whole optimiser step, all micro-batches and all ranks, before the
    first forward; the result does not depend on how a step is cut into micro-batches.
    """

    def __init__(self, *, loss: Loss, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # The loss is already over the step's denominators: the Trainer must not divide it again.
        self.model_accepts_loss_kwargs = True
        self.weights = {term.name: term.weight for term in loss}
        self._sums: dict[str, Tensor] = {}
        self._weighted: set[str] = set()

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list[Any], Any]:
        batches, _ = super().get_batch_samples(*args, **kwargs)
        self._weighted = {t for t in self.weights if any(bool(b["weights"][t].any()) for b in batches)}
        counts = torch.stack(
            [sum((b["counts"][t].sum() for b in batches), torch.zeros(())) for t in self.weights]
        )
        counts = self.accelerator.reduce(counts.to(self.args.device), reduction="sum")
        return batches, counts

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        # Gradients are averaged over ranks; the counts are over all ranks: hence the factor.
        ranks = self.accelerator.num_processes
        scale = {
            term: weight * ranks / num_items_in_batch[i].clamp(min=1.0)
            for i, (term, weight) in enumerate(self.weights.items())
        }
        outputs = model(**inputs, scale=scale)
        for term, value in outputs.items():
            weight = self.weights.get(term, 1.0) or 1.0
            before = self._sums.get(term, torch.zeros((), device=value.device))
            self._sums[term] = before + value.detach() / (weight * ranks)
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def step_terms(self) -> tuple[dict[str, float], set[str]]:
        """Loss terms of the optimiser step just done, over all ranks, before their weights, and which of them
        any row of this rank carried weight for; resets them."""
        terms = {k: float(self.accelerator.reduce(v, reduction="sum")) for k, v in self._sums.items()}
        self._sums = {}
        return terms, self._weighted


class StepLog(TrainerCallback):
    """train.jsonl, a line an optimiser step; watches the terms, marks checkpoints as complete."""

    def __init__(
        self,
        path: Path,
        done: int,
        watch: TermWatch,
        progress: Callable[[int, int], None],
        probe: Callable[[], dict[str, float]] | None,
        every: int,
    ) -> None:
        """done: steps of the checkpoint that training goes on from; later lines are cut. probe: measures
        something of the model before the first and after `every` steps."""
        self.path, self.watch, self.progress, self.probe, self.every = path, watch, progress, probe, every
        self.step_terms: Callable[[], tuple[dict[str, float], set[str]]] = lambda: ({}, set())
        self.pending: list[dict[str, Any]] = []
        write_jsonl(path, [line for line in read_jsonl(path) if done and line["step"] <= done])
        if probe is not None and done == 0:
            append_jsonl(path, [{"step": 0, **probe()}])

    def follow(self, trainer: MethodTrainer) -> None:
        """Log this trainer's steps, instead of its own printing."""
        self.step_terms = trainer.step_terms
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(self)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        refuse_vanished(self.path)  # else a checkpoint would be written into a new directory
        terms, weighted = self.step_terms()
        self.watch(state.global_step, terms, weighted)
        self.pending.append({"step": state.global_step, **{k: round(v, 8) for k, v in terms.items()}})
        if self.probe is not None and state.global_step % self.every == 0:
            self.pending[-1] |= self.probe()
        self.progress(state.global_step, state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "grad_norm" in (logs or {}):
            if self.pending:
                self.pending[-1] |= {k: float(v) for k, v in logs.items() if k in LOGGED}
            self.flush()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.flush()  # the log holds every step of a complete checkpoint
        if state.is_world_process_zero:
            place = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            files = [f.relative_to(place).as_posix() for f in place.rglob("*") if f.is_file()]
            write_json(place / COMPLETE, seals(place, files))

    def last(self, *names: str) -> dict[str, float]:
        """The terms of the last step."""
        line = (read_jsonl(self.path) or [{}])[-1]
        return {name: line[name] for name in names if name in line}

    def flush(self) -> None:
        append_jsonl(self.path, self.pending)
        self.pending.clear()
