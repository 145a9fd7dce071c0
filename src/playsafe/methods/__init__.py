"""Training methods: one file each, found by `playsafe.registry`.

A method is a file that ends in `METHOD = ...`. Its life has four hooks, each with a default: `select` (which
rows the safety term sees), `prepare` (the model before the first step), `step` (the loss of a micro-batch:
the sum of the terms of `loss`) and `finish` (the weights after the last one).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from playsafe.config import MethodConfig
from playsafe.records import Subset
from playsafe.registry import Registry
from playsafe.settings import Section
from playsafe.terms import Loss, Term

if TYPE_CHECKING:
    from torch import Tensor

    from playsafe.models.policy import Batch, Found, Policy
    from playsafe.streams import Stream

Options = Section  # base of every method's options; unknown keys are errors


class Scored(NamedTuple):
    """What a scorer said of a role's rows, by id, and the study's threshold."""

    values: Mapping[str, float]
    threshold: float


class Method:
    """What a method file provides as `METHOD`.

    streams: rows of its own, by the name that its terms stand on; those of `playsafe.streams` need none.
    """

    name: str
    summary: str
    source: str
    Options: type[Section] = Options
    streams: ClassVar[Mapping[str, Stream]] = {}

    def loss(self, options: Any) -> Term | Loss:
        """The paper's line: terms, on which rows each stands and what it needs."""
        raise NotImplementedError

    def scorer(self, options: Any) -> str | None:
        """The scorer whose values `select` rests on; None where it needs none."""
        return None

    def select(self, ids: Sequence[str], scored: Scored, options: Any, seed: int) -> Subset:
        """The role's rows that become "role.flagged"."""
        return Subset("none", 0.0, 0.0)

    def prepare(self, model: Any, options: Any) -> None:
        """Change the model (its adapter in place) before the first step."""

    def step(self, policy: Policy, batch: Batch, scale: Mapping[str, Tensor], options: Any) -> Found:
        """The loss of one micro-batch. scale: term → its weight over the optimiser step's denominator."""
        return policy.value(batch, scale)

    def finish(self, model: Any, options: Any) -> None:
        """Change the weights after the last step, before they are saved."""


REGISTRY: Registry[Method] = MethodConfig.registry
names, get = REGISTRY.names, REGISTRY.get


def loss_of(method: Method, options: Any) -> Loss:
    """The terms of a method's loss."""
    return Loss.of(method.loss(options))
