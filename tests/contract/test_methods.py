"""Every training method, found by enumeration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from conftest import ROOT, random_model
from playsafe import methods
from playsafe.data.chat import Rendered
from playsafe.data.collate import Collator, Row, TrainRow
from playsafe.models.policy import Policy
from playsafe.models.reference import SecondModel
from playsafe.pairing import RenderedPair, pair_rows
from playsafe.records import LogProb, Score

NAMES = methods.names()
IDS = [f"r{i}" for i in range(6)]
SCORES = {i: Score(i, "A", LogProb(-9.0, 3), LogProb(-9.0 + n - 3.0, 3)) for n, i in enumerate(IDS)}


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
    one, two = (method.subset(IDS, SCORES, options, seed) for seed in (5, 5))
    assert one == two
    assert one.ids <= set(IDS)
    assert one.share == pytest.approx(len(one.ids) / len(IDS))


@pytest.mark.parametrize("name", NAMES)
def test_weights_and_loss_fit_the_trainer(name: str, tmp_path: Path) -> None:
    """On a role's rows and, where the method takes them, on pairs: every term of `factors` is served."""
    method, options = methods.get(name), methods.get(name).Options()
    factors = method.factors(options)
    ids, mask = [5, 6, 7, 8, 1], [False, False, True, True, True]
    rows: list[Row] = []
    for number, flagged in enumerate((True, False)):
        weighed = method.weigh(ids, mask, flagged, options)
        assert set(weighed.weights) == set(weighed.counts) <= set(factors)
        assert all(len(w) == len(ids) for w in weighed.weights.values())
        assert weighed.weights["ce"] == [0, 1, 1, 1, 0]
        rows.append(TrainRow(number, tuple(ids), weighed.weights, weighed.counts))
    model, use = random_model("llama"), method.pairs(options)
    if use is not None:
        pair = RenderedPair(*(Rendered((*ids[:-1], token, 1), (*mask, True)) for token in (9, 10, 11, 12)))
        rows += pair_rows(model, [pair], use, first=2, pad_id=2, bf16=False, cache=tmp_path, identity=name)
        with torch.no_grad():  # at the start DPO's kin and L2 have no slope to show
            for parameter in model.parameters():
                parameter += 0.01 * torch.randn_like(parameter)
    batch = Collator(2, list(factors))(rows)
    assert all(batch["counts"][term].sum() > 0 for term in factors)
    policy = Policy(model, SecondModel(random_model("qwen2")))
    scale = {term: torch.tensor(factor) for term, factor in factors.items()}
    loss = method.loss(policy, batch, scale, options)
    assert set(loss.terms) == set(factors)
    assert all(value.item() > 0 for value in loss.terms.values())
    assert loss.total.item() == pytest.approx(sum(t.item() for t in loss.terms.values()), rel=1e-5)
    loss.total.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in policy.model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_pairs_alone_and_rows_alone(name: str, tmp_path: Path) -> None:
    """A micro-batch may hold only pairs or only rows; the terms that it has are those of the whole."""
    method = methods.get(name)
    options = method.Options(pairs="chosen") if name == "sft" else method.Options()
    use = method.pairs(options)
    if use is None:
        assert name == "sarft"
        return
    factors = method.factors(options)
    ids, mask = (5, 6, 7, 8, 1), (False, False, True, True, True)
    weighed = method.weigh(ids, mask, False, options)
    row = TrainRow(0, ids, weighed.weights, weighed.counts)
    pair = RenderedPair(
        *(Rendered((5, 6, token, 1), (False, False, True, True)) for token in (9, 10, 11, 12))
    )
    model = random_model("llama")
    pairs = pair_rows(model, [pair], use, first=1, pad_id=2, bf16=False, cache=tmp_path, identity=name)
    scale = {term: torch.tensor(factor) for term, factor in factors.items()}
    policy = Policy(model, None)

    def total(rows: Sequence[Row]) -> float:
        return method.loss(policy, Collator(2, list(factors))(rows), scale, options).total.item()

    assert total([row, *pairs]) == pytest.approx(total([row]) + total(pairs), rel=1e-5)
    assert total(pairs) > 0
