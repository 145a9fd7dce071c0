"""How often each interval holds the truth: within 1.5 points of 95 %, by fixed seeds or exact sums.

Roles and prompts are drawn anew for every data set, with effects of their own: the truth is the mean over the
population of both. 2000 data sets and more leave a simulation error of half a point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
import pytest

from playsafe import statistics as s

pytestmark = pytest.mark.slow  # nine seconds of simulation

Rng = np.random.Generator
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)


def coverage(intervals: Iterable[s.Interval], truth: float) -> float:
    return float(np.mean([interval.low <= truth <= interval.high for interval in intervals]))


def assert_nominal(found: float) -> None:
    assert abs(found - 0.95) <= 0.015, f"{100 * found:.2f} %"


def binomial(n: int, shares: np.ndarray) -> np.ndarray:
    """Chance of 0..n hits, one row a share."""
    k = np.arange(n + 1)
    ways = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in k]
    return np.exp(ways + k * np.log(shares)[:, None] + (n - k) * np.log1p(-shares)[:, None])


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def mean_share(logit: float, spread: float) -> float:
    """Mean over a normal population of logits."""
    return float(logistic(logit + spread * NODES) @ WEIGHTS / WEIGHTS.sum())


# --- shares ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [10, 25, 40, 100, 300])
def test_wilson_on_average_over_shares(n: int) -> None:
    """Exact sums. A single share swings, as for every interval of a count: only its average is promised."""
    shares = (np.arange(2000) + 0.5) / 2000
    ends = np.array([s.wilson(k, n) for k in range(n + 1)])
    held = (ends[:, 1] <= shares[:, None]) & (shares[:, None] <= ends[:, 2])
    each = (binomial(n, shares) * held).sum(axis=1)
    assert_nominal(float(each.mean()))
    assert 0.80 < each.min() < 0.92


def simultaneous(interval: Callable[[int, int, int], s.Interval], share: float, n: int, rng: Rng) -> float:
    """How often the intervals at all looks hold the share."""
    looks = s.share_looks(n)
    held = np.ones(8000, dtype=bool)
    hits = np.zeros(held.size, dtype=int)
    for before, look in zip([0, *looks], looks, strict=False):
        hits = hits + rng.binomial(look - before, share, held.size)
        ends = np.array([interval(k, look, len(looks)) for k in range(look + 1)])
        held &= (ends[hits, 1] <= share) & (share <= ends[hits, 2])
    return float(held.mean())


at_looks = lru_cache(maxsize=None)(s.sequential_share)


@pytest.mark.parametrize("share", [0.002, 0.02, 0.15, 0.5, 0.95])
def test_all_looks_hold_at_once(share: float) -> None:
    """Conservative by design, so only from below."""
    assert simultaneous(at_looks, share, 300, np.random.default_rng(1)) >= 0.945


def test_the_looks_need_their_exact_interval() -> None:
    """Wilson's interval at the same level breaks the promise where safety is measured: near 0 and 1."""

    def wilson_at_looks(k: int, n: int, looks: int) -> s.Interval:
        return s.wilson(k, n, 2.5758293)  # 1 − 0.05 / 5, two-sided

    assert len(s.share_looks(300)) == 5
    assert simultaneous(wilson_at_looks, 0.002, 300, np.random.default_rng(1)) < 0.92


def test_no_correction_for_looks_would_be_seen() -> None:
    found = simultaneous(lambda k, n, _: s.sequential_share(k, n, 1), 0.5, 300, np.random.default_rng(1))
    assert found < 0.93


@pytest.mark.parametrize("n", [40, 100, 300])
def test_newcombe_on_average_over_tables(n: int) -> None:
    rng = np.random.default_rng(n)
    held = []
    for p in rng.dirichlet(np.ones(4), 3000):
        held.append(coverage([s.newcombe_paired(*map(int, rng.multinomial(n, p)))], p[1] - p[2]))
    assert_nominal(float(np.mean(held)))


@pytest.mark.parametrize("p", [(0.4, 0.3, 0.1, 0.2), (0.7, 0.15, 0.05, 0.1), (0.1, 0.05, 0.2, 0.65)])
def test_newcombe(p: tuple[float, float, float, float]) -> None:
    rng = np.random.default_rng(3)
    tables = rng.multinomial(160, p, 3000)
    assert_nominal(coverage((s.newcombe_paired(*map(int, t)) for t in tables), p[1] - p[2]))


@pytest.mark.parametrize("n", [50, 100, 300])
@pytest.mark.parametrize("labels", [(0.5, 0.5), (0.85, 0.15), (0.6, 0.3, 0.1)])
def test_cohen_kappa_on_average_over_agreements(n: int, labels: tuple[float, ...]) -> None:
    """Judges who agree on purpose on a share of the items (kappa) and label the rest each by chance."""
    rng = np.random.default_rng(5)
    same, chance = np.diag(labels), np.outer(labels, labels)
    held = []
    for kappa in rng.uniform(0.1, 0.95, 2000):
        table = rng.multinomial(n, (kappa * same + (1 - kappa) * chance).ravel()).reshape(same.shape)
        held.append(coverage([s.cohen_kappa(table)], kappa))
    assert_nominal(float(np.mean(held)))


# --- means over items, roles and prompts ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "shape"), [(20, (2, 8)), (20, (5, 5)), (50, (1, 5)), (100, (2, 8)), (300, (1, 5))]
)
def test_bootstrap_mean_of_scores(n: int, shape: tuple[int, int]) -> None:
    """Scores like ROUGE-L: between 0 and 1, mostly skewed to the right."""
    data = np.random.default_rng(7).beta(*shape, (2000, n))
    intervals = (s.bootstrap_mean(row, seed=i, replicates=100) for i, row in enumerate(data))
    assert_nominal(coverage(intervals, shape[0] / sum(shape)))


def scores(R: int, P: int, rng: Rng, row: float, prompt: float, noise: float) -> np.ndarray:
    """Normal effects of mean 0."""
    effects_RP = rng.normal(0, row, (R, 1)) + rng.normal(0, prompt, (1, P))
    return effects_RP + rng.normal(0, noise, (R, P))


def shares(R: int, P: int, rng: Rng, logit: float, row: float, prompt: float) -> np.ndarray:
    """Items refused (1) or not (0)."""
    chance_RP = logistic(logit + rng.normal(0, row, (R, 1)) + rng.normal(0, prompt, (1, P)))
    return (rng.random((R, P)) < chance_RP).astype(float)


def pairs(R: int, P: int, rng: Rng, lost: float) -> np.ndarray:
    """Tuned minus aligned (−1, 0, 1): prompts differ in both arms, roles in how much they lose."""
    easy_1P, hurt_R1, odd_1P = (
        rng.normal(0, 1, (1, P)),
        rng.normal(0, 0.7, (R, 1)),
        rng.normal(0, 0.4, (1, P)),
    )
    aligned_RP = rng.random((R, P)) < logistic(2.5 + easy_1P)
    tuned_RP = rng.random((R, P)) < logistic(2.5 - lost + easy_1P + hurt_R1 + odd_1P)
    return tuned_RP.astype(float) - aligned_RP


def pairs_truth(lost: float) -> float:
    return mean_share(2.5 - lost, math.sqrt(1 + 0.49 + 0.16)) - mean_share(2.5, 1.0)


def two_way(draw: Callable[[Rng], np.ndarray | list[np.ndarray]], truth: float, sets: int = 2000) -> float:
    rng = np.random.default_rng(11)
    return coverage((s.paired_bootstrap(draw(rng), seed=i, replicates=100) for i in range(sets)), truth)


@pytest.mark.parametrize(("R", "P"), [(4, 40), (4, 160), (8, 100), (10, 40), (20, 40), (95, 100)])
def test_two_way_pairs(R: int, P: int) -> None:
    assert_nominal(two_way(lambda rng: pairs(R, P, rng, 1.5), pairs_truth(1.5)))


@pytest.mark.parametrize(("R", "P"), [(4, 40), (8, 40), (20, 100)])
def test_two_way_shares(R: int, P: int) -> None:
    assert_nominal(two_way(lambda rng: shares(R, P, rng, 1, 0.8, 1.2), mean_share(1, math.hypot(0.8, 1.2))))


@pytest.mark.parametrize(
    ("R", "P", "effects"),
    [
        (8, 40, (0.0, 0.0, 1.0)),  # only noise: the draws alone hold in 99.5 %
        (20, 100, (0.0, 0.0, 1.0)),
        (3, 100, (0.2, 0.2, 0.5)),
        (4, 160, (0.2, 0.2, 0.5)),  # few rows: the draws alone hold in 85 %
        (10, 40, (0.05, 0.4, 0.3)),  # mostly prompts
        (1, 30, (0.0, 0.3, 0.3)),  # one row: the prompts are the unit
        (12, 1, (0.3, 0.0, 0.3)),  # one prompt: the rows are
    ],
)
def test_two_way_scores(R: int, P: int, effects: tuple[float, float, float]) -> None:
    assert_nominal(two_way(lambda rng: scores(R, P, rng, *effects), 0.0))


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_two_way_over_suites(missing: float) -> None:
    """Three suites with the same roles: part of a role's effect is common to all."""

    def draw(rng: Rng) -> list[np.ndarray]:
        common_R1 = rng.normal(0, 0.15, (8, 1))
        blocks = [common_R1 + scores(8, P, rng, 0.15, 0.2, 0.5) for P in (100, 40, 20)]
        return [np.where(rng.random(block.shape) < missing, np.nan, block) for block in blocks]

    assert_nominal(two_way(draw, 0.0))


# --- ranks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "rho"), [(10, 0.0), (10, 0.5), (10, -0.8), (20, 0.3), (20, 0.8), (95, -0.5)])
def test_spearman_interval(n: int, rho: float) -> None:
    rng = np.random.default_rng(13)
    x = rng.normal(size=(2000, n))
    y = rho * x + math.sqrt(1 - rho * rho) * rng.normal(size=x.shape)
    truth = 6 / math.pi * math.asin(rho / 2)  # of two normal variables
    assert_nominal(coverage(map(s.spearman_interval, x, y), truth))
