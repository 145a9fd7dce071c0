"""Intervals and tests: shares (Wilson, Newcombe's pairs, early looks), means over roles and prompts, ranks.

95 % unless said otherwise; tests/unit/test_coverage.py measures how often each interval holds the truth.
Every random draw comes from one generator whose seed is an argument. Nothing is cut to a range: a caller that
knows its numbers are shares cuts a mean's interval to 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

Z95 = 1.959963984540054


class Interval(NamedTuple):
    """A value between its two ends."""

    value: float
    low: float
    high: float


# --- shares ---------------------------------------------------------------------------------------------


def wilson(successes: float, n: float, z: float = Z95) -> Interval:
    """Wilson's score interval of a share. Raises ValueError for n = 0: no items, no rate.

    Holds the truth in 95 % of samples on average over shares; single shares swing about that, down to 84 %
    for shares that lie within 1/n of 0 or 1.
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"a share needs 0 <= successes <= n and n > 0; got {successes} of {n}")
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Interval(p, min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half)))


def share_looks(n: int, first: int = 25) -> list[int]:
    """Item counts at which a suite of n items may be looked at: first, doubled again and again, and n."""
    if n <= 0 or first <= 0:
        raise ValueError(f"looks need at least one item; got n = {n}, first = {first}")
    return [first * 2**i for i in range(n.bit_length()) if first * 2**i < n] + [n]


def sequential_share(successes: int, n: int, looks: int) -> Interval:
    """Interval of a share at one of `looks` planned looks (share_looks): all of them hold at once, 95 %.

    Exact (Clopper and Pearson 1934) at level 1 − 0.05 / looks, so for every share the chance that any look
    misses is at most 5 % (in truth 0.1 to 3 %). Wilson's interval would miss in up to 13 % of suites whose
    share is near 0 or 1. Raises ValueError as wilson does, and for looks < 1.
    """
    if looks < 1:
        raise ValueError(f"there must be at least one look; got {looks}")
    value, tail = wilson(successes, n).value, 0.025 / looks
    low = beta_quantile(tail, successes, n - successes + 1) if successes else 0.0
    high = beta_quantile(1 - tail, successes + 1, n - successes) if successes < n else 1.0
    return Interval(value, low, high)


def newcombe_paired(both: int, only_a: int, only_b: int, neither: int) -> Interval:
    """Share of A minus share of B over the same items: Newcombe's (1998) method 10, square-and-add.

    The four counts of items: hit by both, by A alone, by B alone, by neither. Wilson's two intervals joined
    with the correlation φ, corrected for continuity. Conservative where fewer than about five items differ.
    Raises ValueError for no items or negative counts.
    """
    n = both + only_a + only_b + neither
    if min(both, only_a, only_b, neither) < 0:
        raise ValueError(f"counts must not be negative; got {both}, {only_a}, {only_b} and {neither}")
    a, b = wilson(both + only_a, n), wilson(both + only_b, n)
    scale = math.sqrt((both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither))
    cross = both * neither - only_a * only_b
    phi = (max(cross - n / 2, 0) if cross > 0 else cross) / scale if scale else 0.0

    def reach(x: float, y: float) -> float:
        return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))

    value = (only_a - only_b) / n
    low = value - reach(a.value - a.low, b.high - b.value)
    return Interval(value, low, value + reach(a.high - a.value, b.value - b.low))


def cohen_kappa(table: Sequence[Sequence[int]] | np.ndarray) -> Interval:
    """Agreement of two judges beyond chance, from K × K counts of items: rows one judge, columns the other.

    The interval: Fisher's z with the large-sample error of Fleiss, Cohen and Everitt (1969), one more item
    spread over all cells so that full agreement keeps a width. NaN where both judges gave every item the
    same label: chance agreement is 1 and kappa 0/0. Raises ValueError for an empty or malformed table.
    """
    counts_KK = np.asarray(table, dtype=float)
    if counts_KK.ndim != 2 or len(set(counts_KK.shape)) != 1 or (counts_KK < 0).any() or not counts_KK.sum():
        raise ValueError("kappa needs a square table of counts with at least one item")
    used = counts_KK.sum(axis=0) + counts_KK.sum(axis=1) > 0
    if used.sum() == 1:
        return Interval(math.nan, math.nan, math.nan)
    counts_KK = counts_KK[np.ix_(used, used)]
    value, _ = _kappa(counts_KK)
    near, error = _kappa(counts_KK + 1 / counts_KK.size)
    centre, half = math.atanh(near), Z95 * error / (1 - near * near)
    return Interval(value, min(value, math.tanh(centre - half)), max(value, math.tanh(centre + half)))


def _kappa(counts_KK: np.ndarray) -> tuple[float, float]:
    """Kappa and its standard error."""
    p_KK = counts_KK / counts_KK.sum()
    margins_KK = p_KK.sum(axis=0)[:, None] + p_KK.sum(axis=1)[None]
    agreed, chance = np.trace(p_KK), p_KK.sum(axis=0) @ p_KK.sum(axis=1)
    slope_KK = np.eye(len(p_KK)) / (1 - chance) - margins_KK * (1 - agreed) / (1 - chance) ** 2
    variance = (p_KK * slope_KK**2).sum() - (p_KK * slope_KK).sum() ** 2
    return float((agreed - chance) / (1 - chance)), math.sqrt(max(0.0, variance) / counts_KK.sum())


# --- means over roles and prompts -----------------------------------------------------------------------


def bootstrap_mean(values: Sequence[float], *, seed: int = 0, replicates: int = 2000) -> Interval:
    """Bootstrap interval of a mean over items, as paired_bootstrap's with one row.

    One value or equal values leave no width. Raises ValueError for no values or a missing one (NaN).
    """
    data = np.asarray(values, dtype=float)
    if data.size == 0 or np.isnan(data).any():
        raise ValueError("a mean needs at least one value and none missing")
    return paired_bootstrap(data[None], seed=seed, replicates=replicates)


def paired_bootstrap(
    blocks: np.ndarray | Sequence[np.ndarray], *, seed: int = 0, replicates: int = 2000
) -> Interval:
    """Mean paired difference (or mean share) for new roles and new prompts: both sides are redrawn.

    blocks: one array R × P, or one per suite with the same rows R (roles, or training seeds of one role) and
    its own prompts P; per row and prompt arm A minus arm B, NaN where a pair is missing. The value is the
    mean over blocks of each block's mean.

    The draws give the interval its shape; its width is that of Student's t: h² = t²_R · V_R + Σ t²_P · V_P,
    V_R the variance from the rows (all blocks at once), V_P from a block's prompts without the residual
    noise that V_R holds already (two-way random effects; h² after Banerjee 1960). The draws alone are too
    narrow for few rows (85 % at 4 × 160) and too wide where noise prevails (99.5 %: it counts three times).

    With one row the prompts are the unit, with one column the rows; rows of equal means leave the prompts'
    own width. Two or three rows make it honest and very wide (t is 12.7 and 4.3). Without any spread it is
    the value alone, which says nothing of the next prompt: where no 0/1 item differs, show wilson(0, n).
    Rare shares (under 8 %) hold in 93 to 95 %. Raises ValueError for a block without a pair and for blocks
    with different rows.
    """
    found = [_spread(block) for block in ([blocks] if isinstance(blocks, np.ndarray) else blocks)]
    if not found or len({part.rows_R.size for part in found}) > 1:
        raise ValueError("a difference needs at least one block, and the same rows in every block")
    K = len(found)
    value = float(np.mean([part.value for part in found]))
    if all(part.constant for part in found):
        return Interval(value, value, value)
    rows_R = np.mean([part.rows_R for part in found], axis=0)
    rows_R = rows_R[np.any([part.present_R for part in found], axis=0)]
    by_rows = _student(rows_R.size) * _mean_variance(rows_R)
    squares = [_student(part.prompts_P.size) / K**2 for part in found]
    by_prompts = sum(t * (part.variance - part.noise) for t, part in zip(squares, found, strict=True))
    square = by_rows + max(by_prompts, 0.0)
    alone = sum(t * max(part.variance, part.noise) for t, part in zip(squares, found, strict=True))
    if by_rows < 1e-12 * alone:  # a single row, or rows that agree but for rounding
        square = alone
    rng = np.random.default_rng(seed)
    draws = _redrawn(rows_R, replicates, rng)
    for part in found:
        draws += _redrawn(part.prompts_P, replicates, rng) / K
    low, high = np.quantile(draws, (0.025, 0.975))
    if not low < 0 < high:  # too few draws for a shape
        low, high = -1.0, 1.0
    scale = 2 * math.sqrt(square) / (high - low)
    return Interval(value, value + float(low * scale), value + float(high * scale))


class _Spread(NamedTuple):
    """How a block's mean hangs on its rows and prompts: sums of the deviations over the number of pairs."""

    value: float
    rows_R: np.ndarray
    prompts_P: np.ndarray  # prompts with a pair
    present_R: np.ndarray
    variance: float  # of the mean, from the prompts, residual noise included
    noise: float  # of the mean, from the residual noise
    constant: bool


def _spread(block_RP: np.ndarray) -> _Spread:
    asked_RP = ~np.isnan(block_RP)
    if not asked_RP.any():
        raise ValueError("a difference needs at least one pair in every block")
    block_RP, asked_RP = block_RP[:, asked_RP.any(axis=0)], asked_RP[:, asked_RP.any(axis=0)]
    n, known = int(asked_RP.sum()), block_RP[asked_RP]
    value = float(known.mean())
    off_RP = np.where(asked_RP, block_RP - value, 0.0)
    rows_R, prompts_P = off_RP.sum(axis=1), off_RP.sum(axis=0)
    row_R1, prompt_P = (
        (rows_R / np.maximum(asked_RP.sum(axis=1), 1))[:, None],
        prompts_P / asked_RP.sum(axis=0),
    )
    rest_RP = np.where(asked_RP, off_RP - row_R1 - prompt_P, 0.0)
    present_R = asked_RP.any(axis=1)
    free = n - int(present_R.sum()) - prompts_P.size + 1
    noise = float((rest_RP**2).sum()) / free / n if free > 0 else 0.0
    constant = bool(known.min() == known.max())
    variance = _mean_variance(prompts_P / n)
    return _Spread(value, rows_R / n, prompts_P / n, present_R, variance, noise, constant)


def _mean_variance(parts_N: np.ndarray) -> float:
    """Variance of a mean from what each of its N units adds to its deviation; 0 for one unit."""
    N = parts_N.size
    return float(parts_N @ parts_N) * N / (N - 1) if N > 1 else 0.0


def _student(units: int) -> float:
    """Square of Student's two-sided 95 % quantile for a mean of so many units; 0 for one."""
    return t_quantile(0.975, units - 1) ** 2 if units > 1 else 0.0


def _redrawn(parts_N: np.ndarray, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """Deviations of the mean when its units are redrawn with replacement."""
    return parts_N[rng.integers(0, parts_N.size, (replicates, parts_N.size))].sum(axis=1)


# --- tests ----------------------------------------------------------------------------------------------


def mcnemar(only_a: int, only_b: int, *, mid_p: bool = False) -> float:
    """Exact two-sided McNemar p-value from the two discordant counts; 1 when there are none.

    mid_p: count the observed split by half (Fagerland et al. 2013): nearer to 5 % than the exact test, which
    rejects too rarely, but without its guarantee.
    """
    if only_a < 0 or only_b < 0:
        raise ValueError(f"counts must not be negative; got {only_a} and {only_b}")
    n, few = only_a + only_b, min(only_a, only_b)
    doubled = 2 * sum(math.comb(n, k) for k in range(few + 1)) - mid_p * math.comb(n, few)
    return min(1.0, doubled / 2**n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment, in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = running
    return adjusted


# --- ranks ----------------------------------------------------------------------------------------------


def ranks(values: Sequence[float]) -> np.ndarray:
    """Ranks from 1, ties averaged."""
    data = np.asarray(values, dtype=float)
    _, inverse, counts = np.unique(data, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts + 1 + last) / 2)[inverse]


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Rank correlation with averaged ties; NaN when a side is constant or a value is missing (NaN)."""
    if len(a) != len(b) or len(a) < 2:
        raise ValueError("a correlation needs two equally long lists of at least two values")
    if np.isnan([a, b]).any():
        return math.nan
    x, y = ranks(a), ranks(b)
    x, y = x - x.mean(), y - y.mean()
    scale = math.sqrt(float((x * x).sum() * (y * y).sum()))
    return float((x * y).sum() / scale) if scale else math.nan


def spearman_interval(a: Sequence[float], b: Sequence[float]) -> Interval:
    """Rank correlation of n pairs (roles) with Fisher's z; NaN as spearman, -1..1 for n <= 3.

    The error of z is √((1 + ρ²/2) / (n − 3)) (Bonett and Wright 2000), taken at each end itself, as Wilson
    does. A perfect order counts as half a swap of neighbours less, so that it keeps a width. Below n = 8 it
    is conservative (up to 100 % at n = 4): so few orders are possible.
    """
    value, n = spearman(a, b), len(a)
    if math.isnan(value) or n <= 3:
        return Interval(value, value if math.isnan(value) else -1.0, value if math.isnan(value) else 1.0)
    most = 1 - 6 / (n * (n * n - 1))
    centre, low, high = math.atanh(max(-most, min(most, value))), 0.0, 0.0
    for _ in range(30):  # each step brings an end at least twice as near
        low = math.tanh(centre - Z95 * math.sqrt((1 + low * low / 2) / (n - 3)))
        high = math.tanh(centre + Z95 * math.sqrt((1 + high * high / 2) / (n - 3)))
    return Interval(value, min(value, low), max(value, high))


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other beats on one axis without losing on the other (more is better).

    A point with a missing value (NaN) is never on the front.
    """
    known = [(i, x, y) for i, (x, y) in enumerate(points) if not (math.isnan(x) or math.isnan(y))]
    return [i for i, x, y in known if not any(u >= x and v >= y and (u > x or v > y) for _, u, v in known)]


# --- quantiles ------------------------------------------------------------------------------------------


def beta_share(x: float, a: float, b: float) -> float:
    """Chance that a beta variable (a, b > 0) lies below x: the continued fraction of DLMF 8.17.22."""
    if not 0 < x < 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # there the other tail converges faster
        return 1 - beta_share(1 - x, b, a)
    fraction = 1.0
    for m in range(30 + int(3 * math.sqrt(a + b)), 0, -1):
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        fraction = 1 + even / (1 + odd / fraction)
    fraction = 1 - (a + b) * x / (a + 1) / fraction
    return math.exp(_log_beta_density(x, a, b)) * x * (1 - x) / (a * fraction)


def beta_quantile(p: float, a: float, b: float) -> float:
    """The x below which a beta variable lies with chance p (0 < p < 1), by guarded Newton steps."""
    low, high, x = 0.0, 1.0, a / (a + b)
    for _ in range(200):
        error = beta_share(x, a, b) - p
        low, high = (x, high) if error < 0 else (low, x)
        step = x - error * math.exp(min(700.0, -_log_beta_density(x, a, b)))
        x, before = step if low < step < high else (low + high) / 2, x
        if abs(x - before) <= 1e-14 * x:
            break
    return x


def _log_beta_density(x: float, a: float, b: float) -> float:
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return scale + (a - 1) * math.log(x) + (b - 1) * math.log1p(-x)


@lru_cache(maxsize=1024)
def t_quantile(p: float, freedom: float) -> float:
    """Quantile of Student's t, 0.5 < p < 1, with so many degrees of freedom (1 or more, any number)."""
    share = beta_quantile(2 * p - 1, 0.5, freedom / 2)  # of t² / (t² + freedom)
    return math.sqrt(freedom * share / (1 - share))
