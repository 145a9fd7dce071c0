"""Combinations of shares with their interval: harmonic means (SIS), distances, closed parts of distances.

Each share is Σ hits / Σ counted over rows (roles; training seeds where there is one role) and prompts. An
interval redraws rows and prompts jointly, 2,000 times; all shares of a draw are counted anew and combined
anew, which gives the interval its shape. Its width is Student's, by `paired_bootstrap`, from what each row
and each prompt adds to the combination: the draws alone are too narrow for few rows. A share without any
spread (0 or 1) adds what Wilson still allows for it, in quadrature (Newcombe's square-and-add); so does a
share that is the same reply by reply in both arms of a difference (Wilson's 0 of n differing prompts).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from playsafe.statistics import AT_ONCE, Interval, effective, paired_bootstrap, wilson

REPLICATES = 2000
STEP = 1e-6  # of the numerical slopes
Combine = Callable[[np.ndarray], np.ndarray]  # shares S × … → …


class Count(NamedTuple):
    """One share: rows × requests, the sum over the prompts of each, means over seeds. prompts: names what was
    asked; counts over the same prompts are redrawn together and have the same columns."""

    hits_RP: np.ndarray
    counted_RP: np.ndarray
    prompts: str

    @property
    def share(self) -> float:
        return float(self.hits_RP.sum() / self.counted_RP.sum())

    @property
    def n(self) -> int:
        return round(float(self.counted_RP.sum()))

    @property
    def trials(self) -> float:
        """The independent trials that the prompts counted in some row are worth."""
        return effective(np.ceil(self.counted_RP).max(axis=0))


def harmonic(shares: np.ndarray) -> np.ndarray:
    """Harmonic mean over the first axis; 0 where one of them is 0, NaN where one is missing."""
    with np.errstate(divide="ignore"):
        return np.asarray(len(shares) / (1 / shares).sum(axis=0))


def joint_interval(
    counts: Sequence[Count], combine: Combine, *, seed: int = 0, replicates: int = REPLICATES
) -> Interval:
    """The combination of these shares with its interval (see above); every count must hold an item."""
    shares = np.array([count.share for count in counts])
    value = float(combine(shares))
    draws = combine(redrawn(counts, np.random.default_rng(seed), replicates)) - value
    draws = draws[~np.isnan(draws)]  # a draw without any safe answer has no immersion
    low, high = np.quantile(draws, (0.025, 0.975)) if len(draws) else (0.0, 0.0)
    if not low < 0 < high:  # too few draws for a shape
        low, high = -1.0, 1.0
    slopes = _slopes(combine, shares)
    scale = _width(counts, shares, slopes) / (high - low)
    down, up = [float(low) * scale], [float(high) * scale]
    for place, count in enumerate(counts):
        if shares[place] in (0.0, 1.0):
            moved = shares.copy()
            moved[place] = abs(shares[place] - _reach(count))
            shift = float(combine(moved)) - value
            (down if shift < 0 else up).append(shift)
        elif any(_same(count, other) for other in counts[:place]):
            down.append(slopes[place] * _reach(count))
            up.append(slopes[place] * _reach(count))
    return Interval(value, value - math.hypot(*down), value + math.hypot(*up))


def redrawn(counts: Sequence[Count], rng: np.random.Generator, replicates: int) -> np.ndarray:
    """Shares × draws. One draw of rows for all, one of prompts for each set of prompts."""
    rows_DR = _weights(counts[0].hits_RP.shape[0], rng, replicates)
    sums_SD = np.zeros((2, len(counts), replicates))
    for prompts in dict.fromkeys(count.prompts for count in counts):
        asked = [(place, count) for place, count in enumerate(counts) if count.prompts == prompts]
        P = asked[0][1].hits_RP.shape[1]
        many = max(1, AT_ONCE // P)
        for some in (slice(start, min(start + many, replicates)) for start in range(0, replicates, many)):
            prompts_DP = _weights(P, rng, some.stop - some.start)
            for place, count in asked:
                for side, table_RP in enumerate(count[:2]):
                    sums_SD[side, place, some] = ((rows_DR[some] @ table_RP) * prompts_DP).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(sums_SD[0] / sums_SD[1])


def _weights(units: int, rng: np.random.Generator, replicates: int) -> np.ndarray:
    """How often each unit is drawn; a single unit is always there."""
    return rng.multinomial(units, [1 / units] * units, replicates).astype(float)


def _slopes(combine: Combine, shares: np.ndarray) -> np.ndarray:
    """How much the combination moves with each share, by differences inside 0..1."""
    slopes = np.zeros(len(shares))
    for place in range(len(shares)):
        left, right = shares.copy(), shares.copy()
        left[place], right[place] = max(0.0, shares[place] - STEP), min(1.0, shares[place] + STEP)
        slopes[place] = (combine(right) - combine(left)) / (right[place] - left[place])
    return slopes


def _width(counts: Sequence[Count], shares: np.ndarray, slopes: np.ndarray) -> float:
    """Width of the interval of the combination made linear: what each row and prompt adds to it."""
    added: dict[str, np.ndarray] = {}
    asked: dict[str, np.ndarray] = {}
    for count, share, slope in zip(counts, shares, slopes, strict=True):
        part_RP = slope * (count.hits_RP - share * count.counted_RP) / count.counted_RP.sum()
        added[count.prompts] = added.get(count.prompts, 0.0) + part_RP
        asked[count.prompts] = asked.get(count.prompts, False) | (count.counted_RP > 0)
    blocks = [  # paired_bootstrap takes the mean over blocks of each block's mean
        np.where(asked[key], added_RP * asked[key].sum() * len(added), np.nan)
        for key, added_RP in added.items()
    ]
    found = paired_bootstrap(blocks)
    return found.high - found.low


def _reach(count: Count) -> float:
    """What Wilson still allows for an event that no request showed."""
    return wilson(0, count.trials).high


def _same(one: Count, other: Count) -> bool:
    return one.prompts == other.prompts and all(
        np.array_equal(a, b) for a, b in zip(one[:2], other[:2], strict=True)
    )
