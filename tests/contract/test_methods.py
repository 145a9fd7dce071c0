"""Every training method, found by enumeration."""

from __future__ import annotations

import pytest
import torch

from conftest import ROOT, random_model
from playsafe import methods
from playsafe.data.collate import Collator, TrainRow
from playsafe.models.policy import Policy
from playsafe.models.reference import SecondModel
from playsafe.records import LogProb, Score

NAMES = methods.names()
IDS = [f"r{i}" for i in range(6)]
SCORES = {i: Score(i, "A", LogProb(-9.0, 3), LogProb(-9.0 + n - 3.0, 3)) for n, i in enumerate(IDS)}


def test_the_folder_is_the_registry() -> None:
    files = {path.stem for path in (ROOT / "src" / "playsafe" / "methods").glob("[!_]*.py")}
    assert set(NAMES) == files
    assert len(NAMES) == 2


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
def test_weights_and_loss_fit_the_trainer(name: str) -> None:
    method, options = methods.get(name), methods.get(name).Options()
    factors = method.factors(options)
    ids, mask = [5, 6, 7, 8, 1], [False, False, True, True, True]
    rows = []
    for number, flagged in enumerate((True, False)):
        weighed = method.weigh(ids, mask, flagged, options)
        assert set(weighed.weights) == set(weighed.counts) == set(factors)
        assert all(len(w) == len(ids) for w in weighed.weights.values())
        assert weighed.weights["ce"] == [0, 1, 1, 1, 0]
        rows.append(TrainRow(number, tuple(ids), weighed.weights, weighed.counts))
    batch = Collator(2, list(factors))(rows)
    policy = Policy(random_model("llama"), SecondModel(random_model("qwen2")))
    scale = {term: torch.tensor(factor) for term, factor in factors.items()}
    loss = method.loss(policy, batch, scale, options)
    assert set(loss.terms) == set(factors)
    assert loss.total.item() == pytest.approx(sum(t.item() for t in loss.terms.values()), rel=1e-5)
    loss.total.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in policy.model.parameters())
