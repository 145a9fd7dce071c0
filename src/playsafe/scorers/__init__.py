"""Scorers: a number for each of a role's rows, on which a method's `select` rests; one file each.

Scores lie in <role>/scores/ (RDS) or <role>/scores-<name>/, computed once for all methods and seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from playsafe.config import StudyConfig
from playsafe.data.chat import ChatRenderer
from playsafe.data.fitting import Fitted
from playsafe.records import Dialogue, Role
from playsafe.registry import Registry


class Work(NamedTuple):
    """A role's rows to be scored by the frozen model into `path`. advance: is told how many are done."""

    model: Any
    renderer: ChatRenderer
    role: Role
    rows: Sequence[tuple[Dialogue, Fitted]]
    config: StudyConfig
    path: Path
    advance: Callable[[int], None]


class Scorer(Protocol):
    """What a scorer file provides as `SCORER`. unit: of its values."""

    name: str
    summary: str
    source: str
    unit: str

    def score(self, work: Work) -> None:
        """Write a line a row into work.path, going on where an earlier call stopped."""

    def value(self, line: dict[str, Any]) -> float:
        """The row's number, from its line; above the threshold it counts as flagged."""


REGISTRY: Registry[Scorer] = Registry("playsafe.scorers", "SCORER", "scorer", "methods")
names, get = REGISTRY.names, REGISTRY.get
