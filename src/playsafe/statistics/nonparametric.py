"""Tests of paired counts, ranks and their correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from playsafe.statistics.shares import Z95, Interval


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
