"""Self-checks at the start of a run and during it. Each stops with one clear line when it does not hold."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from playsafe.data.rows import Example
from playsafe.errors import CheckFailed
from playsafe.models.integrity import fingerprint


def rows_train(examples: Sequence[Example], end_of_turn: int) -> None:
    """The first row of every example (of a pair: the safe reply) trains the token that ends the turn."""
    if not examples:
        raise CheckFailed("there is no row to train on.", where="training data")
    for row, *_ in examples:
        trained = [row.ids[t + 1] for t, mark in enumerate(row.marks["reply"][:-1]) if mark]
        if not trained:
            raise CheckFailed("the row trains no token.", where=f"training row {row.number}")
        if end_of_turn not in trained:
            raise CheckFailed(
                "the token that ends the turn is not trained; the model would not learn to stop.",
                where=f"training row {row.number}",
            )


@torch.no_grad()
def probe_logits(model: Any, ids_1T: Tensor) -> Tensor:
    return model(input_ids=ids_1T, attention_mask=torch.ones_like(ids_1T), use_cache=False).logits


def adapter_off_is_original(wrapped: Any, ids_1T: Tensor, original: Tensor) -> None:
    """The reference (adapter off, eval mode) equals the model before the adapter was added, bit for bit."""
    training = wrapped.training
    wrapped.eval()
    with wrapped.disable_adapter():
        off = probe_logits(wrapped, ids_1T)
    wrapped.train(training)
    error = (off - original).abs().max().item()
    if error != 0:
        raise CheckFailed(
            f"with the adapter off the model differs from the original by {error:.3g}; it is no reference.",
            where="training.lora",
            next="Use a LoRA initialisation that leaves the base weights alone, or reference: model.",
        )


class TermWatch:
    """Watches the loss terms: all finite; KL to the reference 0 at the first step and not ever after."""

    def __init__(self, *, compared: Collection[str], exact: bool, started: int, same: bool = True) -> None:
        """compared: terms that compare with the reference and see a row. exact: float32 throughout. started:
        steps done before (a resumed run). same: whether the model begins as the reference."""
        self.tolerance = 1e-4 if exact else 2e-2
        self.fresh = started == 0 and same
        self.still = dict.fromkeys(compared, 0)  # steps with such rows after the first update, KL always 0

    def __call__(self, step: int, terms: dict[str, float], weighted: set[str]) -> None:
        """terms: the step's loss terms. weighted: those that some row carried weight for."""
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        if bad:
            raise CheckFailed(
                f"the term {bad[0]!r} is {terms[bad[0]]} at step {step}.",
                next="Lower training.learning_rate; the last complete checkpoint is kept.",
            )
        for name in [*self.still]:
            size = abs(terms.get(name, 0.0))
            if step == 1 and self.fresh and size > self.tolerance:
                raise CheckFailed(
                    f"the term {name!r} is {size:.3g} before the first update: not the reference."
                )
            if step > 1 and size > 0:
                del self.still[name]
            elif step > 1 and name in weighted:
                self.still[name] += 1
                if self.still[name] >= 10:
                    raise CheckFailed(f"the term {name!r} has stayed 0 in 10 steps with rows of it.")


def drops(model: Any) -> bool:
    """Whether the model itself drops activations while it is trained; an adapter's dropout changes nothing
    before the first update."""
    for name, module in model.named_modules():
        if "lora_dropout" not in name:
            own = [module.p] if isinstance(module, torch.nn.Dropout) else []
            own += [value for key, value in vars(module).items() if key.endswith(("dropout", "pdrop"))]
            if any(isinstance(p, float) and p > 0 for p in own):
                return True
    return False


def trained(model: Any) -> list[tuple[str, Tensor]]:
    """The weights under training, by name."""
    return [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]


def weights_changed(before: str, model: Any, steps: int) -> None:
    """Training changed the weights. before: their fingerprint."""
    if steps > 0 and fingerprint(trained(model)) == before:
        raise CheckFailed("training has not changed a single weight.", next="Check training.learning_rate.")
