"""When an option has an effect, said beside its definition; `study.uses` refuses it where it has none.

gap_pairs: Annotated[int, Matters(lambda own, uses: own.gap_steps > 0, "gap_steps")] = Field(32, ge=1)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Uses:
    """What a study makes use of, whatever its options say.

    trains: False where it has targets alone. roles: how many; a whole file counts as two. pairs, reference:
    whether a method takes preference pairs, needs the frozen model while it trains. kinds: of the suites, all
    where there are none. known: whether a suite is found by its hash.
    """

    trains: bool
    roles: int
    pairs: bool
    reference: bool
    kinds: frozenset[str | None]
    known: bool


@dataclass(frozen=True, slots=True)
class Matters:
    """Metadata of a field. when: whether it has an effect, from its own section and from what the study uses.
    needs: what is missing where it has none, for "... has no effect without <needs>"."""

    when: Callable[[Any, Uses], Any]  # read as a truth
    needs: str


ROLES = Matters(lambda own, uses: uses.roles > 0, "roles")
TRAINING = Matters(lambda own, uses: uses.trains, "a training, and targets are not trained")
