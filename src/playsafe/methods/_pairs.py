"""What the preference methods on pairs share: cross-entropy on the role's rows and one term on the pairs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from playsafe.methods import Method, Options
from playsafe.terms import Loss, Term, ce, pairs

if TYPE_CHECKING:
    from torch import Tensor

    from playsafe.models.policy import PairSums


class PairMethod(Method):
    """L = E_rows[CE] + weight · E_pairs[value].

    value: the equation on a batch's `PairSums`, one loss a pair. needs: the constants that it reads.
    """

    def __init__(
        self,
        name: str,
        summary: str,
        source: str,
        options: type[Options],
        value: Callable[[PairSums, Any], Tensor],
        needs: Collection[str] = (),
        rows: tuple[str, ...] = ("role",),
    ) -> None:
        self.name, self.summary, self.source, self.Options = name, summary, source, options
        self.value, self.needs, self.rows = value, needs, rows

    def loss(self, options: Any) -> Term | Loss:
        value = pairs(self.name, lambda sums: self.value(sums, options), self.needs)
        return ce(*self.rows) + options.weight * value
