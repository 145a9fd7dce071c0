"""Quantiles of the beta distribution and of Student's t."""

from __future__ import annotations

import math
from functools import lru_cache


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
