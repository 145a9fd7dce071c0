"""One finished run on disk, and the RDS scores of a role's rows. An absent file reads as empty."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playsafe import metrics
from playsafe.errors import BadInput
from playsafe.records import Completion, Estimate, Score, Verdict, Voice
from playsafe.results import formats
from playsafe.rundir import broken_seals

NO_ROLE = "no role"  # stands where a target was evaluated without one


@dataclass(frozen=True, slots=True)
class Run:
    """One finished evaluation: of the aligned model (method "base", seed None) or of a trained cell."""

    path: Path
    role: str | None
    tags: tuple[str, ...]
    method: str
    seed: int | None
    model: str
    version: str
    estimates: tuple[Estimate, ...]
    asked: dict[str, dict[str, Any]]
    training: dict[str, Any]
    notes: tuple[str, ...] = ()  # what a target says of itself that is otherwise here
    options: dict[str, Any] = field(default_factory=dict)  # of its method
    decoding: dict[str, Any] = field(default_factory=dict)
    made: str = ""  # when, as events.jsonl says

    def estimate(self, suite: str, metric: str, judge: str | None = None) -> Estimate | None:
        """The estimate by that judge; by the first one where none is named."""
        found = (e for e in self.estimates if (e.suite, e.metric) == (suite, metric))
        return next((e for e in found if judge in (None, e.judge)), None)

    def suites(self, kind: str) -> list[str]:
        """Keys of the suites of one kind ("harmful", "benign", "task", ...), as they were asked."""
        return [key for key, what in self.asked.items() if what["kind"] == kind]

    @property
    def judges(self) -> list[str]:
        """The judges in the order of the study."""
        return list(dict.fromkeys(e.judge for e in self.estimates if e.judge != metrics.UNJUDGED))

    def values(self, suite: str) -> dict[str, dict[str, dict[str, float | None]]]:
        """Prompt id → judge → metric → the reply's value; None: could not be measured."""
        return {row["id"]: row["values"] for row in self.valued(suite)}

    def valued(self, suite: str) -> list[dict[str, Any]]:
        """A line a reply: {"id", "trial", "values"}. trial: the request that the prompt asks for, in one of
        several texts perhaps."""
        rows = formats.rows(self.path, f"values/{suite}.jsonl", formats.ValueRow)
        return [{**row, "trial": row.get("trial") or row["id"]} for row in rows]

    def verdicts(self, suite: str, judge: str | None = None) -> dict[str, Verdict]:
        """Verdicts by id, of the named judge or of the first one."""
        judge = judge or next(iter(self.judges), "none")
        found = formats.rows(self.path, f"verdicts/{suite}.{judge}.jsonl", Verdict)
        return {verdict.id: verdict for verdict in found}

    def voices(self, suite: str) -> dict[str, Voice]:
        return {voice.id: voice for voice in formats.rows(self.path, f"voice/{suite}.jsonl", Voice)}

    def completions(self, suite: str) -> dict[str, Completion]:
        return {c.id: c for c in formats.rows(self.path, f"completions/{suite}.jsonl", Completion)}

    def prompts(self, suite: str) -> dict[str, dict[str, Any]]:
        """Prompt texts by id: {"id", "text", "references"[, "request"]}."""
        rows = formats.rows(self.path, f"prompts/{suite}.jsonl", formats.PromptRow)
        return {row["id"]: {**row} for row in rows if "id" in row}

    def curve(self) -> list[dict[str, Any]]:
        """Lines of train.jsonl: the step and every loss term."""
        rows = formats.rows(self.path, "train.jsonl", dict[str, float])
        return [{**row, "step": int(row["step"])} for row in rows if "step" in row]

    @property
    def label(self) -> str:
        who = "" if self.role == NO_ROLE else self.role
        parts = [who, self.method, "" if self.seed is None else f"seed {self.seed}"]
        return " · ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class RoleScores:
    """RDS scores of one role's rows. texts: {"id", "user", "reply"} by id, where they were stored."""

    scores: tuple[Score, ...]
    texts: dict[str, dict[str, Any]]
    threshold: float

    @property
    def gaps(self) -> list[float]:
        return [score.gap for score in self.scores]

    @property
    def flags(self) -> int:
        return sum(gap > self.threshold for gap in self.gaps)

    @property
    def share(self) -> float:
        return self.flags / len(self.scores)


def refuse_changed(path: Path, summary: dict[str, Any]) -> None:
    """BadInput where a file is not as it was when the run was finished: a lost line would change a number."""
    sealed = summary.get("files")
    if lost := broken_seals(path, sealed):
        raise BadInput(
            f"{lost[0]} is not as it was when the run was finished.",
            where=str(path),
            next="Repeat the command that made the run; it makes again what is lost.",
        )
