"""Training methods: one file each, and this folder is the registry.

A new method is one new file with a module-level `METHOD`. It says which rows its safety term sees, how each
token is weighed, and what the loss is; the Trainer, the CLI and the contract tests find it by enumeration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from playsafe.config import MethodConfig
from playsafe.records import Score, Subset
from playsafe.registry import Registry
from playsafe.settings import Section

if TYPE_CHECKING:
    from torch import Tensor

    from playsafe.models.policy import Loss, Policy
    from playsafe.objectives import Pooling


Options = Section  # base of every method's options; unknown keys are errors


class Weighed(NamedTuple):
    """What one row contributes to each term: a weight per position and an amount to the denominator.

    The weight at position t belongs to the prediction made there, that is of token t + 1.
    """

    weights: dict[str, list[float]]
    counts: dict[str, float]


class PairUse(NamedTuple):
    """What a method takes of a preference pair.

    term: the term of its loss that reads both replies; "" where it reads the safe one alone. ce: whether the
    safe reply has a cross-entropy term too. pooling: how the dominant side's representation is pooled for the
    term "retain"; None holds nothing.
    """

    term: str
    ce: bool = False
    pooling: Pooling | None = None


class Method(Protocol):
    """What a method file provides as `METHOD`."""

    name: str
    summary: str
    source: str
    Options: type[Options]

    def factors(self, options: Any) -> dict[str, float]:
        """Terms of the loss and the factor of each (λ and the like)."""

    def needs_scores(self, options: Any) -> bool: ...

    def subset(self, ids: Sequence[str], scores: Mapping[str, Score], options: Any, seed: int) -> Subset:
        """The rows that the safety term sees."""

    def weigh(
        self, ids: Sequence[int], reply_mask: Sequence[bool], in_subset: bool, options: Any
    ) -> Weighed: ...

    def pairs(self, options: Any) -> PairUse | None:
        """What it takes of the study's preference pairs; None: it trains on the role's rows alone."""

    def loss(self, policy: Policy, batch: dict[str, Any], scale: Mapping[str, Tensor], options: Any) -> Loss:
        """Σ_terms scale·Σ_t weight·value over the batch; scale: factor / denominator of the step."""


def weigh_reply(reply_mask: Sequence[bool]) -> Weighed:
    """Plain cross-entropy: each token of the reply alike."""
    reply = [1.0 if m else 0.0 for m in reply_mask[1:]] + [0.0]
    return Weighed({"ce": reply}, {"ce": sum(reply)})


REGISTRY: Registry[Method] = MethodConfig.registry
names, get = REGISTRY.names, REGISTRY.get


def parse_options(config: MethodConfig) -> Any:
    """The validated options of one configured method."""
    return config.parsed()
