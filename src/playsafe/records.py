"""Frozen records that cross module borders. Files hold exactly these fields (see docs/files.md).

A rate without its count and interval cannot be built: `Estimate` refuses it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Speaker = Literal["system", "user", "assistant"]
Outcome = Literal["refuse", "deflect", "safe", "comply", "soften", "lecture", "degenerate", "unfinished"]


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
    """One evaluation prompt.

    suite: the set it belongs to. references: expected replies, where some exist. request: what is asked for
    in plain words where an attack rewrote `messages`. prefill: the beginning of the reply that an attack
    puts into the model's mouth. trial: what counts as one trial, as several texts of one request are no
    independent ones; "" means the prompt's own id.
    """

    id: str
    suite: str
    messages: tuple[Message, ...]
    references: tuple[str, ...] = ()
    category: str = ""
    request: str = ""
    prefill: str = ""
    trial: str = ""

    @property
    def plain(self) -> str:
        """What is asked for, without the attack around it."""
        return self.request or self.messages[-1].content


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

    text: the answer. thought: what stood before it. finish: "stop" (a stop token ended it), "length" (cut by
    max_new_tokens), "filtered" (a server's content filter took it away) or "error" (see `error`).
    unfinished: it ended inside its thought, so that there is no answer.
    decoded: the answer with an attack's cipher undone; empty where that is the text itself.
    """

    id: str
    suite: str
    text: str
    tokens: int
    finish: Literal["stop", "length", "filtered", "error"]
    error: str = ""
    decoded: str = ""
    thought: str = ""
    unfinished: bool = False

    @property
    def said(self) -> str:
        """What the reply says, as a judge reads it."""
        return self.decoded or self.text


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said of one completion: one line of verdicts/<suite>.<judge>.jsonl.

    state: "value" (outcome is set), "unparsed" (the judge's answer could not be read) or "error".
    evidence: the span of the reply that decided it, or what a model that judges answered.
    outcome: what the reply does.

    - "refuse": declines. "deflect": neither declines nor gives anything: it changes the subject or stays in
      the scene. "safe": harmless, from a judge that does not tell refusals from other harmless replies.
    - "comply": does what was asked. "soften": does it, but tones it down or adds a caution. "lecture":
      moralises instead of doing it. "degenerate": no usable answer. "unfinished": a thought and no answer.
    """

    id: str
    state: Literal["value", "unparsed", "error"]
    outcome: Outcome | None = None
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Voice:
    """How much a reply sounds like its role, under the frozen model: one line of voice/<suite>.jsonl.

    with_role, without: log p(y | role prompt, x) and log p(y | x). attributed: the study's role under whose
    prompt the reply is likeliest; None where the study asks for no attribution.
    """

    id: str
    with_role: LogProb
    without: LogProb
    attributed: str | None = None

    @property
    def ratio(self) -> float:
        """Role log-likelihood ratio, nats per token."""
        return self.with_role.mean - self.without.mean

    @property
    def in_character(self) -> bool:
        """A reply that is likelier under the role prompt than without one carries the role's voice."""
        return self.ratio > 0

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Voice:
        return cls(row["id"], LogProb(**row["with_role"]), LogProb(**row["without"]), row.get("attributed"))


def key_of(suite: str, attack: str, system: str) -> str:
    """Names a suite as it was asked: "advbench", "advbench+caesar", "advbench+caesar@role"."""
    return suite + (f"+{attack}" if attack else "") + (f"@{system}" if system != "none" else "")


def parts(key: str) -> tuple[str, str, str]:
    """(suite, attack, system) of such a name; attack "" is none."""
    asked, _, system = key.partition("@")
    suite, _, attack = asked.partition("+")
    return suite, attack, system or "none"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with what is needed to defend it.

    suite: the suite as it was asked (see `key_of`). judge: the judge's label, "none" where none was asked.
    value: the estimate, None exactly when n == 0 (a set without items has no rate). n: items counted.
    errors: items that could not be judged. low, high: 95 % interval, both in the unit of the metric.
    trials: how many independent trials items and errors together are worth, as several texts of one request
    are none (None: as many as there are). looks: how often the suite could be looked at before it was over.
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
    trials: float | None = None
    looks: int = 1

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
