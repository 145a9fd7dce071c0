"""What a study left on disk: finished runs, their verdicts and replies, scores and training curves.

Only `summary.json` decides whether a run is finished. Estimates are read at once; the long files (verdicts,
completions, prompts, training curves) when they are asked for, and an absent one reads as empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from playsafe.errors import BadInput
from playsafe.records import Completion, Estimate, Score, Verdict
from playsafe.rundir import find_runs, read_json, read_jsonl

BASE = "base"
KIND_OF_METRIC = {"refusal": "harmful", "over_refusal": "benign", "rouge_l": "references"}

Record = TypeVar("Record", Completion, Estimate, Verdict)


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
    training: dict[str, Any]

    def estimate(self, suite: str, metric: str) -> Estimate | None:
        return next((e for e in self.estimates if (e.suite, e.metric) == (suite, metric)), None)

    def suites(self, kind: str) -> list[str]:
        """Names of the suites of one kind ("harmful", "benign", "references"), told by their metrics."""
        return [e.suite for e in self.estimates if KIND_OF_METRIC.get(e.metric) == kind]

    def verdicts(self, suite: str) -> dict[str, Verdict]:
        judge = next((e.judge for e in self.estimates if e.suite == suite and e.judge != "none"), "none")
        rows = _rows(self.path / "verdicts" / f"{suite}.{judge}.jsonl")
        return {verdict.id: verdict for verdict in _records(Verdict, rows)}

    def completions(self, suite: str) -> dict[str, Completion]:
        return {c.id: c for c in _records(Completion, _rows(self.path / "completions" / f"{suite}.jsonl"))}

    def prompts(self, suite: str) -> dict[str, dict[str, Any]]:
        """Prompt texts by id: {"id", "text", "references"}."""
        return {row["id"]: row for row in _rows(self.path / "prompts" / f"{suite}.jsonl") if "id" in row}

    def curve(self) -> list[dict[str, Any]]:
        """Lines of train.jsonl: the step and every loss term."""
        return [row for row in _rows(self.path / "train.jsonl") if "step" in row]

    @property
    def label(self) -> str:
        parts = [self.role or "all roles", self.method, "" if self.seed is None else f"seed {self.seed}"]
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
    def share(self) -> float:
        return sum(gap > self.threshold for gap in self.gaps) / len(self.scores)


@dataclass(frozen=True)
class StudyRuns:
    """Everything finished under one output directory."""

    root: Path
    study: dict[str, Any]
    provenance: dict[str, Any]
    identity: dict[str, Any]
    base: tuple[Run, ...]
    trained: tuple[Run, ...]
    scores: dict[str, RoleScores]
    unfinished: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.study.get("name") or "study")

    @cached_property
    def tags(self) -> dict[str, tuple[str, ...]]:
        return {run.role: run.tags for run in (*self.base, *self.trained) if run.role is not None}

    def temper(self, role: str) -> str:
        """The group a role belongs to: its first tag."""
        return self.tags[role][0] if self.tags.get(role) else ""

    @cached_property
    def roles(self) -> list[str]:
        """Sorted by temper, then name."""
        return sorted(self.tags, key=lambda role: (self.temper(role), role))

    @property
    def tempers(self) -> list[str]:
        return list(dict.fromkeys(self.temper(role) for role in self.roles))

    def of_temper(self, temper: str) -> list[str]:
        return [role for role in self.roles if self.temper(role) == temper]

    @cached_property
    def methods(self) -> list[str]:
        """Trained methods, in the order of the study."""
        found = {run.method for run in self.trained}
        order = list(self.configured_methods)
        return sorted(found, key=lambda key: (order.index(key) if key in order else len(order), key))

    @property
    def configured_methods(self) -> dict[str, str]:
        """Method key (its label, or its name) → its name, as the study lists them."""
        listed = [m for m in self.study.get("methods") or [] if isinstance(m, dict) and "name" in m]
        return {str(m.get("label") or m["name"]): str(m["name"]) for m in listed}

    def first_method(self, name: str) -> str | None:
        """Key of the method with this name; the one whose key is the name goes before its variants."""
        named = [key for key in self.methods if self.configured_methods.get(key, key) == name]
        return name if name in named else next(iter(named), None)

    @property
    def seeds(self) -> list[int]:
        return sorted({run.seed for run in self.trained if run.seed is not None})

    def suites(self, kind: str) -> list[str]:
        """Suites of one kind in the order in which the runs name them."""
        return list(dict.fromkeys(s for run in (*self.base, *self.trained) for s in run.suites(kind)))

    def cell(self, role: str, method: str) -> list[Run]:
        """Finished runs of a role and method, one a seed."""
        return [run for run in self.trained if (run.role, run.method) == (role, method)]

    def base_run(self, role: str | None, suite: str) -> Run | None:
        """The aligned model's run that answered a suite: the role's own where there is one."""
        holding = [run for run in self.base if any(e.suite == suite for e in run.estimates)]
        own = [run for run in holding if run.role == role]
        return next(iter([*own, *(run for run in holding if run.role is None)]), None)

    def runs(self, role: str, method: str, suite: str) -> list[Run]:
        """Runs of a role and method ("base" included) that answered a suite."""
        if method == BASE:
            found = self.base_run(role, suite)
            return [found] if found else []
        return [run for run in self.cell(role, method) if any(e.suite == suite for e in run.estimates)]


def load_study_runs(root: Path) -> StudyRuns:
    """Read the finished runs under `root`; BadInput where there is none."""
    root = Path(root)
    if not root.is_dir():
        raise BadInput(
            "the directory does not exist.", where=str(root), next="Give the output directory of a study."
        )
    study = _optional(root / "study.json")
    threshold = float((study.get("scoring") or {}).get("threshold") or 0.0)
    runs: list[Run] = []
    scores: dict[str, RoleScores] = {}
    found = find_runs(root)
    for path in found:
        summary = read_json(path / "summary.json")
        if summary.get("kind") == "scores":
            rows = _scores(path / "scores.jsonl")
            if rows:
                texts = {row["id"]: row for row in _rows(path / "rows.jsonl") if "id" in row}
                scores[str(summary["role"])] = RoleScores(rows, texts, threshold)
        else:
            runs.append(_run(path, summary))
    if not runs:
        raise BadInput("no finished run here.", where=str(root), next="Run `playsafe run STUDY.yaml` first.")
    runs.sort(key=lambda run: (run.role or "", run.method, -1 if run.seed is None else run.seed))
    started = {file.parent for file in root.rglob("status.json")} - set(found)
    return StudyRuns(
        root,
        study,
        _optional(root / "provenance.json"),
        _optional(root / "config.yaml"),
        tuple(run for run in runs if run.method == BASE),
        tuple(run for run in runs if run.method != BASE),
        scores,
        tuple(sorted(path.relative_to(root).as_posix() for path in started)),
    )


def _run(path: Path, summary: dict[str, Any]) -> Run:
    try:
        return Run(
            path=path,
            role=None if summary["role"] is None else str(summary["role"]),
            tags=tuple(str(tag) for tag in summary.get("tags") or ()),
            method=str(summary["method"]),
            seed=None if summary["seed"] is None else int(summary["seed"]),
            model=str(summary.get("model", "")),
            version=str(summary.get("version", "")),
            estimates=tuple(_records(Estimate, summary["estimates"])),
            training=summary.get("training") or {},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"not a summary of ours: {error}.", where=str(path / "summary.json")) from None


def _scores(path: Path) -> tuple[Score, ...]:
    try:
        return tuple(Score.from_json(row) for row in _rows(path))
    except (KeyError, TypeError) as error:
        raise BadInput(f"not scores of ours: {error}.", where=str(path)) from None


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        return read_jsonl(path)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"broken JSON lines: {error}.", where=str(path)) from None


def _records(kind: type[Record], rows: Iterable[dict[str, Any]]) -> list[Record]:
    """Records from rows; keys that a later version added are left out."""
    names = {field.name for field in fields(kind)}
    return [kind(**{key: value for key, value in row.items() if key in names}) for row in rows]


def _optional(path: Path) -> dict[str, Any]:
    """A JSON file that may be absent; a config.yaml of ours is JSON."""
    return read_json(path) if path.exists() else {}
