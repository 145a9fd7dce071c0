"""Streams: configuration → rows, one file each, found by `playsafe.registry`.

A term of a loss names the stream that it stands on; the rows of a stream bear its name or a part of it
("role", "role.flagged", "pairs.chosen"). A method may bring a stream of its own (`Method.streams`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from playsafe.config import StudyConfig
from playsafe.records import Role, Subset
from playsafe.registry import Registry

if TYPE_CHECKING:
    from playsafe.data.rows import Example
    from playsafe.methods import Method
    from playsafe.models.loading import Aligned
    from playsafe.terms import Loss

Made = TypeVar("Made")


@dataclass(frozen=True)
class Material:
    """What rows are made of.

    aligned: gives the frozen model with its renderer, in eval mode. select: the method's choice among the
    role's rows. once: (key, make) → what is made once and kept while the worker lives. cache: a folder for
    what the frozen model was asked; model_identity names that model.
    """

    config: StudyConfig
    role: Role | None
    aligned: Callable[[], Aligned]
    select: Callable[[Sequence[str]], Subset]
    once: Callable[[Hashable, Callable[[], Any]], Any]
    cache: Path
    model_identity: Mapping[str, Any]
    note: Callable[[str], None]

    @property
    def pad_id(self) -> int:
        renderer = self.aligned().renderer
        return renderer.end_of_turn if renderer.pad_id is None else renderer.pad_id


class Rows(NamedTuple):
    """examples: in order. about: what training.json says of them."""

    examples: list[Example]
    about: dict[str, Any]


class Stream(Protocol):
    """What a stream file provides as `STREAM`. provides: constants of its rows that a term may need."""

    provides: frozenset[str]

    def identity(self, material: Material) -> Any:
        """What its rows rest on besides the model and the settings of data and training."""

    def rows(self, material: Material, terms: Loss, first: int) -> Rows:
        """Its examples for the terms that stand on it, numbered from `first`. Raises BadInput."""


REGISTRY: Registry[Stream] = Registry("playsafe.streams", "STREAM", "stream", "methods")
names, get = REGISTRY.names, REGISTRY.get


def of_loss(method: Method, loss: Loss, where: str) -> dict[str, Stream]:
    """The streams of a loss by name, the method's own first. Refuses what no stream provides."""
    found = {name: method.streams.get(name) or get(name, where) for name in loss.streams}
    loss.check({name: stream.provides for name, stream in found.items()}, where)
    return found
