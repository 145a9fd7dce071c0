"""Every training method, found by enumeration."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from conftest import ROOT, random_model
from playsafe import methods
from playsafe.data.chat import Rendered
from playsafe.data.rows import Collator, Example, Row
from playsafe.methods import Scored, loss_of
from playsafe.models.policy import Policy
from playsafe.models.reference import SecondModel
from playsafe.streams import of_loss
from playsafe.streams._frozen import RenderedPair
from playsafe.streams.pairs import pair_examples
from playsafe.terms import HeldTerm, Loss, PairTerm

NAMES = methods.names()
IDS = [f"r{i}" for i in range(6)]
SCORED = Scored({i: n / 3 - 1.0 for n, i in enumerate(IDS)}, 0.0)
MARKS = {"reply": [0.0, 1.0, 1.0, 1.0, 0.0]}


def test_the_folder_is_the_registry() -> None:
    files = {path.stem for path in (ROOT / "src" / "playsafe" / "methods").glob("[!_]*.py")}
    assert set(NAMES) == files
    assert len(NAMES) == 8


@pytest.mark.parametrize("name", NAMES)
def test_method_says_what_it_is(name: str) -> None:
    method = methods.get(name)
    assert method.name == name
    assert method.summary
    assert method.source
    assert method.Options.__doc__


@pytest.mark.parametrize("name", NAMES)
def test_subset_is_of_the_data_and_reproducible(name: str) -> None:
    method, options = methods.get(name), methods.get(name).Options()
    one, two = (method.select(IDS, SCORED, options, seed) for seed in (5, 5))
    assert one == two
    assert one.ids <= set(IDS)
    assert one.share == pytest.approx(len(one.ids) / len(IDS))


def role_rows() -> list[Example]:
    ids = (5, 6, 7, 8, 1)
    return [(Row(stream, n, ids, MARKS),) for n, stream in enumerate(("role", "role.flagged"))]


def pairs_for(loss: Loss, model: object, cache: Path, first: int) -> list[Example]:
    """One pair with what the loss holds of it; nothing where it takes no pairs."""
    if "pairs" not in loss.streams:
        return []
    held = [term for term in loss if isinstance(term, HeldTerm)]
    mask = (False, False, True, True)
    pair = RenderedPair(*(Rendered((5, 6, token, 1), mask) for token in (9, 10, 11, 12)))
    pooling = held[0].asks["pooling"] if held else None
    return pair_examples(
        model, [pair], pooling, first=first, pad_id=2, bf16=False, cache=cache, identity=str(loss.streams)
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_a_loss_needs_is_provided(name: str) -> None:
    method = methods.get(name)
    loss = loss_of(method, method.Options())
    assert set(of_loss(method, loss, name)) == set(loss.streams)
    assert all(term.weight > 0 for term in loss)


@pytest.mark.parametrize("name", NAMES)
def test_weights_and_loss_fit_the_trainer(name: str, tmp_path: Path) -> None:
    """On a role's rows and, where the method takes them, on pairs: every term is served."""
    method, options = methods.get(name), methods.get(name).Options()
    loss, model = loss_of(method, options), random_model("llama")
    rows = role_rows() + pairs_for(loss, model, tmp_path, 2)
    with torch.no_grad():  # at the start DPO's kin and L2 have no slope to show
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    batch = Collator(2, loss)(rows)
    assert batch["weights"]["ce"][0].tolist() == [0, 1, 1, 1, 0]
    assert all(batch["counts"][term.name].sum() > 0 for term in loss)
    policy = Policy(model, loss, SecondModel(random_model("qwen2")))
    scale = {term.name: torch.tensor(term.weight) for term in loss}
    found = method.step(policy, batch, scale, options)
    assert set(found.terms) == {term.name for term in loss}
    assert all(value.item() > 0 for value in found.terms.values())
    assert found.total.item() == pytest.approx(sum(t.item() for t in found.terms.values()), rel=1e-5)
    found.total.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in policy.model.parameters())


@pytest.mark.parametrize("name", [*NAMES, "sft on pairs"])
def test_pairs_alone_and_rows_alone(name: str, tmp_path: Path) -> None:
    """A micro-batch may hold only pairs or only rows; the terms that it has are those of the whole."""
    method = methods.get(name.split()[0])
    options = method.Options(pairs="chosen") if name == "sft on pairs" else method.Options()
    loss, model = loss_of(method, options), random_model("llama")
    rows, pairs = role_rows()[:1], pairs_for(loss, model, tmp_path, 1)
    if not pairs:
        assert name in ("sarft", "sft")
        return
    scale = {term.name: torch.tensor(term.weight) for term in loss}
    policy = Policy(model, loss, None)

    def total(examples: list[Example]) -> float:
        return policy.value(Collator(2, loss)(examples), scale).total.item()

    assert total([*rows, *pairs]) == pytest.approx(total(rows) + total(pairs), rel=1e-5)
    assert total(pairs) > 0


def test_who_trains_on_pairs() -> None:
    losses = {name: loss_of(methods.get(name), methods.get(name).Options()) for name in NAMES}
    taking = {name for name, loss in losses.items() if any(isinstance(term, PairTerm) for term in loss)}
    assert taking == {"dpo", "ipo", "kto", "mpo", "orpo", "simpo"}
