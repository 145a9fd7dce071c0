"""Frozen records that cross module borders. Files hold exactly these fields (see docs/files.md).

A rate without its count and interval cannot be built: `Estimate` refuses it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Speaker = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a dialogue."""

    role: Speaker
    content: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One training or reference row: the turns x before the reply and the reply y.

    id: stable identifier inside its data set. messages: turns up to and including the last user turn;
    a system turn here is part of the data, not the role prompt. references: every accepted reply
    (the first is `reply`). source: "file:line" for error messages.
    """

    id: str
    role: str
    messages: tuple[Message, ...]
    reply: str
    references: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Role:
    """A character. prompt: the system text s_r; unsafe_prompt: the system text s_u (role + unsafe)."""

    name: str
    prompt: str
    unsafe_prompt: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """One evaluation prompt. suite: the set it belongs to; reference: expected reply, where one exists."""

    id: str
    suite: str
    messages: tuple[Message, ...]
    references: tuple[str, ...] = ()
    category: str = ""


@dataclass(frozen=True, slots=True)
class LogProb:
    """Sum of token log-probabilities (nats) of a reply and the number of its tokens |y|."""

    sum: float
    tokens: int

    @property
    def mean(self) -> float:
        """(1/|y|) Σ_t log p(y_t | ·)."""
        return self.sum / self.tokens


@dataclass(frozen=True, slots=True)
class Score:
    """RDS score of one row under the frozen model: one line of scores.jsonl."""

    id: str
    role: str
    role_logprob: LogProb
    unsafe_logprob: LogProb

    @property
    def gap(self) -> float:
        """a_unsafe − a_role (nats per token); SaRFT, RDS."""
        return self.unsafe_logprob.mean - self.role_logprob.mean

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "role": self.role,
            "logprob": {"role": asdict(self.role_logprob), "unsafe": asdict(self.unsafe_logprob)},
            "gap": self.gap,
        }

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Score:
        logprob = row["logprob"]
        return cls(row["id"], row["role"], LogProb(**logprob["role"]), LogProb(**logprob["unsafe"]))


@dataclass(frozen=True, slots=True)
class Completion:
    """One generated reply: one line of completions/<suite>.jsonl.

    finish: "stop" (a stop token ended it), "length" (cut by max_new_tokens) or "error" (see `error`).
    """

    id: str
    suite: str
    text: str
    tokens: int
    finish: Literal["stop", "length", "error"]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said of one completion: one line of verdicts/<suite>.<judge>.jsonl.

    state: "value" (outcome is set), "unparsed" (the judge's answer could not be read) or "error".
    outcome: "refuse", "comply" or "degenerate". evidence: the span of the reply that decided it.
    in_character: for refusals only, whether the reply still speaks as the role; None when not measured.
    """

    id: str
    state: Literal["value", "unparsed", "error"]
    outcome: Literal["refuse", "comply", "degenerate"] | None = None
    evidence: str = ""
    in_character: bool | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with what is needed to defend it.

    value: the estimate, None exactly when n == 0 (a set without items has no rate). n: items counted.
    errors: items that could not be judged. low, high: 95 % interval. unit: "share" (0..1) or "score".
    """

    suite: str
    metric: str
    judge: str
    value: float | None
    n: int
    errors: int
    low: float | None
    high: float | None
    method: str = "wilson"

    def __post_init__(self) -> None:
        numbers = (self.value, self.low, self.high)
        if self.n < 0 or self.errors < 0:
            raise ValueError(f"{self.metric}: counts must not be negative")
        if self.n == 0 and any(number is not None for number in numbers):
            raise ValueError(f"{self.metric} on {self.suite}: no items, so there is no value")
        if self.n > 0:
            if any(number is None for number in numbers):
                raise ValueError(f"{self.metric} on {self.suite}: a value needs both ends of its interval")
            value, low, high = (float(number) for number in numbers if number is not None)
            if not low - 1e-9 <= value <= high + 1e-9:
                raise ValueError(f"{self.metric} on {self.suite}: the interval does not hold the value")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Subset:
    """The rows that the safety term sees: subset.json. share = len(ids) / rows."""

    rule: str
    threshold: float
    share: float
    ids: frozenset[str] = field(default_factory=frozenset)
