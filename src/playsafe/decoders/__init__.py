"""Decoders: next-token distributions → next-token distribution; one file each, found by `playsafe.registry`.

A decoder names further contexts that the same model reads beside the prompt and combines what it says of the
next token in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from playsafe.config import DecodeConfig
from playsafe.records import Role
from playsafe.registry import Registry
from playsafe.settings import Section

if TYPE_CHECKING:
    from torch import Tensor


class Decoder(Protocol):
    """What a decoder file provides as `DECODER`."""

    name: str
    summary: str
    source: str
    Options: type[Section]

    def contexts(self, role: Role | None, options: Any) -> Sequence[str | None]:
        """System texts of the further contexts, None for no system turn. BadInput where there is none."""

    def combine(self, logp_BV: Tensor, others: Sequence[Tensor], options: Any) -> Tensor:
        """Scores [B, V] of the next token, from log-probabilities under the prompt and the contexts."""


REGISTRY: Registry[Decoder] = DecodeConfig.registry
names, get = REGISTRY.names, REGISTRY.get
