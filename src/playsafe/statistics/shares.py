"""Intervals of shares: Wilson, early looks, Newcombe's pairs, agreement of two judges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from playsafe.statistics.quantiles import beta_quantile

Z95 = 1.959963984540054


class Interval(NamedTuple):
    """A value between its two ends."""

    value: float
    low: float
    high: float


def effective(counts: Sequence[float] | np.ndarray) -> float:
    """How many independent trials the items of requests are worth, from the number of items of each.

    (Σ c)² / Σ c² (Kish 1965): as if the items of a request were all alike, so an interval of a share made
    from it is wide enough however much they are. Requests with as many items each count as one trial each.
    """
    known = np.asarray(counts, dtype=float)
    square = float(known @ known)
    return float(known.sum()) ** 2 / square if square else 0.0


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


def sequential_share(successes: float, n: float, looks: int) -> Interval:
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


def newcombe_paired(both: float, only_a: float, only_b: float, neither: float) -> Interval:
    """Share of A minus share of B over the same items: Newcombe's (1998) method 10, square-and-add.

    The four counts of items: hit by both, by A alone, by B alone, by neither; whole numbers, or counts of
    texts scaled to the trials they are worth. Wilson's two intervals joined with the correlation φ, corrected
    for continuity. Conservative where fewer than about five items differ.
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
    """Agreement of two judges beyond chance, from K × K counts of items: rows one judge, columns the other;
    from T × K × K where the items belong to T requests.

    The interval: Fisher's z with the large-sample error of Fleiss, Cohen and Everitt (1969), one more item
    spread over all cells so that full agreement keeps a width. The items count for as many as the variance
    between requests leaves of them. NaN where both judges gave every item the same label: chance agreement is
    1 and kappa 0/0. Raises ValueError for an empty or malformed table.
    """
    every = np.asarray(table)
    counts_KK = np.asarray(every.sum(axis=0) if every.ndim == 3 else every, dtype=float)
    if counts_KK.ndim != 2 or len(set(counts_KK.shape)) != 1 or (counts_KK < 0).any() or not counts_KK.sum():
        raise ValueError("kappa needs a square table of counts with at least one item")
    used = counts_KK.sum(axis=0) + counts_KK.sum(axis=1) > 0
    if used.sum() == 1:
        return Interval(math.nan, math.nan, math.nan)
    counts_KK = counts_KK[np.ix_(used, used)]
    value, _ = _kappa(counts_KK)
    if every.ndim == 3:
        counts_KK = counts_KK / _design_effect(np.asarray(every[:, used][:, :, used], dtype=float))
    near, error = _kappa(counts_KK + 1 / counts_KK.size)
    centre, half = math.atanh(near), Z95 * error / (1 - near * near)
    return Interval(value, min(value, math.tanh(centre - half)), max(value, math.tanh(centre + half)))


def _kappa(counts_KK: np.ndarray) -> tuple[float, float]:
    """Kappa and its standard error."""
    p_KK = counts_KK / counts_KK.sum()
    agreed, chance = np.trace(p_KK), p_KK.sum(axis=0) @ p_KK.sum(axis=1)
    slope_KK = _kappa_slopes(p_KK)
    variance = (p_KK * slope_KK**2).sum() - (p_KK * slope_KK).sum() ** 2
    return float((agreed - chance) / (1 - chance)), math.sqrt(max(0.0, variance) / counts_KK.sum())


def _kappa_slopes(p_KK: np.ndarray) -> np.ndarray:
    """How much kappa moves with the share of each cell."""
    margins_KK = p_KK.sum(axis=0)[:, None] + p_KK.sum(axis=1)[None]
    agreed, chance = np.trace(p_KK), p_KK.sum(axis=0) @ p_KK.sum(axis=1)
    return np.asarray(np.eye(len(p_KK)) / (1 - chance) - margins_KK * (1 - agreed) / (1 - chance) ** 2)


def _design_effect(counts_TKK: np.ndarray) -> float:
    """Variance of kappa over requests to that over items; between 1 and what alike items would make it."""
    items_T = counts_TKK.sum(axis=(1, 2))
    counts_TKK, items_T = counts_TKK[items_T > 0], items_T[items_T > 0]
    N, T = float(items_T.sum()), len(items_T)
    alike = N / effective(items_T)
    p_KK = counts_TKK.sum(axis=0) / N
    slope_KK = _kappa_slopes(p_KK)
    off_KK = slope_KK - (p_KK * slope_KK).sum()
    items = float((p_KK * off_KK**2).sum()) * N
    if T == 1 or items < 1e-12:
        return alike
    by_request_T = (counts_TKK * off_KK).sum(axis=(1, 2))
    between = float(by_request_T @ by_request_T) * (T / (T - 1) if T < N else 1.0)
    return min(alike, max(1.0, between / items))
