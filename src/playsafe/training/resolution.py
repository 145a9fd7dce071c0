"""Whether updates reach the weights: below half the distance to the next float an update is rounded away."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from playsafe.errors import CheckFailed

PER_TENSOR = 1024


class Sample:
    """Some weights of every tensor under training, evenly spaced, as they were."""

    def __init__(self, model: Any) -> None:
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._before = [_some(weight) for weight in self._weights]

    def moved(self, dtype: torch.dtype | None = None) -> float:
        """Share of them that is another number now; dtype: after both were rounded to it."""
        pairs = [(_some(w), before) for w, before in zip(self._weights, self._before, strict=True)]
        if dtype is not None:
            pairs = [(now.to(dtype), before.to(dtype)) for now, before in pairs]
        count = sum(len(before) for before in self._before)
        return round(sum(int((now != before).sum()) for now, before in pairs) / max(1, count), 4)

    def stepped(self) -> tuple[int, int]:
        """Of those that have a gradient: how many, and how many are another number now."""
        known = [(w, b) for w, b in zip(self._weights, self._before, strict=True) if w.grad is not None]
        graded = [(_some(w), before, _some(w.grad) != 0) for w, before in known]
        moved = sum(int(((now != before) & has).sum()) for now, before, has in graded)
        return sum(int(has.sum()) for _, _, has in graded), moved


class Resolution(TrainerCallback):
    """Stops where a step at the full learning rate does not move half of the weights that have a gradient."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._step: Sample | None = None
        self._done = False

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        rate = kwargs["optimizer"].param_groups[0]["lr"]
        if not self._done and rate >= args.learning_rate / 2:  # not at the foot of a warm-up
            self._step = Sample(self.model)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._step is None:
            return
        graded, moved = self._step.stepped()
        self._step, self._done = None, True
        if moved < graded / 2:
            raise CheckFailed(
                f"a step moved {moved} of {graded} sampled weights that have a gradient: the update is below "
                "the resolution of the weights.",
                where="training.learning_rate",
                next="Raise it, or train weights in float32 (training.lora: null keeps them so by itself).",
            )


def _some(weight: Tensor) -> Tensor:
    """Evenly spaced elements of a tensor, of its local part where it is sharded; a copy."""
    local = weight.detach()
    local = local.to_local() if hasattr(local, "to_local") else local
    flat = local.reshape(-1)
    return flat[:: max(1, len(flat) // PER_TENSOR)].clone()
