"""Intervals and tests: Wilson, bootstrap (also paired, over roles and prompts), McNemar, Holm, Spearman.

Every random draw comes from one generator whose seed is an argument. 95 % unless said otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Z95 = 1.959963984540054


class Interval(NamedTuple):
    """A value between its two ends."""

    value: float
    low: float
    high: float


def wilson(successes: int, n: int, z: float = Z95) -> Interval:
    """Wilson's score interval of a share. Raises ValueError for n = 0: no items, no rate."""
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"a share needs 0 <= successes <= n and n > 0; got {successes} of {n}")
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Interval(p, min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half)))


def bootstrap_mean(values: Sequence[float], *, seed: int = 0, replicates: int = 2000) -> Interval:
    """Percentile bootstrap interval of a mean over items."""
    data = np.asarray(values, dtype=float)
    if data.size == 0:
        raise ValueError("a mean needs at least one value")
    rng = np.random.default_rng(seed)
    means = [data[rng.integers(0, data.size, data.size)].mean() for _ in range(replicates)]
    low, high = np.quantile(means, (0.025, 0.975))
    value = float(data.mean())
    return Interval(value, min(value, float(low)), max(value, float(high)))


def paired_bootstrap(
    difference_RP: np.ndarray,
    *,
    seed: int = 0,
    replicates: int = 4000,
    statistic: Callable[[np.ndarray], float] | None = None,
) -> Interval:
    """Two-way bootstrap of a mean paired difference: units (rows R) and prompts (columns P) are both redrawn.

    difference_RP: per unit (a role, or a role and seed) and prompt, arm A minus arm B. NaN marks a missing
    pair. statistic: another summary of a redrawn block than its mean. Conservative with few units (98 %
    coverage at a nominal 95 %).
    """
    present_RP = ~np.isnan(difference_RP)
    if not present_RP.any():
        raise ValueError("a difference needs at least one pair")
    rng = np.random.default_rng(seed)
    R, P = difference_RP.shape
    counts_BR = rng.multinomial(R, np.full(R, 1 / R), replicates).astype(float)
    counts_BP = rng.multinomial(P, np.full(P, 1 / P), replicates).astype(float)
    if statistic is None:  # the mean of a redrawn block is a mean weighted by how often each pair was drawn
        value = float(np.nanmean(difference_RP))
        pairs_B = ((counts_BR @ present_RP) * counts_BP).sum(axis=1)
        sums_B = ((counts_BR @ np.where(present_RP, difference_RP, 0.0)) * counts_BP).sum(axis=1)
        draws = sums_B[pairs_B > 0] / pairs_B[pairs_B > 0]
    else:
        value = statistic(difference_RP)
        draws = np.array(
            [
                statistic(difference_RP[np.ix_(np.repeat(np.arange(R), r), np.repeat(np.arange(P), p))])
                for r, p in zip(counts_BR.astype(int), counts_BP.astype(int), strict=True)
            ]
        )
    low, high = np.nanquantile(draws, (0.025, 0.975)) if draws.size else (value, value)
    return Interval(value, min(value, float(low)), max(value, float(high)))


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided McNemar p-value from the two discordant counts; 1 when there are none."""
    if only_a < 0 or only_b < 0:
        raise ValueError(f"counts must not be negative; got {only_a} and {only_b}")
    n = only_a + only_b
    tail = sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1)) / 2**n
    return min(1.0, 2 * tail)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment, in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = running
    return adjusted


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


def spearman_interval(
    a: Sequence[float], b: Sequence[float], *, seed: int = 0, replicates: int = 4000
) -> Interval:
    """Rank correlation with a percentile bootstrap interval over the pairs (roles)."""
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    value = spearman(a, b)
    rng = np.random.default_rng(seed)
    draws = [spearman(x[i], y[i]) for i in rng.integers(0, len(x), (replicates, len(x)))]
    draws = [draw for draw in draws if not math.isnan(draw)]
    if math.isnan(value) or not draws:
        return Interval(math.nan, math.nan, math.nan)
    low, high = np.quantile(draws, (0.025, 0.975))
    return Interval(value, min(value, float(low)), max(value, float(high)))


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other beats on one axis without losing on the other (more is better).

    A point with a missing value (NaN) is never on the front.
    """
    known = [(i, x, y) for i, (x, y) in enumerate(points) if not (math.isnan(x) or math.isnan(y))]
    return [i for i, x, y in known if not any(u >= x and v >= y and (u > x or v > y) for _, u, v in known)]
