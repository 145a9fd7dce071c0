"""Self-checks at the start of a run and during it. Each stops with one clear line when it does not hold."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from playsafe.data.collate import TrainRow
from playsafe.errors import CheckFailed


def rows_train(rows: Sequence[TrainRow], end_of_turn: int) -> None:
    """Every row trains at least one token, and the token that ends the turn is among them."""
    if not rows:
        raise CheckFailed("there is no row to train on.", where="training data")
    for row in rows:
        trained = [row.ids[t + 1] for t, w in enumerate(row.weights["ce"][:-1]) if w]
        if not trained:
            raise CheckFailed("the row trains no token.", where=f"training row {row.number}")
        if end_of_turn not in trained:
            raise CheckFailed(
                "the token that ends the turn is not trained; the model would not learn to stop.",
                where=f"training row {row.number}",
            )


def all_accounted(total: int, trained: int, dropped: int) -> None:
    """No row is lost without being reported."""
    if total != trained + dropped:
        raise CheckFailed(f"{total} rows came in, {trained} are trained and {dropped} reported as dropped.")


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
    """Watches the loss terms: all finite, KL 0 at the first step, KL no longer 0 afterwards."""

    def __init__(self, *, expect_kl: bool, dtype: torch.dtype, started: int) -> None:
        self.expect_kl, self.first = expect_kl, started + 1
        self.tolerance = 1e-4 if dtype == torch.float32 else 2e-2
        self.fresh = started == 0
        self.seen = 0  # steps with subset rows since the first
        self.moved = False

    def __call__(self, step: int, terms: dict[str, float]) -> None:
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        if bad:
            raise CheckFailed(
                f"the term {bad[0]!r} is {terms[bad[0]]} at step {step}.",
                next="Lower training.learning_rate; the last complete checkpoint is kept.",
            )
        kl = terms.get("kl", 0.0)
        if not self.expect_kl:
            return
        if step == 1 and self.fresh and abs(kl) > self.tolerance:
            raise CheckFailed(
                f"KL to the reference is {kl:.3g} before the first update; the reference is another model."
            )
        if step > 1:
            self.seen += 1
            self.moved = self.moved or abs(kl) > 0
            if self.seen >= 50 and not self.moved:
                raise CheckFailed(
                    "KL to the reference has stayed 0 for 50 steps; the safety term has no effect."
                )


@torch.no_grad()
def fingerprint(model: Any) -> str:
    """Hash of all trainable weights."""
    total = hashlib.sha256()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            total.update(name.encode())
            total.update(parameter.detach().double().sum().cpu().numpy().tobytes())
            total.update(parameter.detach().double().square().sum().cpu().numpy().tobytes())
    return total.hexdigest()


def weights_changed(before: str, model: Any, steps: int) -> None:
    """Training changed the weights."""
    if steps > 0 and fingerprint(model) == before:
        raise CheckFailed("training has not changed a single weight.", next="Check training.learning_rate.")
