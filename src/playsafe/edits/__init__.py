"""Edits: finished weights → weights, without training; one file each, found by `playsafe.registry`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from playsafe.config import EditConfig
from playsafe.registry import Registry
from playsafe.settings import Section

if TYPE_CHECKING:
    from torch import Tensor


class Weights(NamedTuple):
    """tuned: name → tensor, of an adapter (lora: its settings) or of a whole model (lora: None). base: gives
    the aligned model's tensor of a whole model's name."""

    tuned: dict[str, Tensor]
    base: Callable[[str], Tensor]
    lora: dict[str, Any] | None


class Edit(Protocol):
    """What an edit file provides as `EDIT`."""

    name: str
    summary: str
    source: str
    Options: type[Section]

    def apply(self, weights: Weights, options: Any) -> dict[str, Tensor]:
        """The edited tensors, under the same names. Raises BadInput for weights that it cannot edit."""


REGISTRY: Registry[Edit] = EditConfig.registry
names, get = REGISTRY.names, REGISTRY.get
