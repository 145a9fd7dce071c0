"""RDS: which rows are kept near the reference."""

from __future__ import annotations

import math
import random

from playsafe.errors import BadInput, nearest

RULES = ("score", "random", "flip", "all", "none")


def rds_gap(a_role: float, a_unsafe: float) -> float:
    """gap = a_unsafe − a_role,  a_k = (1/|y|) Σ_t log p_ref(y_t | s_k, x, y_<t)     SaRFT, RDS

    Nats per token. Positive: the role with the unsafe prompt explains the reply better than the role alone.
    The paper compares log(π_k / π_ref); π_ref cancels in the difference.
    """
    return a_unsafe - a_role


def select(gaps: dict[str, float], rule: str, *, threshold: float = 0.0, seed: int = 0) -> frozenset[str]:
    """D_h = {row : gap > τ}, strictly, and its controls                SaRFT, RDS

    gaps: row id → `rds_gap`, the whole data set at once. Rules:
    score   gap > threshold;
    random  as many rows as `score` finds, drawn with `seed`, whatever the order of `gaps`;
    flip    all the rows that `score` leaves;
    all, none.
    Raises BadInput for another rule, and for a gap or threshold that is not a number.
    """
    if rule not in RULES:
        raise BadInput(f"unknown subset rule {rule!r}.", allowed=", ".join(RULES), next=nearest(rule, RULES))
    if math.isnan(threshold):
        raise BadInput("the subset threshold is not a number.", allowed="a number of nats per token")
    for row, gap in gaps.items():
        if math.isnan(gap):
            raise BadInput("the RDS gap is not a number.", where=f"row {row}", next="Score this row again.")
    everything = frozenset(gaps)
    scored = frozenset(row for row, gap in gaps.items() if gap > threshold)
    match rule:
        case "score":
            return scored
        case "random":
            return frozenset(random.Random(seed).sample(sorted(everything), k=len(scored)))
        case "flip":
            return everything - scored
        case "all":
            return everything
        case _:
            return frozenset()
