"""The fused loss against the plain one over full logits, in float64."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from playsafe.errors import BadInput
from playsafe.objectives import cross_entropy, fused_ce_kl, kl, row_mean

N, D, V = 23, 6, 17


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On matrices this small, a second thread only waits: seven times slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Case(NamedTuple):
    """One problem: a third of the rows with KL, some with neither term, one KL row without a target."""

    hidden: Tensor
    head: Tensor
    bias: Tensor
    target: Tensor
    ce_weight: Tensor
    kl_weight: Tensor
    ref_hidden: Tensor  # all N rows
    ref_head: Tensor
    ref_bias: Tensor

    @property
    def kl_rows(self) -> Tensor:
        return self.kl_weight != 0

    def to(self, dtype: torch.dtype) -> "Case":
        return Case(*(tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in self))


def predicting(mask_BT: torch.Tensor) -> torch.Tensor:
    """From a mask of tokens to that of the positions that predict them."""
    return torch.cat([mask_BT[:, 1:], torch.zeros_like(mask_BT[:, :1])], dim=1)


def make_case(seed: int = 0) -> Case:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    head, bias, hidden = normal(V, D), normal(V), normal(N, D)
    ce_weight, kl_weight = normal(N).abs() / N, normal(N).abs() / 9
    ce_weight[[2, 3, 7]] = 0
    kl_weight[torch.arange(N) % 3 != 1] = 0
    target = torch.randint(V, (N,), generator=generator)
    target[[2, 7]] = -100  # row 7 has a KL term
    ref = hidden + 0.3 * normal(N, D), head + 0.1 * normal(V, D), bias + 0.1 * normal(V)
    return Case(hidden, head, bias, target, ce_weight, kl_weight, *ref)


def plain(
    case: Case, *, direction: str, softcap: float | None, scale: float, bias: bool, with_kl: bool
) -> Tensor:
    """Σ_n ce_n · CE_n + Σ_n kl_n · KL_n from all logits at once."""

    def logits(hidden: Tensor, head: Tensor, bias_V: Tensor) -> Tensor:
        z = scale * (hidden @ head.T + (bias_V if bias else 0))
        return z if softcap is None else softcap * torch.tanh(z / softcap)

    z = logits(case.hidden, case.head, case.bias)
    total = (case.ce_weight * cross_entropy(z, case.target.clamp(min=0))).sum()
    if with_kl:
        z_ref = logits(case.ref_hidden, case.ref_head, case.ref_bias)
        total = total + (case.kl_weight * kl(z_ref.log_softmax(-1), z.log_softmax(-1), direction)).sum()
    return total


def fused(case: Case, *, bias: bool = True, with_kl: bool = True, scale: float = 1.0, **options: Any) -> Any:
    reference = {
        "kl_weight_N": case.kl_weight,
        "ref_hidden_ND": case.ref_hidden[case.kl_rows],
        "ref_head_weight_VD": case.ref_head,
        "ref_bias": case.ref_bias if bias else None,
    }
    return fused_ce_kl(
        case.hidden,
        case.head,
        case.target,
        ce_weight_N=case.ce_weight,
        bias=case.bias if bias else None,
        logit_scale=scale,
        **(reference if with_kl else {}),
        **options,
    )


def watched(case: Case, *, head: bool) -> list[Tensor]:
    tensors = [case.hidden, case.bias] + ([case.head] if head else [])
    for tensor in tensors:
        tensor.requires_grad_()
    return tensors


@pytest.mark.parametrize("chunk", [1, 5, 128])
@pytest.mark.parametrize("with_kl", [True, False], ids=["kl", "ce"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("head", [True, False], ids=["head", "no-head"])
@pytest.mark.parametrize(("softcap", "scale"), [(None, 1.0), (2.0, 1.0), (2.0, 0.7)])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_equals_the_plain_loss(
    direction: str, softcap: float | None, scale: float, head: bool, bias: bool, with_kl: bool, chunk: int
) -> None:
    case = make_case()
    tensors = watched(case, head=head)
    options = {"direction": direction, "softcap": softcap, "scale": scale, "bias": bias, "with_kl": with_kl}
    expected = plain(case, **options)
    wanted = torch.autograd.grad(expected, tensors, allow_unused=True)
    loss = fused(case, chunk=chunk, **options)
    assert_close(loss.total, expected, rtol=1e-9, atol=0)
    assert_close(loss.ce + loss.kl, loss.total)
    for ours, theirs in zip(torch.autograd.grad(loss.total, tensors, allow_unused=True), wanted, strict=True):
        assert_close(ours, theirs, rtol=1e-9, atol=1e-12) if theirs is not None else None
        assert (ours is None) == (theirs is None)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 3e-2), (torch.float16, 4e-3)]
)
def test_lower_precision(dtype: torch.dtype, tolerance: float, direction: str) -> None:
    """Rounding the inputs is part of the error in the short types. What counts is the norm of the error."""
    exact = make_case()
    case = exact.to(dtype)._replace(ce_weight=exact.ce_weight.float(), kl_weight=exact.kl_weight.float())
    leaves, tensors = watched(exact, head=True), watched(case, head=True)
    expected = plain(exact, direction=direction, softcap=5.0, scale=1.0, bias=True, with_kl=True)
    wanted = torch.autograd.grad(expected, leaves)
    loss = fused(case, direction=direction, softcap=5.0, chunk=4)
    assert abs(loss.total - expected) <= tolerance * expected
    assert loss.total.dtype == torch.float32
    for ours, theirs, tensor in zip(torch.autograd.grad(loss.total, tensors), wanted, tensors, strict=True):
        assert ours.dtype == tensor.dtype == dtype
        assert (ours - theirs).norm() <= tolerance * theirs.norm()


def test_small_weights_survive_float16() -> None:
    """A weight of 1e-9, far below float16's least number, under a loss scale of 1e9."""
    case = make_case().to(torch.float16)
    weights = [make_case().ce_weight.float(), make_case().kl_weight.float()]
    (tensor, *_) = watched(case, head=False)
    large = fused(case._replace(ce_weight=weights[0], kl_weight=weights[1])).total
    small = fused(case._replace(ce_weight=weights[0] * 1e-9, kl_weight=weights[1] * 1e-9)).total
    assert_close(
        *(torch.autograd.grad(total, tensor)[0] for total in (large, small * 1e9)), rtol=2e-3, atol=1e-7
    )


def test_autocast_runs_the_head_in_its_type() -> None:
    case = make_case().to(torch.float32)
    tensors = watched(case, head=True)
    exact = torch.autograd.grad(fused(case).total, tensors)
    with torch.autocast("cpu", torch.bfloat16):
        total = fused(case).total
    assert total.dtype == torch.float32
    for ours, theirs in zip(torch.autograd.grad(total, tensors), exact, strict=True):
        assert ours.dtype == torch.float32
        assert 0 < (ours - theirs).norm() <= 2e-2 * theirs.norm()


def test_reference_equal_to_policy_has_no_kl() -> None:
    """θ = ref: KL is 0 and so is its gradient, so that the whole gradient is that of the cross-entropy."""
    case = make_case()
    case = case._replace(ref_hidden=case.hidden.clone())
    tensors = watched(case, head=True)
    shared = {"kl_weight_N": case.kl_weight, "ref_hidden_ND": case.ref_hidden[case.kl_rows]}
    loss = fused(case, with_kl=False, **shared)
    assert abs(loss.kl.item()) < 1e-12
    ce_only = torch.autograd.grad(fused(case, with_kl=False).total, tensors)
    for ours, theirs in zip(torch.autograd.grad(loss.total, tensors), ce_only, strict=True):
        assert_close(ours, theirs)


def test_no_gradient_to_the_reference() -> None:
    case = make_case()
    watched(case, head=True)
    references = [
        case.ref_hidden.requires_grad_(),
        case.ref_head.requires_grad_(),
        case.ref_bias.requires_grad_(),
    ]
    fused(case).total.backward()
    assert [tensor.grad for tensor in references] == [None, None, None]


def test_accumulation_of_two_halves_with_an_upstream_factor() -> None:
    case = make_case()
    tensors = watched(case, head=True)
    whole = torch.autograd.grad(0.25 * fused(case).total, tensors)
    for rows in (torch.arange(N) < 10, torch.arange(N) >= 10):
        half = case._replace(
            hidden=case.hidden[rows],
            target=case.target[rows],
            ce_weight=case.ce_weight[rows],
            kl_weight=case.kl_weight[rows],
            ref_hidden=case.ref_hidden[rows],
        )
        (0.25 * fused(half).total).backward()
    for tensor, expected in zip(tensors, whole, strict=True):
        assert_close(tensor.grad, expected)


def test_a_second_backward_is_refused() -> None:
    case = make_case()
    watched(case, head=False)
    total = fused(case).total
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace"):
        total.backward()
    factor = torch.ones((), requires_grad=True)
    (first,) = torch.autograd.grad(factor * fused(case).total, case.hidden, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_nothing_asked_for_gives_values_only() -> None:
    case = make_case()
    assert not fused(case).total.requires_grad
    watched(case, head=True)
    with torch.no_grad():
        assert not fused(case).total.requires_grad
    loss = fused(case)
    assert not loss.ce.requires_grad
    assert not loss.kl.requires_grad


def test_all_weights_zero() -> None:
    case = make_case()._replace(ce_weight=torch.zeros(N), kl_weight=torch.zeros(N))
    watched(case, head=True)
    loss = fused(case)
    loss.total.backward()
    assert loss.total == 0
    assert case.head.grad is not None
    assert case.head.grad.abs().max() == 0
    assert case.hidden.grad is not None
    assert case.hidden.grad.abs().max() == 0


def test_released_weights_fit() -> None:
    """The preset's KL at the last position, where no target exists, is the −100 case."""
    attention = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
    tokens_B1 = attention.float().sum(dim=1, keepdim=True)
    ce_BT = row_mean(predicting(torch.tensor([[0.0, 0, 1, 1], [0, 0, 0, 1]])), tokens_B1)
    kl_BT = row_mean(torch.tensor([1.0, 0])[:, None] * attention, tokens_B1)
    case = make_case()
    target = torch.tensor([[1, 2, 3, -100], [4, 5, 6, -100]]).flatten()
    loss = fused_ce_kl(
        case.hidden[:8],
        case.head,
        target,
        ce_weight_N=ce_BT.flatten(),
        kl_weight_N=kl_BT.flatten(),
        ref_hidden_ND=case.ref_hidden[1:4],
    )
    z, z_ref = case.hidden[:8] @ case.head.T, case.ref_hidden[1:4] @ case.head.T
    ce = cross_entropy(z, target.clamp(min=0))
    assert_close(loss.ce.item(), ((ce[1] + ce[2]) / 3.00001 + ce[6] / 4.00001).item(), rtol=1e-6, atol=0)
    divergence = kl(z_ref.log_softmax(-1), z[1:4].log_softmax(-1), "forward").sum() / 3.00001
    assert_close(loss.kl.item(), divergence.item(), rtol=1e-6, atol=0)


def test_errors() -> None:
    case = make_case()
    rows = {"kl_weight_N": case.kl_weight}
    for options, message in [
        ({"direction": "backward"}, "Allowed: forward, reverse"),
        ({"chunk": 0}, "chunk of 0"),
        ({"softcap": 0.0}, "softcap"),
        (dict(with_kl=False, **rows), "Pass ref_hidden_ND"),
        (dict(with_kl=False, **rows, ref_hidden_ND=case.ref_hidden), r"shape \[23, 6\] for 8 tokens"),
        ({"with_kl": False, "ref_hidden_ND": case.ref_hidden}, "for 0 tokens"),
        ({"with_kl": False, "ref_head_weight_VD": case.ref_head[1:]}, "cannot be compared"),
        ({"with_kl": False, "kl_weight_N": case.kl_weight[1:]}, "kl_weight_N has shape"),
    ]:
        with pytest.raises(BadInput, match=message):
            fused(case, **options)
    with pytest.raises(BadInput, match="do not fit"):
        fused(case._replace(head=case.head[:, 1:]))
    for wrong in (-100, V):
        with pytest.raises(BadInput, match="outside the vocabulary"):
            fused(case._replace(target=torch.full((N,), wrong)))
