"""Intervals and tests: shares (Wilson, Newcombe's pairs, early looks), means over roles and prompts, ranks.

95 % unless said otherwise; tests/unit/test_coverage.py measures how often each interval holds the truth.
Several texts of one request are no independent items: what takes them is told which belong together (trials).
Every random draw comes from one generator whose seed is an argument. Nothing is cut to a range: a caller that
knows its numbers are shares cuts a mean's interval to 0..1.
"""

from __future__ import annotations

from playsafe.statistics.means import (
    AT_ONCE,
    bootstrap_mean,
    by_trial,
    numbered,
    paired_bootstrap,
)
from playsafe.statistics.nonparametric import (
    holm,
    mcnemar,
    pareto_front,
    ranks,
    spearman,
    spearman_interval,
)
from playsafe.statistics.quantiles import (
    beta_quantile,
    beta_share,
    t_quantile,
)
from playsafe.statistics.shares import (
    Z95,
    Interval,
    cohen_kappa,
    effective,
    newcombe_paired,
    sequential_share,
    share_looks,
    wilson,
)

__all__ = [
    "AT_ONCE",
    "Z95",
    "Interval",
    "beta_quantile",
    "beta_share",
    "bootstrap_mean",
    "by_trial",
    "cohen_kappa",
    "effective",
    "holm",
    "mcnemar",
    "newcombe_paired",
    "numbered",
    "paired_bootstrap",
    "pareto_front",
    "ranks",
    "sequential_share",
    "share_looks",
    "spearman",
    "spearman_interval",
    "t_quantile",
    "wilson",
]
