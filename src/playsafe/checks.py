"""Self-checks at the start of a run and during it. Each stops with one clear line when it does not hold."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from playsafe.data.chat import Rendered
from playsafe.data.collate import PairRow, Row
from playsafe.errors import BadInput, CheckFailed


def rows_train(rows: Sequence[Row], end_of_turn: int) -> None:
    """Every row, and the safe reply of every pair, trains the token that ends the turn."""
    if not rows:
        raise CheckFailed("there is no row to train on.", where="training data")
    for row in rows:
        first = row.sequences[0]  # of a pair: the safe reply
        terms = first.weights.values() if isinstance(row, PairRow) else [first.weights.get("ce", ())]
        trained = [first.ids[t + 1] for weights in terms for t, w in enumerate(weights[:-1]) if w]
        if not trained:
            raise CheckFailed("the row trains no token.", where=f"training row {row.number}")
        if end_of_turn not in trained:
            raise CheckFailed(
                "the token that ends the turn is not trained; the model would not learn to stop.",
                where=f"training row {row.number}",
            )


def model_can_read(model: Any, rows: Sequence[Rendered], where: str) -> None:
    """Refuse rows that are longer than the model's positions."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    longest = max((len(row.ids) for row in rows), default=0)
    if limit and longest > limit:
        raise BadInput(
            f"a row has {longest} tokens under the role prompt; the model reads {limit}.",
            where=where,
            next="Lower data.max_length and set data.overlong to drop or truncate.",
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

    def __init__(self, *, expect_kl: bool, exact: bool, started: int) -> None:
        """exact: float32 throughout. started: steps done before (a resumed run)."""
        self.expect_kl = expect_kl
        self.tolerance = 1e-4 if exact else 2e-2
        self.fresh = started == 0
        self.seen = 0  # steps with subset rows after the first update
        self.moved = False

    def __call__(self, step: int, terms: dict[str, float], weighted: set[str]) -> None:
        """terms: the step's loss terms. weighted: those that some row carried weight for."""
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
        if step > 1 and "kl" in weighted:
            self.seen += 1
            self.moved = self.moved or abs(kl) > 0
            if self.seen >= 10 and not self.moved:
                raise CheckFailed("KL to the reference has stayed 0 in 10 steps with subset rows.")


@torch.no_grad()
def fingerprint(model: Any) -> str:
    """Hash of all trainable weights."""
    total = hashlib.sha256()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            total.update(name.encode())
            whole = parameter.detach()
            whole = whole.full_tensor() if hasattr(whole, "full_tensor") else whole  # sharded by FSDP2
            total.update(whole.double().sum().cpu().numpy().tobytes())
            total.update(whole.double().square().sum().cpu().numpy().tobytes())
    return total.hexdigest()


def weights_changed(before: str, model: Any, steps: int) -> None:
    """Training changed the weights."""
    if steps > 0 and fingerprint(model) == before:
        raise CheckFailed("training has not changed a single weight.", next="Check training.learning_rate.")
