"""Gates on simulated studies whose truth lies on the gate: they pass in at most 2.5 % of them.

The simulation is that of benchmarks/gate_error.py: what it draws is known, what it decides is the product's.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from typing import Any

import numpy as np
import pytest

from conftest import ROOT
from playsafe import statistics as s

NOMINAL = 0.025


def _loaded() -> Any:
    spec = importlib.util.spec_from_file_location("gate_error", ROOT / "benchmarks" / "gate_error.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gate_error"] = module
    spec.loader.exec_module(module)
    return module


sim = _loaded()
GATES = [sim.ABSOLUTE, sim.RELATIVE]


def assert_holds(setting: Any, studies: int) -> None:
    """Within three standard errors of the simulation above the nominal error, never more."""
    error = 3 * math.sqrt(NOMINAL * (1 - NOMINAL) / studies)
    assert sim.passes(setting, studies) <= NOMINAL + error


@pytest.mark.parametrize("gate", GATES)
def test_the_simulation_is_on_the_gate_and_requests_are_alike(gate: str) -> None:
    """What is decided on: the mean of many studies is the truth, texts of a request are as alike as said."""
    rng = np.random.default_rng(0)
    trial_P = np.repeat(np.arange(4000), 2)
    luck_P = sim.luck(trial_P, 0.5, rng)
    hits = (luck_P < 0.9).reshape(-1, 2).astype(float)
    assert hits.mean() == pytest.approx(0.9, abs=0.01)
    assert np.corrcoef(hits.T)[0, 1] == pytest.approx(0.5, abs=0.06)
    made = [sim.study(sim.Setting(gate, 40, 3, 0.5), rng, as_texts=False) for _ in range(60)]
    after = np.mean([e.value for runs in made for e in runs.trained[0].estimates])
    before = np.mean([e.value for runs in made for e in runs.base[0].estimates])
    assert before == pytest.approx(0.9, abs=0.02)
    assert after == pytest.approx(0.9 if gate == sim.ABSOLUTE else 0.8, abs=0.025)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("uneven", [False, True])
def test_texts_of_one_request_do_not_open_a_gate(gate: str, uneven: bool) -> None:
    setting = sim.Setting(gate, 30, 6, 1.0, uneven=uneven)
    assert sim.passes(setting, 150, as_texts=True) > 0.1  # what every text as a trial would do
    assert_holds(setting, 150)


@pytest.mark.slow
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("requests", [20, 120])
@pytest.mark.parametrize("share", [0.98, 0.9, 0.6])
@pytest.mark.parametrize("alike", [0.3, 1.0])
def test_the_error_is_at_most_the_nominal_one(gate: str, requests: int, share: float, alike: float) -> None:
    gate = gate if gate == sim.RELATIVE else f"refusal >= {share}"
    assert_holds(sim.Setting(gate, requests, 4, alike, share=share), 1000)


@pytest.mark.slow
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("more", [{"roles": 3}, {"missing": 0.1}, {"uneven": True}, {"shared": 0.9}])
def test_nor_with_roles_gaps_and_uneven_requests(gate: str, more: dict[str, Any]) -> None:
    assert_holds(sim.Setting(gate, 60, 5, 1.0, **more), 1000)


# --- intervals of means and kappa over requests -----------------------------------------------------------


def grouped(m: int, k: int, R: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores of R roles to m requests in k texts: effects of role, request and text, mean 0."""
    trial_P = np.repeat(np.arange(m), k)
    request_1P = rng.normal(0, 0.4, m)[trial_P][None]
    role_R1 = rng.normal(0, 0.1, (R, 1)) if R > 1 else 0.0  # one role is the one that is meant
    return role_R1 + request_1P + rng.normal(0, 0.5, (R, m * k)), trial_P


def held(draws: int, R: int, *, told: bool) -> float:
    rng, found = np.random.default_rng(17), []
    for n in range(draws):
        block_RP, trial_P = grouped(24, 6, R, rng)
        ends = s.paired_bootstrap([block_RP], trials=[trial_P] if told else None, seed=n, replicates=100)
        found.append(ends.low <= 0 <= ends.high)
    return float(np.mean(found))


@pytest.mark.parametrize("R", [1, 6])
def test_means_over_requests_hold_the_truth(R: int) -> None:
    assert held(300, R, told=False) < 0.85
    assert 0.91 < held(300, R, told=True) < 0.985


@pytest.mark.slow
@pytest.mark.parametrize("R", [1, 4, 12])
def test_means_over_requests_hold_the_truth_in_95_percent(R: int) -> None:
    assert 0.935 <= held(2000, R, told=True) <= 0.975  # four roles and strong requests make it wide


@pytest.mark.slow
@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_kappa_over_requests(alike: float) -> None:
    """Judges who agree on purpose on 60 % of the replies and label the rest each by chance; with chance
    `alike` all runs' replies to a request are judged as the first one is."""
    rng, found = np.random.default_rng(5), []
    for _ in range(1000):
        counts = np.zeros((80, 2, 2))
        for request in range(80):
            one = rng.random() < alike
            for _ in range(1 if one else 5):
                a = int(rng.random() < 0.5)
                b = a if rng.random() < 0.6 else int(rng.random() < 0.5)
                counts[request, a, b] += 5 if one else 1
        ends = s.cohen_kappa(counts)
        found.append(ends.low <= 0.6 <= ends.high)
    assert abs(float(np.mean(found)) - 0.95) <= 0.02


def test_kappa_of_one_reply_a_request_is_that_of_the_table() -> None:
    table = np.array([[20, 5], [4, 11]])
    each = np.zeros((40, 2, 2))
    cells = [(i, j) for i in range(2) for j in range(2) for _ in range(table[i, j])]
    for n, place in enumerate(cells):
        each[n][place] = 1
    assert s.cohen_kappa(each) == pytest.approx(s.cohen_kappa(table))


def test_alike_replies_count_once() -> None:
    """Five equal replies to each of 40 requests: kappa's interval and the mean's are those of one reply."""
    table = np.array([[20, 5], [4, 11]])
    each = np.zeros((40, 2, 2))
    cells = [(i, j) for i in range(2) for j in range(2) for _ in range(table[i, j])]
    for n, place in enumerate(cells):
        each[n][place] = 5
    low, high = s.cohen_kappa(table)[1:]
    found = s.cohen_kappa(each)
    assert (found.low, found.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))
    values = np.random.default_rng(0).normal(size=30).tolist()
    again = [value for value in values for _ in range(5)]
    trials = [n for n in range(30) for _ in range(5)]
    assert s.bootstrap_mean(again, trials=trials) == pytest.approx(s.bootstrap_mean(values))
    assert s.effective([5] * 40) == 40
    assert s.effective([1, 1, 8]) == pytest.approx(100 / 66)
