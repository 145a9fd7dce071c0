"""What the methods on preference pairs share: cross-entropy on the role's rows, where there are any, and one
term a pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from playsafe.methods import Options, PairUse, Weighed, weigh_reply
from playsafe.records import Score, Subset

if TYPE_CHECKING:
    from torch import Tensor

    from playsafe.models.policy import Loss, PairSums, Policy


class PairMethod:
    """L = E_rows[CE] + weight · E_pairs[value].

    value: the pure function's call on a batch's `PairSums`, one loss a pair. ce: whether the safe replies of
    the pairs belong to the rows. term: the name of the second term, the method's own where none is given.
    """

    def __init__(
        self,
        name: str,
        summary: str,
        source: str,
        options: type[Options],
        value: Callable[[PairSums, Any], Tensor],
        *,
        ce: bool = False,
        term: str = "",
    ) -> None:
        self.name, self.summary, self.source, self.Options = name, summary, source, options
        self.value, self.ce, self.term = value, ce, term or name

    def factors(self, options: Any) -> dict[str, float]:
        return {"ce": 1.0, self.term: options.weight}

    def needs_scores(self, options: Any) -> bool:
        return False

    def subset(self, ids: Sequence[str], scores: Mapping[str, Score], options: Any, seed: int) -> Subset:
        return Subset("none", 0.0, 0.0, frozenset())

    def weigh(self, ids: Sequence[int], reply_mask: Sequence[bool], in_subset: bool, options: Any) -> Weighed:
        return weigh_reply(reply_mask)

    def pairs(self, options: Any) -> PairUse | None:
        return PairUse(self.term, ce=self.ce)

    def loss(self, policy: Policy, batch: dict[str, Any], scale: Mapping[str, Tensor], options: Any) -> Loss:
        return self.pair_loss(policy, batch, scale, options, policy.hidden(batch))

    def pair_loss(
        self,
        policy: Policy,
        batch: dict[str, Any],
        scale: Mapping[str, Tensor],
        options: Any,
        hidden_BTD: Tensor,
    ) -> Loss:
        """Cross-entropy and the pairs' term, from the hidden states of the batch."""
        found = policy.ce_kl(batch, scale, hidden_BTD=hidden_BTD)
        if "pairs" not in batch:
            return found
        losses_P = self.value(policy.pairs(batch, self.term, hidden_BTD), options)
        return added(found, self.term, losses_P.sum() * scale[self.term])


def added(loss: Loss, term: str, value: Tensor) -> Loss:
    """The loss with one more term, its scale already in it."""
    return loss._replace(total=loss.total + value, terms=loss.terms | {term: value.detach()})
