"""Intervals and tests against values worked out by hand, and coverage by small simulations."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from playsafe import statistics as s

Z2 = s.Z95**2


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (0, 100, 0.0, Z2 / (100 + Z2)),  # at 0 the upper end is z²/(n + z²)
        (0, 300, 0.0, 0.0126),
        (0, 520, 0.0, 0.0073),
        (0, 100, 0.0, 0.0370),
        (520, 520, 0.9927, 1.0),
        (10, 10, 10 / (10 + Z2), 1.0),
        (5, 10, 0.2366, 0.7634),
        (1, 10, 0.0179, 0.4042),
        (1, 1, 0.2065, 1.0),
    ],
)
def test_wilson(successes: int, n: int, low: float, high: float) -> None:
    interval = s.wilson(successes, n)
    assert interval.value == successes / n
    assert interval.low == pytest.approx(low, abs=6e-5)
    assert interval.high == pytest.approx(high, abs=6e-5)


def test_wilson_holds_its_value_and_is_symmetric() -> None:
    for n in (1, 7, 100, 12345):
        for k in {0, 1, n // 2, n - 1, n}:
            a, b = s.wilson(k, n), s.wilson(n - k, n)
            assert 0 <= a.low <= a.value <= a.high <= 1
            assert (a.low, a.high) == pytest.approx((1 - b.high, 1 - b.low))


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5), (1, -2)])
def test_wilson_needs_items(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="a share needs"):
        s.wilson(successes, n)


def test_bootstrap_mean_repeats_with_its_seed() -> None:
    values = [0.11, 0.52, 0.97, 0.31, 0.29, 0.83, 0.07]
    assert s.bootstrap_mean(values, seed=4) == s.bootstrap_mean(values, seed=4)
    assert s.bootstrap_mean(values, seed=4) != s.bootstrap_mean(values, seed=5)
    assert s.bootstrap_mean(values).value == pytest.approx(3.10 / 7)
    assert s.bootstrap_mean([0.7]) == (0.7, 0.7, 0.7)
    with pytest.raises(ValueError, match="at least one"):
        s.bootstrap_mean([])


def test_bootstrap_mean_covers() -> None:
    rng = np.random.default_rng(1)
    intervals = [s.bootstrap_mean(rng.exponential(1.0, 60), replicates=200) for _ in range(100)]
    assert 85 <= sum(i.low <= 1.0 <= i.high for i in intervals) <= 100


def test_paired_bootstrap_is_the_mean_of_redrawn_blocks() -> None:
    rng = np.random.default_rng(2)
    difference_RP = rng.normal(0.3, 1.0, (6, 9))
    difference_RP[0, 3] = difference_RP[4, :4] = math.nan
    weighted = s.paired_bootstrap(difference_RP, seed=3, replicates=300)
    block = s.paired_bootstrap(
        difference_RP, seed=3, replicates=300, statistic=lambda part: float(np.nanmean(part))
    )
    assert weighted == pytest.approx(block)
    assert weighted.value == pytest.approx(np.nanmean(difference_RP))
    assert weighted.low < weighted.value < weighted.high
    assert weighted == s.paired_bootstrap(difference_RP, seed=3, replicates=300)
    assert weighted != s.paired_bootstrap(difference_RP, seed=4, replicates=300)
    median = s.paired_bootstrap(
        difference_RP, replicates=50, statistic=lambda part: float(np.nanmedian(part))
    )
    assert median.value == pytest.approx(np.nanmedian(difference_RP))


def test_paired_bootstrap_with_missing_pairs() -> None:
    one = np.full((3, 4), math.nan)
    one[1, 2] = 0.5
    assert s.paired_bootstrap(one, replicates=100) == (0.5, 0.5, 0.5)
    assert s.paired_bootstrap(one, replicates=1) == (0.5, 0.5, 0.5)  # also when nothing was drawn
    for empty in (np.full((2, 2), math.nan), np.empty((0, 3))):
        with pytest.raises(ValueError, match="at least one pair"):
            s.paired_bootstrap(empty)


def test_paired_bootstrap_is_quick() -> None:
    difference_RP = np.random.default_rng(0).normal(size=(30, 160))
    start = time.perf_counter()
    s.paired_bootstrap(difference_RP, replicates=4000)
    assert time.perf_counter() - start < 0.5


def test_paired_bootstrap_covers_new_roles_and_prompts() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for seed in range(100):
        block = 0.2 + rng.normal(0, 0.3, (12, 1)) + rng.normal(0, 0.3, (1, 30)) + rng.normal(0, 0.5, (12, 30))
        interval = s.paired_bootstrap(block, seed=seed, replicates=300)
        covered += interval.low <= 0.2 <= interval.high
    assert covered >= 90


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [
        (0, 0, 1.0),
        (3, 3, 1.0),
        (0, 6, 2 / 64),
        (1, 5, 14 / 64),
        (5, 1, 14 / 64),
        (0, 1, 1.0),
        (2, 8, 112 / 1024),
    ],
)
def test_mcnemar(only_a: int, only_b: int, p: float) -> None:
    assert s.mcnemar(only_a, only_b) == pytest.approx(p)


def test_mcnemar_with_many_and_with_impossible_counts() -> None:
    assert 0 < s.mcnemar(900, 1100) < 1e-4
    assert s.mcnemar(2000, 2000) == 1.0
    with pytest.raises(ValueError, match="negative"):
        s.mcnemar(3, -1)


def test_holm() -> None:
    assert s.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert s.holm([0.5, 0.9]) == [1.0, 1.0]
    assert s.holm([0.02]) == [0.02]
    assert s.holm([]) == []


def test_ranks_average_their_ties() -> None:
    assert s.ranks([10, 20, 20, 5]).tolist() == [2, 3.5, 3.5, 1]
    assert s.ranks([7, 7, 7]).tolist() == [2, 2, 2]


def test_spearman() -> None:
    # ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: 4.5 / √(4.5 · 5)
    assert s.spearman([1, 2, 2, 4], [10, 30, 20, 40]) == pytest.approx(4.5 / math.sqrt(22.5))
    assert s.spearman([1, 2, 3], [9, 4, 1]) == pytest.approx(-1)
    assert s.spearman([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) == pytest.approx(0.8207826817)
    assert math.isnan(s.spearman([1, 1, 1], [1, 2, 3]))
    assert math.isnan(s.spearman([1, math.nan, 3], [1, 2, 3]))
    for a, b in (([1], [1]), ([1, 2], [1, 2, 3])):
        with pytest.raises(ValueError, match="two equally long"):
            s.spearman(a, b)


def test_spearman_interval() -> None:
    a, b = list(range(12)), [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10]
    interval = s.spearman_interval(a, b, seed=1, replicates=300)
    assert interval == s.spearman_interval(a, b, seed=1, replicates=300)
    assert -1 <= interval.low <= interval.value <= interval.high <= 1
    assert all(map(math.isnan, s.spearman_interval([1, 1, 1], [1, 2, 3], replicates=20)))


def test_pareto_front() -> None:
    assert s.pareto_front([(1, 1), (2, 0), (0, 2), (0, 0), (1, 0)]) == [0, 1, 2]
    assert s.pareto_front([(1, 1), (1, 1), (0, 1)]) == [0, 1]
    assert s.pareto_front([(math.nan, 9), (1, 1), (2, math.nan)]) == [1]
    assert s.pareto_front([]) == []
