"""Intervals and tests against published values and values worked out by hand; coverage: test_coverage.py."""

from __future__ import annotations

import math
import time
import tracemalloc

import numpy as np
import pytest

from playsafe import statistics as s
from playsafe.statistics import means, shares

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


def test_looks_double_up_to_the_whole_suite() -> None:
    assert s.share_looks(300) == [25, 50, 100, 200, 300]
    assert s.share_looks(200) == [25, 50, 100, 200]
    assert s.share_looks(26) == [25, 26]
    assert s.share_looks(25) == [25]
    assert s.share_looks(3) == [3]
    assert s.share_looks(100, first=30) == [30, 60, 100]
    assert s.share_looks(4, first=1) == [1, 2, 4]
    for n, first in ((0, 25), (10, 0)):
        with pytest.raises(ValueError, match="at least one item"):
            s.share_looks(n, first)


def test_sequential_share() -> None:
    # nothing found: the upper end solves (1 − x)^n = 0.025 / looks
    assert s.sequential_share(0, 100, 1) == (0, 0, pytest.approx(1 - 0.025**0.01))
    assert s.sequential_share(0, 100, 5) == (0, 0, pytest.approx(1 - 0.005**0.01))
    assert s.sequential_share(40, 40, 3) == (1, pytest.approx((0.025 / 3) ** (1 / 40)), 1)
    # one item: the lower end of 1 of 2 solves 1 − (1 − x)² = 0.025
    assert s.sequential_share(1, 2, 1).low == pytest.approx(1 - math.sqrt(0.975))
    # Clopper and Pearson, 10 of 100
    assert s.sequential_share(10, 100, 1)[1:] == pytest.approx((0.0490047, 0.1762226), abs=5e-8)
    for k, n in ((3, 25), (49, 50), (260, 520)):
        one, many = s.sequential_share(k, n, 1), s.sequential_share(k, n, 6)
        assert 0 < many.low < one.low < k / n < one.high < many.high < 1
        mirrored = s.sequential_share(n - k, n, 6)
        assert (many.low, many.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low))
    with pytest.raises(ValueError, match="a share needs"):
        s.sequential_share(1, 0, 1)
    with pytest.raises(ValueError, match="at least one look"):
        s.sequential_share(1, 2, 0)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((14, 5, 0, 22), 0.011, 0.226),  # Altman et al. 2000, table 6.2
        ((59, 6, 16, 80), -0.1186, -0.0046),  # Fagerland et al. 2017, chapter 8: complete response
        ((36, 12, 2, 0), 0.0569, 0.3404),  # never missed together: φ < 0
        ((20, 12, 2, 16), 0.0562, 0.3292),  # the same difference, φ > 0
    ],
)
def test_newcombe_paired(counts: tuple[int, int, int, int], low: float, high: float) -> None:
    found = s.newcombe_paired(*counts)
    assert found.value == pytest.approx((counts[1] - counts[2]) / sum(counts))
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-4)
    swapped = s.newcombe_paired(counts[0], counts[2], counts[1], counts[3])
    assert swapped == pytest.approx((-found.value, -found.high, -found.low))


def test_newcombe_paired_at_the_edges() -> None:
    for counts in ((5, 0, 0, 0), (0, 0, 0, 5), (300, 0, 0, 300), (99, 1, 0, 0), (1, 0, 0, 0)):
        found = s.newcombe_paired(*counts)
        assert -1 <= found.low < found.value < found.high <= 1
    assert s.newcombe_paired(0, 9, 0, 0).high == pytest.approx(1.0)
    # no item hit: on each side only one of the two shares can move
    assert s.newcombe_paired(0, 0, 0, 100).high == pytest.approx(Z2 / (100 + Z2))
    with pytest.raises(ValueError, match="negative"):
        s.newcombe_paired(3, -1, 2, 5)
    with pytest.raises(ValueError, match="a share needs"):
        s.newcombe_paired(0, 0, 0, 0)


def test_cohen_kappa() -> None:
    found = s.cohen_kappa([[20, 5], [10, 15]])  # agreed 0.7, by chance 0.5
    assert found.value == pytest.approx(0.4)
    # one more item over four cells: 0.6961 agreed; z ± 1.96 · error / (1 − κ²), the error as in Fleiss et al.
    assert (found.low, found.high) == pytest.approx((0.1212, 0.6087), abs=5e-5)
    # Fleiss, Cohen and Everitt 1969: three diagnoses, 200 patients; κ 0.429, error 0.054
    three = np.array([[106, 10, 4], [22, 28, 10], [2, 12, 6]])
    assert s.cohen_kappa(three).value == pytest.approx(0.429, abs=5e-4)
    assert shares._kappa(three)[1] == pytest.approx(0.054, abs=5e-4)
    assert s.cohen_kappa(three) == pytest.approx(s.cohen_kappa(three.T))
    padded = np.pad(three, ((0, 2), (0, 2)))  # labels that nobody gave
    assert s.cohen_kappa(padded) == s.cohen_kappa(three)


def test_cohen_kappa_at_the_edges() -> None:
    full = s.cohen_kappa([[30, 0], [0, 20]])
    assert (full.value, full.high) == (1, 1)
    assert 0.5 < full.low < 0.95
    opposite = s.cohen_kappa([[0, 25], [25, 0]])
    assert (opposite.value, opposite.low) == (-1, -1)
    one_constant = s.cohen_kappa([[30, 20], [0, 0]])
    assert one_constant.value == pytest.approx(0)
    assert one_constant.low < 0 < one_constant.high
    assert s.cohen_kappa([[0, 50], [0, 0]]).value == 0
    assert all(map(math.isnan, s.cohen_kappa([[50, 0], [0, 0]])))
    for bad in ([[1, 2, 3], [4, 5, 6]], [[0, 0], [0, 0]], [[3, -1], [1, 2]], [1, 2]):
        with pytest.raises(ValueError, match="square table"):
            s.cohen_kappa(bad)  # type: ignore[arg-type]


def test_bootstrap_mean_repeats_with_its_seed() -> None:
    values = [0.11, 0.52, 0.97, 0.31, 0.29, 0.83, 0.07]
    found = s.bootstrap_mean(values, seed=4)
    assert found == s.bootstrap_mean(values, seed=4)
    assert found != s.bootstrap_mean(values, seed=5)
    assert found.value == pytest.approx(3.10 / 7)
    assert found.low < found.value < found.high
    # its width is Student's, six degrees of freedom
    assert found.high - found.low == pytest.approx(2 * 2.446912 * np.std(values, ddof=1) / math.sqrt(7))
    assert s.bootstrap_mean([0.7]) == (0.7, 0.7, 0.7)
    assert s.bootstrap_mean([0.1] * 7)[1:] == (s.bootstrap_mean([0.1] * 7).value,) * 2
    for values in ([], [0.3, math.nan]):
        with pytest.raises(ValueError, match="at least one"):
            s.bootstrap_mean(values)


def test_bootstrap_mean_leans_to_the_long_tail() -> None:
    found = s.bootstrap_mean([0.0] * 15 + [0.1] * 4 + [0.9])
    assert found.high - found.value > 1.2 * (found.value - found.low)


def test_paired_bootstrap_has_the_width_of_its_variance() -> None:
    """3 × 4 by hand: row means 1, 2, 3; prompt means 1, 2, 2, 3; residuals of one pattern."""
    rows_R1, prompts_1P = np.array([[-1.0], [0], [1]]), np.array([[-1.0, 0, 0, 1]])
    rest_RP = np.outer([1.0, -2, 1], [1.0, -1, -1, 1]) / 2  # rows and columns sum to 0
    found = s.paired_bootstrap(2 + rows_R1 + prompts_1P + rest_RP)
    assert found.value == pytest.approx(2)
    by_rows = 1 / 3
    by_prompts = (2 / 3) / 4 - (6 / 6) / 12  # Σ residual² is 6 with 2 · 3 free
    half = math.sqrt(4.302653**2 * by_rows + 3.182446**2 * by_prompts)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=1e-6)
    # over suites: the same rows, each block's mean counts alike
    both = s.paired_bootstrap([2 + rows_R1 + prompts_1P + rest_RP, rows_R1 + np.zeros((1, 5))])
    assert both.value == pytest.approx(1)
    half = math.sqrt(4.302653**2 * by_rows + 3.182446**2 * by_prompts / 4)
    assert (both.high - both.low) / 2 == pytest.approx(half, rel=1e-6)


def test_paired_bootstrap_repeats_with_its_seed() -> None:
    difference_RP = np.random.default_rng(2).normal(0.3, 1.0, (6, 9))
    difference_RP[0, 3] = difference_RP[4, :4] = math.nan
    found = s.paired_bootstrap(difference_RP, seed=3, replicates=300)
    assert found.value == pytest.approx(np.nanmean(difference_RP))
    assert found.low < found.value < found.high
    assert found == s.paired_bootstrap([difference_RP], seed=3, replicates=300)
    assert found != s.paired_bootstrap(difference_RP, seed=4, replicates=300)
    mirrored = s.paired_bootstrap(-difference_RP, seed=3, replicates=300)
    assert mirrored == pytest.approx((-found.value, -found.high, -found.low))


def test_paired_bootstrap_with_one_row_or_one_column() -> None:
    values = [0.0, 1, 1, 0, 1, -1]
    half = 2.570582 * np.std(values, ddof=1) / math.sqrt(6)
    for block in (np.array([values]), np.array([values]).T):
        found = s.paired_bootstrap(block)
        assert (found.high - found.low) / 2 == pytest.approx(half, rel=1e-6)
    assert s.paired_bootstrap(np.array([values]), seed=1) == s.bootstrap_mean(values, seed=1)


def test_paired_bootstrap_keeps_a_width_where_only_the_means_agree() -> None:
    wave = np.array([[1.0, 0], [0, 1]])  # rows and columns alike
    rows = np.array([[0.1, 0.2, 0.9], [0.9, 0.1, 0.2]])  # rows alike, but for rounding
    for block in (wave, rows):
        found = s.paired_bootstrap(block)
        assert found.value - found.low > 0.1
        assert found.high - found.value > 0.1


def test_paired_bootstrap_with_missing_pairs() -> None:
    one = np.full((3, 4), math.nan)
    one[1, 2] = 0.5
    assert s.paired_bootstrap(one, replicates=100) == (0.5, 0.5, 0.5)
    whole = np.random.default_rng(4).normal(size=(5, 7))
    padded = np.pad(whole, ((0, 2), (0, 3)), constant_values=math.nan)  # rows and prompts never asked
    assert s.paired_bootstrap(padded) == pytest.approx(s.paired_bootstrap(whole))
    for empty in (np.full((2, 2), math.nan), np.empty((0, 3)), [whole, np.full((5, 2), math.nan)]):
        with pytest.raises(ValueError, match="at least one pair"):
            s.paired_bootstrap(empty)
    for uneven in ([whole, whole[:4]], []):
        with pytest.raises(ValueError, match="the same rows"):
            s.paired_bootstrap(uneven)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 5), (2, 40), (20, 3)])
def test_paired_bootstrap_never_fails(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(6)
    for seed in range(40):
        block = rng.integers(-1, 2, shape).astype(float)
        gaps = np.where(rng.random(shape) < 0.3, math.nan, block)
        other = rng.integers(0, 2, (shape[0], 3)).astype(float)
        for blocks in ([block], [block, other], [other, block, block], [gaps], [gaps, other]):
            if any(np.isnan(part).all() for part in blocks):
                continue
            found = s.paired_bootstrap(blocks, seed=seed, replicates=int(rng.integers(1, 40)))
            assert all(map(math.isfinite, found))
            assert found.low <= found.value <= found.high


def test_paired_bootstrap_is_quick() -> None:
    difference_RP = np.random.default_rng(0).normal(size=(95, 160))
    start = time.perf_counter()
    s.paired_bootstrap(difference_RP, replicates=4000)
    assert time.perf_counter() - start < 0.5


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


def test_mcnemar_mid_p() -> None:
    assert s.mcnemar(1, 7) == pytest.approx(0.0703125)  # Fagerland et al. 2013: 0.070 and 0.039
    assert s.mcnemar(1, 7, mid_p=True) == pytest.approx(0.0390625)
    assert s.mcnemar(8, 2, mid_p=True) == pytest.approx(67 / 1024)
    assert s.mcnemar(3, 3, mid_p=True) == s.mcnemar(0, 0, mid_p=True) == 1.0


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
    found = s.spearman_interval(a, b)
    assert found.value == s.spearman(a, b)
    for end, side in ((found.low, -1), (found.high, 1)):  # each end lies 1.96 of its own errors away
        error = math.sqrt((1 + end * end / 2) / (12 - 3))
        assert math.atanh(end) == pytest.approx(math.atanh(found.value) + side * s.Z95 * error)
    backwards = s.spearman_interval(a, [-x for x in b])
    assert backwards == pytest.approx((-found.value, -found.high, -found.low))


def test_spearman_interval_at_the_edges() -> None:
    perfect = s.spearman_interval(range(10), range(10))
    assert (perfect.value, perfect.high) == (pytest.approx(1), pytest.approx(1))
    assert 0.9 < perfect.low < 0.99
    assert s.spearman_interval([1, 2, 3, 4], [1, 2, 3, 4]).low < -0.3
    assert s.spearman_interval([1, 2, 3], [1, 3, 2]) == (0.5, -1, 1)
    assert all(map(math.isnan, s.spearman_interval([1, 1, 1], [1, 2, 3])))
    assert all(map(math.isnan, s.spearman_interval([1, math.nan, 3, 4, 5], [1, 2, 3, 4, 5])))


def test_pareto_front() -> None:
    assert s.pareto_front([(1, 1), (2, 0), (0, 2), (0, 0), (1, 0)]) == [0, 1, 2]
    assert s.pareto_front([(1, 1), (1, 1), (0, 1)]) == [0, 1]
    assert s.pareto_front([(math.nan, 9), (1, 1), (2, math.nan)]) == [1]
    assert s.pareto_front([]) == []


@pytest.mark.parametrize(
    ("p", "freedom", "t"),
    [
        (0.975, 1, 12.7062047362),
        (0.975, 2, 4.3026527297),
        (0.975, 3, 3.1824463053),
        (0.975, 4, 2.7764451052),
        (0.975, 10, 2.2281388520),
        (0.975, 30, 2.0422724563),
        (0.975, 120, 1.9799304051),
        (0.95, 5, 2.0150483733),
        (0.995, 7, 3.4994832974),
        (0.75, 1, 1.0),  # tan(π / 4)
        (0.9, 2, 0.8 / math.sqrt(2 * 0.9 * 0.1)),
        (0.975, 1e7, s.Z95),
    ],
)
def test_t_quantile(p: float, freedom: float, t: float) -> None:
    assert s.t_quantile(p, freedom) == pytest.approx(t, abs=1e-6)


def test_beta_quantile() -> None:
    assert s.beta_share(0.3, 1, 1) == pytest.approx(0.3)
    assert s.beta_share(0.3, 2, 3) == pytest.approx(
        6 * 0.3**2 * 0.7**2 + 4 * 0.3**3 * 0.7 + 0.3**4
    )  # binomial
    assert (s.beta_share(-0.1, 2, 3), s.beta_share(0, 2, 3), s.beta_share(1, 2, 3)) == (0, 0, 1)
    for a, b in ((0.5, 0.5), (2, 7), (1, 520), (300.5, 4), (5000, 5000)):
        for p in (1e-4, 0.025, 0.5, 0.975, 0.9999):
            x = s.beta_quantile(p, a, b)
            assert s.beta_share(x, a, b) == pytest.approx(p, rel=1e-8)
            assert s.beta_quantile(1 - p, b, a) == pytest.approx(1 - x, rel=1e-6)


def test_a_bootstrap_of_many_items_draws_the_same_in_parts_that_stay_small() -> None:
    """All draws of 20,000 items at once would be 640 MB; in parts they are the very numbers of one matrix."""
    values_N = np.random.default_rng(1).normal(size=20_000)
    rng = np.random.default_rng(0)
    whole = values_N[rng.integers(0, values_N.size, (60, values_N.size))].sum(axis=1)
    assert np.array_equal(means._redrawn(values_N, 60, np.random.default_rng(0)), whole)
    tracemalloc.start()
    s.bootstrap_mean(values_N.tolist(), replicates=500)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * 8 * s.AT_ONCE
