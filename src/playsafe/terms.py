"""A loss as the paper writes it: a sum of named terms, each an expectation over its own rows.

    ce("role") + λ * kl("role.flagged")          L = E_D[CE(y)] + λ · E_{D_h}[KL(p_ref ‖ p_θ)]

A term says on which stream of rows it stands ("role" holds "role.flagged" too), which marked positions of
them it weighs, over what it is averaged, and what it needs: the frozen "reference" policy, or constants of
its rows by name. What is needed and provided by nobody is refused before training (`Loss.check`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from playsafe import objectives
from playsafe.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from playsafe.data.rows import Row
    from playsafe.models.policy import PairSums

REFERENCE = "reference"  # the one need that the policy itself provides


def within(stream: str, names: Iterable[str]) -> bool:
    """Whether a row's stream is one of these or a part of one."""
    return any(stream == name or stream.startswith(f"{name}.") for name in names)


@dataclass(frozen=True)
class Term:
    """weight · E_on[value].

    over: the streams whose rows the denominator counts. asks: what the stream must know of it.
    """

    name: str
    on: tuple[str, ...]
    weight: float = 1.0
    over: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    asks: Mapping[str, Any] = field(default_factory=dict)

    def __add__(self, other: Term | Loss) -> Loss:
        return Loss((self, *(other if isinstance(other, Loss) else (other,))))

    def __rmul__(self, factor: float) -> Term:
        return replace(self, weight=factor * self.weight)

    def marks(self, row: Row) -> Sequence[float] | Tensor | None:
        """Weight of the prediction made at each position; None where the term does not see the row."""
        raise NotImplementedError

    def count(self, row: Row) -> float:
        """What the row adds to the denominator."""
        raise NotImplementedError

    @property
    def streams(self) -> set[str]:
        return {name.partition(".")[0] for name in (*self.on, *self.over)}


@dataclass(frozen=True)
class TokenTerm(Term):
    """Cross-entropy, or with a direction KL to the reference, of the marked tokens.

    average "token": over the marked tokens of `over`. "row": each row over its n_i + ε tokens, then over the
    rows, as SaRFT's released code does.
    """

    direction: Literal["", "forward", "reverse"] = ""
    tokens: str = "reply"
    average: Literal["token", "row"] = "token"

    def marks(self, row: Row) -> Sequence[float] | Tensor | None:
        if not within(row.stream, self.on):
            return None
        marks = row.mark(self.tokens)
        if self.average == "token":
            return marks
        import torch

        return objectives.row_mean(torch.tensor(marks), torch.tensor(float(len(row.ids) - row.padding)))

    def count(self, row: Row) -> float:
        if not within(row.stream, self.over or self.on):
            return 0.0
        return 1.0 if self.average == "row" else float(sum(row.mark(self.tokens)))


@dataclass(frozen=True)
class PairTerm(Term):
    """A value of the reply log-probabilities of each pair; mean over pairs."""

    value: Callable[[PairSums], Tensor] = lambda sums: sums.chosen

    def marks(self, row: Row) -> Sequence[float] | Tensor | None:
        replies = [f"{name}.{side}" for name in self.on for side in ("chosen", "rejected")]
        return row.mark("reply") if row.stream in replies else None

    def count(self, row: Row) -> float:
        return float(row.stream in [f"{name}.chosen" for name in self.on])


@dataclass(frozen=True)
class HeldTerm(Term):
    """A value of the pooled representation of each row, h_θ and h_ref; mean over rows."""

    value: Callable[[Tensor, Tensor], Tensor] = lambda h_AD, ref_h_AD: (h_AD - ref_h_AD).sum(dim=-1)

    def marks(self, row: Row) -> Sequence[float] | Tensor | None:
        return row.mark("pool") if row.stream in self.on else None

    def count(self, row: Row) -> float:
        return float(row.stream in self.on)


def ce(*on: str, name: str = "ce", tokens: str = "reply", average: Literal["token", "row"] = "token") -> Term:
    """E_on[CE(y)]."""
    return TokenTerm(name, on, tokens=tokens, average=average)


def kl(
    *on: str,
    name: str = "kl",
    over: str | None = None,
    direction: Literal["forward", "reverse"] = "forward",
    tokens: str = "reply",
    average: Literal["token", "row"] = "token",
) -> Term:
    """E_on[KL(p_ref ‖ p_θ)], or KL(p_θ ‖ p_ref) in reverse; over: whose rows are counted, `on` itself."""
    counted = (over,) if over is not None else ()
    needs = frozenset({REFERENCE})
    return TokenTerm(name, on, 1.0, counted, needs, direction=direction, tokens=tokens, average=average)


def pairs(
    name: str, value: Callable[[PairSums], Tensor], needs: Collection[str] = (), on: str = "pairs"
) -> Term:
    """E_pairs[value]; needs: constants of the pairs that the value reads."""
    return PairTerm(name, (on,), needs=frozenset(needs), value=value)


def held(name: str, value: Callable[[Tensor, Tensor], Tensor], pooling: str, on: str = "pairs.held") -> Term:
    """E[value] over representations that are held near the frozen model's."""
    return HeldTerm(name, (on,), needs=frozenset({"ref_hidden"}), asks={"pooling": pooling}, value=value)


class Loss(tuple[Term, ...]):
    """Σ of terms, in the order in which they were written."""

    __slots__ = ()

    def __add__(self, other: Term | Loss) -> Loss:  # type: ignore[override]
        return Loss((*self, *(other if isinstance(other, Loss) else (other,))))

    @classmethod
    def of(cls, written: Term | Loss) -> Loss:
        return written if isinstance(written, Loss) else cls((written,))

    @property
    def streams(self) -> list[str]:
        """Names of the streams that its rows come from, in order."""
        return list(dict.fromkeys(name.partition(".")[0] for term in self for name in (*term.on, *term.over)))

    def needing(self, need: str) -> list[Term]:
        """The terms that have weight and need this."""
        return [term for term in self if need in term.needs and term.weight]

    def on(self, *streams: str) -> Loss:
        """The terms that see rows of these streams."""
        return Loss(term for term in self if term.streams & {*streams})

    def check(self, provided: Mapping[str, Collection[str]], where: str) -> None:
        """provided: stream → the constants of its rows. BadInput for terms of one name, for a need that
        nobody provides, and for a KL term that does not say that it needs the reference."""
        names = [term.name for term in self]
        for term in self:
            known = {REFERENCE} | {c for stream in term.streams for c in provided.get(stream, ())}
            missing = sorted(term.needs - known)
            if names.count(term.name) > 1 or term.name == "loss":
                raise BadInput(f"two terms of the loss are called {term.name!r}.", where=where)
            if missing:
                raise BadInput(
                    f"the term {term.name!r} needs {missing[0]!r}, which nobody provides.",
                    where=where,
                    allowed=", ".join(sorted(known)),
                )
            if isinstance(term, TokenTerm) and bool(term.direction) != (REFERENCE in term.needs):
                what = (
                    "compares with the reference without needing it"
                    if term.direction
                    else "needs no reference"
                )
                raise BadInput(
                    f"the term {term.name!r} {what}.", where=where, next="Write it with `kl` or `ce`."
                )
