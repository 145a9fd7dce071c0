"""Equations against numbers worked out by hand, their zero cases and their properties."""

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from playsafe.errors import BadInput
from playsafe.objectives import (
    RULES,
    cross_entropy,
    head_logits,
    kl,
    mean_logprob,
    rbo,
    rds_gap,
    reply_logprob,
    row_mean,
    select,
    token_logprob,
)

LOG = math.log


def predicting(mask_BT: torch.Tensor) -> torch.Tensor:
    """From a mask of tokens to that of the positions that predict them."""
    return torch.cat([mask_BT[:, 1:], torch.zeros_like(mask_BT[:, :1])], dim=1)


def random_logp(seed: int, rows: int = 50, vocabulary: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(rows, vocabulary, generator=generator, dtype=torch.float64)).log_softmax(-1)


# --- log-probabilities


def test_token_logprob_by_hand() -> None:
    """Logits log(1, 3) give p = (1/4, 3/4), logits (0, 0) give (1/2, 1/2). Of ids (0, 1, 0) the second is
    predicted by the first row of logits: log 3/4; the third by the second: log 1/2; the last predicts none.
    """
    logits = torch.tensor([[[0.0, LOG(3)], [0.0, 0.0], [9.0, 0.0]]])
    assert_close(token_logprob(logits, torch.tensor([[0, 1, 0]])), torch.tensor([[LOG(3 / 4), LOG(1 / 2)]]))


def test_token_logprob_upcasts() -> None:
    logits = torch.randn(1, 4, 9).bfloat16()
    assert token_logprob(logits, torch.zeros(1, 4, dtype=torch.long)).dtype == torch.float32


def test_reply_logprob_by_hand() -> None:
    """h = (1, 2), W rows (1, 0), (0, 1), bias (1, 0): z = (2, 2), so each token has log 1/2.
    h = (log 3, 0) without bias: z = (log 3, 0), token 0 has log 3/4. A cap c makes (c·atanh(1/2), 0) into
    (c/2, 0): log 3/4 again with c = 2 log 3. A scale of 1/2 makes (log 9, 0) into (log 3, 0).
    """
    head = torch.eye(2)
    hidden, target = torch.tensor([[1.0, 2.0]]), torch.tensor([1])
    assert_close(
        reply_logprob(hidden, head, target, bias=torch.tensor([1.0, 0.0])), torch.tensor([LOG(1 / 2)])
    )
    hidden, target = torch.tensor([[LOG(3), 0.0]]), torch.tensor([0])
    assert_close(reply_logprob(hidden, head, target), torch.tensor([LOG(3 / 4)]))
    cap = 2 * LOG(3)
    hidden = torch.tensor([[cap * math.atanh(0.5), 0.0]])
    assert_close(reply_logprob(hidden, head, target, softcap=cap), torch.tensor([LOG(3 / 4)]))
    hidden = torch.tensor([[LOG(9), 0.0]])
    assert_close(reply_logprob(hidden, head, target, logit_scale=0.5), torch.tensor([LOG(3 / 4)]))


@pytest.mark.parametrize("chunk", [1, 3, 128])
def test_reply_logprob_is_token_logprob(chunk: int) -> None:
    hidden, head, ids = torch.randn(8, 5), torch.randn(11, 5), torch.randint(11, (1, 8))
    expected = token_logprob((hidden @ head.T)[None], ids)[0]
    assert_close(reply_logprob(hidden[:-1], head, ids[0, 1:], chunk=chunk), expected)


def test_reply_logprob_refuses_a_masked_target() -> None:
    with pytest.raises(BadInput, match="first is -100"):
        reply_logprob(torch.randn(2, 3), torch.randn(4, 3), torch.tensor([0, -100]))


def test_head_logits_scale_before_cap() -> None:
    """u = 1/2 · 2 · 1 = 1, z = 3 · tanh(1/3)."""
    z = head_logits(torch.tensor([[2.0]]), torch.tensor([[1.0]]), softcap=3.0, logit_scale=0.5)
    assert_close(z.item(), 3 * math.tanh(1 / 3), rtol=1e-6, atol=0)


def test_mean_logprob() -> None:
    assert mean_logprob(sum=-6.0, tokens=4) == -1.5
    assert_close(mean_logprob(torch.tensor([-6.0, -2.0]), torch.tensor([4, 1])), torch.tensor([-1.5, -2.0]))
    with pytest.raises(BadInput, match="empty reply"):
        mean_logprob(0.0, 0)
    with pytest.raises(BadInput):
        mean_logprob(torch.tensor([-1.0, 0.0]), torch.tensor([1, 0]))


# --- cross-entropy and KL


def test_cross_entropy_by_hand() -> None:
    """Logits log(1, 3): −log 1/4 = 1.3863 for token 0, −log 3/4 = 0.2877 for token 1."""
    logits = torch.tensor([[0.0, LOG(3)]]).repeat(2, 1)
    assert_close(cross_entropy(logits, torch.tensor([0, 1])), torch.tensor([1.3862944, 0.2876821]))


def test_kl_by_hand() -> None:
    """p_ref = (1/2, 1/2), p_θ = (9/10, 1/10).
    forward: 1/2 log(5/9) + 1/2 log 5 = 0.5108;  reverse: 9/10 log(9/5) + 1/10 log(1/5) = 0.3681.
    """
    logp_ref, logp = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log()
    assert_close(kl(logp_ref, logp, "forward"), torch.tensor([0.5108256]))
    assert_close(kl(logp_ref, logp, "reverse"), torch.tensor([0.3680642]))


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_kl_properties(direction: str) -> None:
    logp_ref, logp = random_logp(0), random_logp(1)
    assert kl(logp_ref, logp, direction).min() > 0
    assert kl(logp, logp, direction).abs().max() < 1e-12
    other = "reverse" if direction == "forward" else "forward"
    assert_close(kl(logp_ref, logp, direction), kl(logp, logp_ref, other))
    assert (kl(logp_ref, logp, direction) - kl(logp_ref, logp, other)).abs().min() > 1e-6


def test_kl_has_no_gradient_to_the_reference() -> None:
    logp_ref, logp = random_logp(0).requires_grad_(), random_logp(1).requires_grad_()
    kl(logp_ref, logp, "forward").sum().backward()
    assert logp_ref.grad is None
    assert logp.grad is not None


def test_unknown_direction_names_the_nearest() -> None:
    with pytest.raises(BadInput, match="Did you mean 'reverse'"):
        kl(random_logp(0), random_logp(1), "revers")


# --- RDS

GAPS = {f"row-{i}": (i % 5 - 3) / 10 for i in range(100)}  # −.3 −.2 −.1 0 .1, twenty of each


def test_rds_gap_and_score_by_hand() -> None:
    """a_unsafe − a_role = −1.0 − (−1.5) = 0.5. Of the gaps only .1 is above 0: a gap of exactly τ is out."""
    assert rds_gap(a_role=-1.5, a_unsafe=-1.0) == 0.5
    assert len(select(GAPS, "score")) == 20
    assert all(GAPS[row] == 0.1 for row in select(GAPS, "score"))
    assert len(select(GAPS, "score", threshold=-0.1)) == 40
    assert select({"a": 0.5}, "score", threshold=0.5) == frozenset()


def test_controls() -> None:
    scored = select(GAPS, "score")
    assert select(GAPS, "flip") == set(GAPS) - scored
    assert select(GAPS, "all") == set(GAPS)
    assert select(GAPS, "none") == frozenset()
    assert all(select({}, rule) == frozenset() for rule in RULES)


def test_random_control() -> None:
    drawn = select(GAPS, "random", seed=1)
    assert len(drawn) == len(select(GAPS, "score")) == 20
    assert drawn < set(GAPS)
    backwards = dict(reversed(GAPS.items()))
    assert select(backwards, "random", seed=1) == drawn
    assert select(GAPS, "random", seed=2) != drawn
    assert drawn != select(GAPS, "score")


def test_selection_errors() -> None:
    with pytest.raises(BadInput, match="Did you mean 'score'"):
        select(GAPS, "scores")
    with pytest.raises(BadInput, match="row row-7: the RDS gap is not a number"):
        select(GAPS | {"row-7": math.nan}, "score")
    with pytest.raises(BadInput, match="threshold"):
        select(GAPS, "score", threshold=math.nan)


# --- RBO


@pytest.mark.parametrize("number", [float, torch.tensor])
def test_rbo_by_hand(number: Callable) -> None:
    """6/4 + 0.5 · 3/2 = 2.25; with λ = 0 the cross-entropy 1.5; the same without subset tokens."""
    assert rbo(number(6.0), number(4), number(3.0), number(2), 0.5) == 2.25
    assert rbo(number(6.0), number(4), number(3.0), number(2), 0.0) == 1.5
    assert rbo(number(6.0), number(4), number(0.0), number(0), 0.5) == 1.5
    with pytest.raises(BadInput, match="reply token"):
        rbo(number(0.0), number(0), number(0.0), number(0), 0.5)


def test_predicting_shifts_left() -> None:
    assert predicting(torch.tensor([[1, 0, 1, 1]])).tolist() == [[0, 1, 1, 0]]
    assert predicting(torch.tensor([[True, True]])).tolist() == [[True, False]]


def literal_released_loss(
    logits: Tensor, ref_logits: Tensor, ids: Tensor, reply: Tensor, attention: Tensor, m: Tensor, beta: float
) -> Tensor:
    """(1/B) Σ_i 1/(n_i+1e-5) · [Σ_{t∈Y_i} −log p_θ(y_t|.) + β · m_i · Σ_{t: attn=1} KL(p_ref ‖ p_θ)(.|≤t)]"""
    loss = torch.zeros((), dtype=logits.dtype)
    for i in range(len(ids)):
        bracket = torch.zeros((), dtype=logits.dtype)
        for t in range(ids.shape[1]):
            if reply[i, t]:
                bracket += -torch.log(torch.softmax(logits[i, t - 1], 0)[ids[i, t]])
            if attention[i, t]:
                p_ref, p = torch.softmax(ref_logits[i, t], 0), torch.softmax(logits[i, t], 0)
                bracket += beta * m[i] * (p_ref * torch.log(p_ref / p)).sum()
        loss += bracket / (attention[i].sum() + 1e-5)
    return loss / len(ids)


def padded_batch() -> tuple[Tensor, ...]:
    """(ids, reply, attention, flagged): five tokens in all; right padding, left padding, none."""
    attention = torch.tensor([[1, 1, 1, 1, 0], [0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    reply = torch.tensor([[0, 0, 1, 1, 0], [0, 0, 0, 1, 1], [0, 1, 1, 1, 1]])
    return (
        torch.randint(6, (3, 5), generator=torch.Generator().manual_seed(3)),
        reply,
        attention,
        torch.tensor([1, 1, 0]),
    )


class Weights(NamedTuple):
    ce_BT: torch.Tensor
    kl_BT: torch.Tensor


def released_weights(reply: torch.Tensor, attention: torch.Tensor, flagged: torch.Tensor) -> Weights:
    tokens_B1 = attention.float().sum(dim=1, keepdim=True)
    subset_BT = flagged.float()[:, None] * attention.float()
    return Weights(row_mean(predicting(reply.float()), tokens_B1), row_mean(subset_BT, tokens_B1))


def test_released_weights_are_the_released_formula() -> None:
    ids, reply, attention, flagged = padded_batch()
    logits, ref_logits = random_logp(4, 15, 6).view(3, 5, 6), random_logp(5, 15, 6).view(3, 5, 6)
    weights = released_weights(reply, attention, flagged)
    target = ids.roll(-1, dims=1)
    ce = cross_entropy(logits.flatten(0, 1), target.flatten()).view(3, 5)
    divergence = kl(ref_logits.log_softmax(-1), logits.log_softmax(-1), "forward")
    ours = ((weights.ce_BT * ce).sum() + 0.7 * (weights.kl_BT * divergence).sum()) / 3
    literal = literal_released_loss(logits, ref_logits, ids, reply, attention, flagged, beta=0.7)
    assert_close(ours, literal, rtol=1e-6, atol=0)


def test_released_weights_by_hand() -> None:
    """Row 0 has n = 4: CE of the tokens at 2 and 3 sits at 1 and 2, KL at 0 to 3. Row 2 has no KL."""
    _, reply, attention, flagged = padded_batch()
    weights = released_weights(reply.bool(), attention.bool(), flagged.bool())
    assert_close(weights.ce_BT[0], torch.tensor([0, 1, 1, 0, 0]) / 4.00001)
    assert_close(weights.kl_BT[0], torch.tensor([1, 1, 1, 1, 0]) / 4.00001)
    assert_close(weights.ce_BT[1], torch.tensor([0, 0, 1, 1, 0]) / 3.00001)
    assert_close(weights.kl_BT[1], torch.tensor([0, 0, 1, 1, 1]) / 3.00001)
    assert weights.kl_BT[2].sum() == 0
