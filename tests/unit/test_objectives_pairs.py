"""Losses on preference pairs: by hand, and against TRL's trainers."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from conftest import random_model
from playsafe import methods
from playsafe.data.chat import Rendered
from playsafe.data.rows import Collator
from playsafe.errors import BadInput
from playsafe.methods import loss_of
from playsafe.models.policy import Policy
from playsafe.objectives import (
    dpo,
    gap_matching,
    ipo,
    kto,
    orpo,
    pooled,
    pooling_weights,
    reply_logprob,
    retention,
    reward_gap,
    simpo,
    trained_logprob,
)
from playsafe.streams._frozen import RenderedPair
from playsafe.streams.pairs import pair_examples


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_reward_gap_by_hand() -> None:
    # −6 nats over 3 tokens and −10 over 2; −1 over 4 and −2 over 1
    gap = reward_gap(t(-6, -1), t(3, 4), t(-10, -2), t(2, 1))
    assert gap.tolist() == [3.0, 1.75]
    with pytest.raises(BadInput, match="0"):
        reward_gap(t(-6), t(0), t(-10), t(2))


def test_gap_matching_by_hand() -> None:
    loss = gap_matching(t(3, 1.75), t(2, 2), beta=1.5)
    assert loss.tolist() == pytest.approx([(4.5 - 2) ** 2, (2.625 - 2) ** 2])
    # the aim of the target is RG_ref / β
    assert gap_matching(t(2 / 1.5), t(2), beta=1.5).item() == pytest.approx(0, abs=1e-15)


def test_gap_matching_gradient_is_the_papers() -> None:
    """∂L1/∂RG = 2 β w with w = β·RG_θ − RG_ref."""
    gap = t(0.3, -0.2).requires_grad_()
    gap_matching(gap, t(1.0, 1.0), beta=1.5).sum().backward()
    assert gap.grad is not None
    assert gap.grad.tolist() == pytest.approx([2 * 1.5 * (0.45 - 1), 2 * 1.5 * (-0.3 - 1)])


def test_pooling_by_hand() -> None:
    hidden = torch.arange(12.0).reshape(1, 4, 3)  # rows 0..2, 3..5, 6..8, 9..11
    attention = torch.tensor([[1, 1, 1, 0]])
    expected = {"last": [6, 7, 8], "mean": [3, 4, 5], "released": [4.5, 5.5, 6.5]}
    for pooling, vector in expected.items():
        weights = pooling_weights(attention, pooling)  # type: ignore[arg-type]
        assert weights.sum().item() == pytest.approx(1)
        assert pooled(hidden, weights)[0].tolist() == vector


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_pooling_knows_no_padding(pooling: Any) -> None:
    hidden = torch.randn(1, 5, 8)
    plain = pooled(hidden, pooling_weights(torch.ones(1, 5), pooling))
    for left, right in ((2, 0), (0, 3), (2, 3)):
        padded = torch.nn.functional.pad(hidden, (0, 0, left, right), value=99.0)
        attention = torch.nn.functional.pad(torch.ones(1, 5), (left, right))
        torch.testing.assert_close(pooled(padded, pooling_weights(attention, pooling)), plain)


def test_retention_by_hand() -> None:
    h, ref = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([[1.0, 0.0, 0.0, 4.0]])
    assert retention(h, ref, "sum").tolist() == [13.0]
    assert retention(h, ref, "mean").tolist() == [3.25]


def test_alternatives_by_hand() -> None:
    # chosen −4 (2 tokens), rejected −6 (3); reference −5 and −5: log-ratios +1 and −1
    c, r, rc, rr = t(-4), t(-6), t(-5), t(-5)
    assert dpo(c, r, rc, rr, beta=0.5).item() == pytest.approx(-math.log(sigmoid(0.5 * 2)))
    assert ipo(c, t(2), r, t(3), rc, rr, beta=0.1).item() == pytest.approx((1 / 2 + 1 / 3 - 5) ** 2)
    assert simpo(t(0.5), beta=2.0, gamma=1.0).item() == pytest.approx(-math.log(sigmoid(0.0)))
    a, b = math.log(0.8), math.log(0.2)  # odds 4 and 1/4
    assert orpo(t(a), t(b)).item() == pytest.approx(-math.log(sigmoid(math.log(16))))
    sure = torch.zeros(1, requires_grad=True)  # a reply that is certain has infinite odds
    orpo(sure, t(-1.0).float()).sum().backward()
    assert sure.grad is not None
    assert torch.isfinite(sure.grad).all()
    z = 0.4
    expected = 1 - sigmoid(0.5 * (1 - z)) + 1 - sigmoid(0.5 * (z + 1))
    assert kto(c, r, rc, rr, beta=0.5, z=z).item() == pytest.approx(expected)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_trained_logprob_is_reply_logprob_with_a_graph(family: str) -> None:
    softcap = 5.0 if family == "gemma2" else None
    hidden, weight = torch.randn(40, 8, dtype=torch.float64), torch.randn(50, 8, dtype=torch.float64)
    target = torch.randint(0, 50, (40,))
    hidden.requires_grad_(), weight.requires_grad_()
    logp = trained_logprob(hidden, weight, target, softcap=softcap, chunk=7)
    torch.testing.assert_close(
        logp.detach(), reply_logprob(hidden.detach(), weight.detach(), target, softcap=softcap)
    )
    outer = torch.randn(40, dtype=torch.float64)
    grads = torch.autograd.grad((logp * outer).sum(), (hidden, weight))
    z = hidden @ weight.T
    z = softcap * torch.tanh(z / softcap) if softcap else z
    plain = (z.log_softmax(-1).gather(1, target[:, None])[:, 0] * outer).sum()
    for ours, theirs in zip(grads, torch.autograd.grad(plain, (hidden, weight)), strict=True):
        torch.testing.assert_close(ours, theirs)


# --- TRL as an oracle --------------------------------------------------------------------------------------


def _method_loss(name: str, options: Any, policy: Any, rows: Any) -> float:
    method = methods.get(name)
    loss = loss_of(method, options)
    scale = {term.name: torch.tensor(term.weight / len(rows)) for term in loss}
    found = Policy(policy, loss, None).value(Collator(2, loss)(rows), scale)
    return found.terms[name].item()


def _pairs() -> list[RenderedPair]:
    generator = torch.Generator().manual_seed(3)

    def reply(prompt: list[int], tokens: int) -> Rendered:
        ids = [*prompt, *torch.randint(3, 320, (tokens,), generator=generator).tolist(), 1]
        return Rendered(tuple(ids), tuple(i >= len(prompt) for i in range(len(ids))))

    found = []
    for number in range(4):
        prompt = torch.randint(3, 320, (4 + number,), generator=generator).tolist()
        four = [reply(prompt, tokens) for tokens in (3 + number, 7 - number, 4, 5)]
        found.append(RenderedPair(*four))
    return found


def _frozen_and_moved() -> tuple[Any, Any]:
    frozen = random_model("llama")
    moved = copy.deepcopy(frozen)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return frozen, moved


@pytest.mark.slow
@pytest.mark.parametrize(("name", "theirs"), [("dpo", "sigmoid"), ("ipo", "ipo"), ("kto", "apo_zero")])
def test_equal_to_trls_dpo_trainer(tmp_path: Path, name: str, theirs: str) -> None:
    """TRL's own batch, masks, forwards and loss, in float32; its "apo_zero" is KTO with z = 0."""
    datasets, trl = pytest.importorskip("datasets"), pytest.importorskip("trl")
    from transformers import AutoTokenizer

    from playsafe.tiny import MODEL_DIR

    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    frozen, moved = _frozen_and_moved()
    pairs = _pairs()
    arguments = trl.DPOConfig(
        output_dir=str(tmp_path), loss_type=[theirs], beta=0.3, use_cpu=True, report_to=[], bf16=False
    )
    texts = [{"prompt": "a", "chosen": "b", "rejected": "c"}]
    trainer = trl.DPOTrainer(
        model=copy.deepcopy(moved),
        ref_model=copy.deepcopy(frozen),
        args=arguments,
        train_dataset=datasets.Dataset.from_list(texts),
        processing_class=tokenizer,
    )
    replies = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
    width = max(len(reply.ids) for reply in replies)

    def padded(rows: list[Any]) -> torch.Tensor:
        return torch.tensor([[*row, *([0] * (width - len(row)))] for row in rows])

    batch = {
        "input_ids": padded([reply.ids for reply in replies]),
        "attention_mask": padded([[1] * len(reply.ids) for reply in replies]),
        "completion_mask": padded([[int(m) for m in reply.reply_mask] for reply in replies]),
    }
    trainer.model.eval()
    expected = trainer._compute_loss(trainer.model, batch, False).item()
    method = methods.get(name)
    options = method.Options(beta=0.3)
    rows = pair_examples(frozen, pairs, None, first=0, pad_id=2, bf16=False, cache=tmp_path, identity="x")
    assert _method_loss(name, options, moved, rows) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_equal_to_trls_simpo_and_orpo(tmp_path: Path) -> None:
    """TRL's log-probabilities and losses of its CPO and ORPO trainers, in float32."""
    cpo = pytest.importorskip("trl.experimental.cpo").CPOTrainer
    odds = pytest.importorskip("trl.experimental.orpo").ORPOTrainer
    frozen, moved = _frozen_and_moved()
    pairs = _pairs()

    def means(which: str) -> torch.Tensor:
        found = []
        for pair in pairs:
            reply = getattr(pair, which)
            ids = torch.tensor([reply.ids])
            labels = torch.where(torch.tensor([reply.reply_mask]), ids, -100)
            with torch.no_grad():
                found.append(cpo.get_batch_logps(moved(ids).logits, labels, average_log_prob=True))
        return torch.cat(found)

    chosen, rejected = means("chosen"), means("rejected")
    self = SimpleNamespace(
        alpha=0.0,
        beta=2.0,
        simpo_gamma=0.7,
        loss_type="simpo",
        label_smoothing=0.0,
        accelerator=SimpleNamespace(device="cpu"),
    )
    expected = {
        "simpo": cpo.cpo_loss(self, chosen, rejected)[0].mean().item(),
        "orpo": -odds.odds_ratio_loss(SimpleNamespace(**vars(self) | {"beta": 1.0}), chosen, rejected)[0]
        .mean()
        .item(),
    }
    for name, more in (("simpo", {"beta": 2.0, "gamma": 0.7}), ("orpo", {"weight": 1.0})):
        method = methods.get(name)
        options = method.Options(**more)
        rows = pair_examples(frozen, pairs, None, first=0, pad_id=2, bf16=False, cache=tmp_path, identity="x")
        assert _method_loss(name, options, moved, rows) == pytest.approx(expected[name], abs=1e-5)
