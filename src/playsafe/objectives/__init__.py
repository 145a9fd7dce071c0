"""The papers' equations as pure tensor functions: no model, no configuration, no device, no logging.

Letters after an underscore name a tensor's axes: N tokens, M tokens with a KL term, V vocabulary, D hidden
size, B rows, T positions. Logarithms are natural (nats). Sums come out; the training step owns the
denominators.

A weight or mask of *positions* at t concerns the prediction made at position t, that is of token t + 1.
"""

from playsafe.objectives.divergence import DIRECTIONS, cross_entropy, kl
from playsafe.objectives.fused import FusedLoss, fused_ce_kl
from playsafe.objectives.head import head_logits
from playsafe.objectives.logprob import mean_logprob, reply_logprob, token_logprob, trained_logprob
from playsafe.objectives.pairs import (
    Pooling,
    dpo,
    gap_matching,
    ipo,
    kto,
    orpo,
    pooled,
    pooling_weights,
    retention,
    reward_gap,
    simpo,
)
from playsafe.objectives.rbo import PositionWeights, predicting, rbo, released_weights
from playsafe.objectives.selection import RULES, rds_gap, select

__all__ = [
    "DIRECTIONS",
    "RULES",
    "FusedLoss",
    "Pooling",
    "PositionWeights",
    "cross_entropy",
    "dpo",
    "fused_ce_kl",
    "gap_matching",
    "head_logits",
    "ipo",
    "kl",
    "kto",
    "mean_logprob",
    "orpo",
    "pooled",
    "pooling_weights",
    "predicting",
    "rbo",
    "rds_gap",
    "released_weights",
    "reply_logprob",
    "retention",
    "reward_gap",
    "select",
    "simpo",
    "token_logprob",
    "trained_logprob",
]
