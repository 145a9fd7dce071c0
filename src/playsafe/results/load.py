"""What a study left on disk: finished runs, their verdicts and replies, scores and training curves.

Only `summary.json` decides whether a run is finished. Estimates are read at once; the long files (verdicts,
completions, prompts, training curves) when they are asked for, and an absent one reads as empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from playsafe import metrics
from playsafe.config import EvaluationConfig
from playsafe.config.paths import home
from playsafe.errors import BadInput
from playsafe.records import Estimate, Score, parts
from playsafe.results import formats
from playsafe.results.meant import BASE, arms_of, cast_of, joined, meant
from playsafe.results.run import NO_ROLE, RoleScores, Run, refuse_changed
from playsafe.rundir import EVENTS, find_runs

SYSTEMS = {"none": "", "empty": ", empty system turn", "role": ", role prompt"}


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
    left: tuple[str, ...] = ()  # sentences about what lies here and is not meant

    @property
    def name(self) -> str:
        return str(self.study.get("name") or "study")

    @cached_property
    def every(self) -> tuple[Run, ...]:
        """All finished evaluations, those of the aligned model first."""
        return (*self.base, *self.trained)

    @property
    def evaluation(self) -> dict[str, Any]:
        """What the study says of its evaluation."""
        return self.study.get("evaluation") or {}

    @property
    def asks(self) -> list[str]:
        """The study's suites: known ones by name, embedded ones as "tiny:harmful", files by their label."""
        listed = [suite for suite in self.evaluation.get("suites") or [] if isinstance(suite, dict)]
        paths = [str(suite.get("path") or "") for suite in listed]
        return [
            path if path.startswith("tiny:") else str(suite.get("suite") or suite["name"])
            for suite, path in zip(listed, paths, strict=True)
        ]

    @property
    def embedded(self) -> list[str]:
        """Those of them that are embedded prompts, made for the embedded model."""
        return [name for name in self.asks if name.startswith("tiny:")]

    @cached_property
    def measured(self) -> list[metrics.Measure]:
        """The metrics that some run has, those shown first in front."""
        found = {e.metric for run in self.every for e in run.estimates}
        order = [name for name in self._show if name in found]
        return [metrics.known(name) for name in dict.fromkeys([*order, *sorted(found)])]

    @cached_property
    def shown(self) -> list[metrics.Measure]:
        """The metrics shown first; where nobody plays a role, none on a role's held-out rows."""
        found = [metrics.known(name) for name in self._show]
        unplayed = self.roleless and not self.keys("references")
        return [m for m in found if m.kinds and not (unplayed and m.kinds[0] == "references")]

    @property
    def _show(self) -> list[str]:
        return self.evaluation.get("show") or EvaluationConfig().show

    def about(self, aspect: str) -> list[metrics.Measure]:
        """The metrics that answer this question: those shown first, then ours, then other people's."""
        rest = sorted(metrics.every(), key=lambda m: not type(m).__module__.startswith("playsafe.metrics."))
        rest = [metric for metric in rest if metric not in self.shown]
        return [metric for metric in (*self.shown, *rest) if metric.aspect == aspect]

    @cached_property
    def safety(self) -> metrics.Measure:
        """The headline measure."""
        return self.about("safety")[0]

    @cached_property
    def tags(self) -> dict[str, tuple[str, ...]]:
        return {run.role: run.tags for run in self.every if run.role is not None}

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
    def roleless(self) -> bool:
        """Whether nobody plays a role here: trained or asked without one."""
        if self.roles:
            return set(self.roles) == {NO_ROLE}
        return "roles" in self.study and self.study["roles"] is None

    @cached_property
    def language_of(self) -> dict[str, str]:
        """Suite as it was asked → its declared language."""
        asked = [run.asked.items() for run in self.every]
        return {key: str(what["language"]) for items in asked for key, what in items if what.get("language")}

    @cached_property
    def languages(self) -> list[str]:
        """The declared languages, the dominant one first where it was asked."""
        found = list(dict.fromkeys(self.language_of.values()))
        return sorted(found, key=lambda language: language != self.dominant)

    @cached_property
    def dominant(self) -> str | None:
        """The language that the others are held against: of the study's pairs, else the first declared."""
        named = (self.study.get("pairs") or {}).get("dominant")
        return str(named) if named else next(iter(self.language_of.values()), None)

    @cached_property
    def methods(self) -> list[str]:
        """Trained methods, in the order of the study."""
        found = {run.method for run in self.trained}
        order = list(self.configured_methods)
        return sorted(found, key=lambda key: (order.index(key) if key in order else len(order), key))

    @property
    def targets(self) -> list[dict[str, Any]]:
        """What an audit evaluates instead of a grid of methods and seeds."""
        return [t for t in self.study.get("targets") or [] if isinstance(t, dict) and "name" in t]

    @property
    def is_audit(self) -> bool:
        """Whether nothing was trained here: runs have no seed."""
        return not self.seeds and bool(self.targets or self.trained)

    @property
    def configured_methods(self) -> dict[str, str]:
        """Method key (its label, or its name) → its name, as the study lists them."""
        listed = [one for key in ("methods", "arms", "targets") for one in self.study.get(key) or []]
        named = [m for m in listed if isinstance(m, dict) and m.get("name", BASE) != BASE]
        return {str(m.get("label") or m["name"]): str((m.get("train") or m)["name"]) for m in named}

    @property
    def expected(self) -> list[tuple[str, str, int | None]]:
        """Role, arm and seed of every cell that the study asks for; roles nobody has started are known only
        from the study file."""
        named = (self.study.get("roles") or {}).get("names") or []
        alone = [NO_ROLE] if self.roleless else []
        played = [role for role in self.roles if role != NO_ROLE]
        roles = list(dict.fromkeys([*played, *alone, *map(str, named)]))
        seeds = list(self.study.get("seeds") or self.seeds)
        asked = [(arm, s) for arm, own in arms_of(self.study).items() for s in (seeds if own else [None])]
        cells = [(role, arm, seed) for role in roles for arm, seed in asked]
        others = [(str(t.get("role") or NO_ROLE), str(t["name"]), None) for t in self.targets]
        return cells + [cell for cell in others if cell[1] != BASE]

    def first_method(self, name: str) -> str | None:
        """Key of the method with this name; the one whose key is the name goes before its variants."""
        named = [key for key in self.methods if self.configured_methods.get(key, key) == name]
        return name if name in named else next(iter(named), None)

    @property
    def seeds(self) -> list[int]:
        return sorted({run.seed for run in self.trained if run.seed is not None})

    def keys(self, kind: str) -> list[str]:
        """Suites of one kind in every way they were asked, by suite, attack (none first) and system turn."""
        return self._keys.get(kind, [])

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Suite as it was asked → its kind."""
        return {key: what["kind"] for run in self.every for key, what in run.asked.items()}

    @cached_property
    def _keys(self) -> dict[str, list[str]]:
        found = self.kinds
        suites, attacks = (list(dict.fromkeys(parts(key)[place] for key in found)) for place in (0, 1))
        attacks.sort(key=bool)

        def order(key: str) -> tuple[int, int, int]:
            suite, attack, system = parts(key)
            return suites.index(suite), attacks.index(attack), self.systems.index(system)

        return {kind: sorted((k for k in found if found[k] == kind), key=order) for kind in found.values()}

    def suites(self, kind: str, system: str | None = None) -> list[str]:
        """Suites of one kind without attack, under one system turn: the main numbers' is the first one."""
        found = [(key, *parts(key)) for key in self.keys(kind)]
        return [key for key, _, attack, turn in found if not attack and turn == (system or self.system)]

    @cached_property
    def systems(self) -> list[str]:
        """The system turns that were asked, in the order of the study."""
        asked = [parts(key)[2] for run in self.every for key in run.asked]
        order = self.evaluation.get("system") or ["none"]
        return [turn for turn in dict.fromkeys([*order, *asked]) if turn in asked]

    @property
    def system(self) -> str:
        """The first configured system turn that was asked."""
        return next(iter(self.systems), "none")

    @cached_property
    def judges(self) -> list[str]:
        """The judges in the order of the study, the main one first."""
        return list(dict.fromkeys(j for run in self.every for j in run.judges))

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


def spoken(key: str) -> str:
    """A suite as it was asked, for people: "advbench + caesar, role prompt"."""
    suite, attack, system = parts(key)
    return suite + (f" + {attack}" if attack else "") + SYSTEMS.get(system, f", {system}")


def load(root: Path) -> StudyRuns:
    """Read the finished runs under `root`; BadInput where there is none."""
    root = Path(home(str(root)))
    if not root.is_dir():
        what, next = "the directory does not exist.", "Give the output directory of a study."
        raise BadInput(what, where=str(root), next=next)
    study, others = _study(root)
    threshold = float((study.get("scoring") or {}).get("threshold") or 0.0)
    runs: list[Run] = []
    scores: dict[str, RoleScores] = {}
    found = [path for path in find_runs(root) if not any(path.is_relative_to(other) for other in others)]
    for path in found:
        summary = formats.summary(path)
        refuse_changed(path, summary)
        if summary.get("kind") == "scores":
            if rows := formats.rows(path, "scores.jsonl", formats.ScoreRow):
                texts = {str(row.get("id")): row for row in formats.rows(path, "rows.jsonl", dict[str, Any])}
                scores[str(summary["role"])] = RoleScores(
                    tuple(Score.from_json({**row}) for row in rows), texts, threshold
                )
        else:
            runs.append(_run(path, summary))
    if not runs:
        raise BadInput("no finished run here.", where=str(root), next="Run `playsafe run STUDY.yaml` first.")
    runs, left = meant(study, runs)
    if not runs:
        raise BadInput(
            f"no finished run that the study asks for. {' '.join(left)}",
            where=str(root),
            next="Run `playsafe run STUDY.yaml` first.",
        )
    runs.sort(key=lambda run: (run.role or "", run.method, -1 if run.seed is None else run.seed))
    cast = cast_of(study)
    scores = {role: one for role, one in scores.items() if cast is None or role in cast}
    if others:
        left += (f"Left out, as studies of their own: {', '.join(path.name for path in others)}.",)
    started = {file.parent for file in root.rglob("status.json")} - set(found)
    return StudyRuns(
        root,
        study,
        formats.optional(root, "provenance.json"),
        formats.optional(root, "config.yaml"),
        tuple(run for run in runs if run.method == BASE),
        tuple(run for run in runs if run.method != BASE),
        scores,
        tuple(sorted(path.relative_to(root).as_posix() for path in started)),
        left,
    )


def _study(root: Path) -> tuple[dict[str, Any], list[Path]]:
    """What the directory's study says, and other studies below it; of a folder of parts the whole study."""
    below = sorted(path.parent for path in root.rglob("study.json") if path.parent != root)
    if (root / "study.json").exists() or len(below) < 2:
        own = formats.study(root)
        return own, below if own else []
    return joined([(path.relative_to(root).as_posix(), formats.study(path)) for path in below]), []


def _run(path: Path, summary: dict[str, Any]) -> Run:
    events = formats.rows(path, EVENTS, dict[str, Any])
    return Run(
        path=path,
        role=_role(summary),
        tags=tuple(summary.get("tags") or ()),
        method=summary["method"],
        seed=summary["seed"],
        model=str(summary.get("model", "")),
        version=str(summary.get("version", "")),
        estimates=tuple(formats.records(Estimate, summary["estimates"], path / "summary.json")),
        asked=summary["suites"],
        training=summary.get("training") or {},
        notes=tuple(summary.get("notes") or ()),
        options=summary.get("options") or {},
        decoding=summary.get("decoding") or {},
        made=max((str(e.get("time")) for e in events if e.get("event") == "done"), default=""),
    )


def _role(summary: dict[str, Any]) -> str | None:
    if summary["role"] is None:
        return None if summary["method"] == BASE else NO_ROLE
    return str(summary["role"])
