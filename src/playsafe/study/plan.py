"""From the configuration to a graph of jobs, without rendering a row or loading a model.

    score → train → edit → answer → judge → measure

A job belongs to one run directory, whose events.jsonl says what became of it. A job is done with the settings
that it was done with: other settings (another suite, another judge) make it missing again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from playsafe import methods
from playsafe.config import NOT_NUMBERS, StudyConfig
from playsafe.data import catalogue
from playsafe.errors import BadInput, nearest
from playsafe.provenance import by_content
from playsafe.rundir import EVENTS, digest, read_jsonl
from playsafe.study.arms import (
    BASE,
    Arm,
    Cell,
    arms_of,
    knows_model,
    knows_rows,
    scores_place,
    seeded,
    source_of,
    study_roles,
)
from playsafe.study.uses import check_options

Kind = Literal["score", "train", "edit", "answer", "judge", "measure"]
KINDS: tuple[Kind, ...] = get_args(Kind)
State = Literal["done", "failed", "missing"]


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work in one run directory. arm: of a score its scorer. settings: hash of the configuration
    that its result rests on. needs: ids of the jobs that come before it."""

    kind: Kind
    place: str
    role: str | None
    arm: str
    seed: int | None
    settings: str
    needs: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.kind}:{self.place}"

    @property
    def label(self) -> str:
        seed = "" if self.seed is None else f"seed {self.seed}"
        return f"{self.kind} " + " · ".join(filter(None, [self.role, self.arm, seed]))


class Plan:
    """The jobs of a study in an order in which they can be done."""

    def __init__(self, config: StudyConfig) -> None:
        check_options(config)
        self.config, self.root = config, Path(config.output_dir)
        self.roles = [role.name for role in study_roles(config)]
        self.arms = arms_of(config)
        self.jobs: dict[str, Job] = {}
        self._hashes = _Settings(config)
        for cell in self._base():
            self._evaluate(cell, [])
        for cell in self._grid():
            self._evaluate(cell, self._weights(cell))

    def state(self, job: Job) -> State:
        """What the run directory says of a job."""
        last = self._events.get(job.place, {}).get(job.kind, {})
        if last.get("settings") != job.settings:
            return "missing"
        return {"done": "done", "failed": "failed"}.get(last.get("event", ""), "missing")  # type: ignore[return-value]

    def last(self, job: Job) -> dict[str, Any]:
        """The last event of a job; empty where it was never begun."""
        return self._events.get(job.place, {}).get(job.kind, {})

    def select(
        self, only: Collection[str] = (), limit: int | None = None, shard: tuple[int, int] | None = None
    ) -> list[Job]:
        """The jobs to be done, in order.

        only: kinds, or "missing", or "failed" with what waits for those. limit: so many that are not done
        yet. shard: (i, n), the i-th of n parts (from 1), none of which needs another's work.
        """
        allowed = [*KINDS, "failed", "missing"]
        for name in only:
            if name not in allowed:
                what = f"{name!r} is no kind of job. {nearest(name, allowed)}"
                raise BadInput(what, where="--only", allowed=", ".join(allowed))
        kinds, states = {k for k in only if k in KINDS}, {s for s in only if s not in KINDS}
        found = [job for job in self.jobs.values() if not kinds or job.kind in kinds]
        if states:
            found = self._in_state(found, states)
        if shard is not None:
            mine, parts = shard
            found = [job for job in found if self._part(job) % parts == mine - 1]
        if limit is not None:
            left = {job.id for job in [job for job in found if self.state(job) != "done"][:limit]}
            found = [job for job in found if job.id in left or self.state(job) == "done"]
        return found

    def cell(self, job: Job) -> Cell:
        """The cell that a job works on; a score belongs to none."""
        target = next((t for t in self.config.targets if (t.name, t.role) == (job.arm, job.role)), None)
        arm = Arm(job.arm, target=target) if target is not None else self.arms[job.arm]
        return Cell(arm, job.role, job.seed)

    def counts(self, kind: Kind) -> dict[str, int]:
        """How many jobs of a kind stand how."""
        found = Counter(self.state(job) for job in self.jobs.values() if job.kind == kind)
        return {state: found[state] for state in get_args(State)}

    def add_score(self, role: str, scorer: str) -> str:
        """The job that scores a role's rows; its id."""
        settings = self._hashes.score(scorer)
        job = Job("score", scores_place(role, scorer), role, scorer, None, settings)
        self.jobs.setdefault(job.id, job)
        return job.id

    # --- details --------------------------------------------------------------------------------------

    @cached_property
    def _events(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Run directory → kind → last event; read once."""
        places = dict.fromkeys(job.place for job in self.jobs.values())
        return {
            place: {event.get("job", ""): event for event in read_jsonl(self.root / place / EVENTS)}
            for place in places
            if (self.root / place / EVENTS).exists()
        }

    def _in_state(self, jobs: Sequence[Job], states: Collection[str]) -> list[Job]:
        chosen: dict[str, Job] = {}
        for job in jobs:
            state = self.state(job)
            waits = state == "missing" and any(need in chosen for need in job.needs)
            if state in states or waits:
                chosen[job.id] = job
        return list(chosen.values())

    def _part(self, job: Job) -> int:
        """Parts are roles, or seeds where there is one role; what all share is in the first."""
        if len(self.roles) > 1:
            return self.roles.index(job.role) if job.role in self.roles else 0
        return self.config.seeds.index(job.seed) if job.seed in self.config.seeds else 0

    def _base(self) -> Iterator[Cell]:
        """The aligned model: once for all roles, and as each role."""
        config, base = self.config, Arm(BASE)
        given = {target.role for target in config.targets if target.name == BASE}
        if not knows_model(config):
            return
        turns = config.evaluation.system
        if any(turn != "role" for turn in turns) and None not in given:
            yield Cell(base, None, None)
        playing = dict.fromkeys(t.role for t in config.targets if t.role)
        asked = self.roles if config.grid else playing
        suites = config.evaluation.suites
        own = knows_rows(config) or "role" in turns or any(_kind(s) == "references" for s in suites)
        yield from (Cell(base, role, None) for role in asked if own and role not in given)

    def _grid(self) -> Iterator[Cell]:
        yield from (Cell(Arm(t.name, target=t), t.role, None) for t in self.config.targets)
        roles: Sequence[str | None] = self.roles or [None]
        for role in roles if self.config.grid else ():
            if role is not None:
                self.add_score(role, "rds")  # the flagged share is a property of every role
            for arm in self.arms.values():
                if arm.key != BASE:
                    seeds = self.config.seeds if seeded(arm, self.arms) else [None]
                    yield from (Cell(arm, role, seed) for seed in seeds)

    def _weights(self, cell: Cell) -> list[str]:
        """Jobs that make a cell's weights; ids of those that its answers need."""
        arm = cell.arm
        if arm.method is not None:
            scorer = methods.get(arm.method.name).scorer(arm.method.parsed())
            needs = [self.add_score(cell.role, scorer)] if scorer and cell.role is not None else []
            return [self._add("train", cell, needs)]
        if arm.target is not None or (source := source_of(cell, self.arms)) is None:
            return []
        kind = "edit" if source.arm.edit is not None else "train"
        needs = [f"{kind}:{source.place}"]
        return [self._add("edit", cell, needs)] if arm.edit is not None else needs

    def _evaluate(self, cell: Cell, needs: Sequence[str]) -> None:
        for kind in ("answer", "judge", "measure"):
            needs = [self._add(kind, cell, needs)]

    def _add(self, kind: Kind, cell: Cell, needs: Sequence[str]) -> str:
        arm = cell.arm
        settings = self._hashes.of(kind, arm, self.arms)
        job = Job(kind, cell.place, cell.role, arm.key, cell.seed, settings, tuple(needs))
        if job.id in self.jobs:
            raise BadInput(
                f"two cells would share the directory {cell.place!r}.",
                where="roles, methods, arms or targets",
                next="Name each role once; all names must differ in letters or digits.",
            )
        self.jobs[job.id] = job
        return job.id


class _Settings:
    """Hashes of the settings that a job's result rests on; each is made once. A file that a setting names
    counts by what it holds, wherever it lies."""

    def __init__(self, config: StudyConfig) -> None:
        dump = by_content(config.model_dump(mode="json", exclude={"name", "output_dir"}))
        own = {key: dump[key] for key in ("model", "roles", "data", "pairs")}
        own["roles"] = own["roles"] and own["roles"]["path"]  # which of them are trained changes no other
        evaluation = dump["evaluation"]
        asked = {k: evaluation[k] for k in ("suites", "attacks", "system", "generation")}
        if asked["generation"]["sampling"] != "model":
            asked["generation"].pop("seed")
        until = evaluation["gates"] if evaluation["stop_early"] else []
        self._made = digest([own, {k: v for k, v in dump["training"].items() if k not in NOT_NUMBERS}])
        self._scored = digest([own, dump["training"]["system"]])
        self._threshold = dump["scoring"]["threshold"]
        self._stages = {
            "answer": [asked, until],
            "judge": [asked, until, evaluation["judges"]],
            "measure": [asked, until, evaluation["judges"], evaluation["voice"]],
        }
        self._known: dict[tuple[Any, ...], str] = {}

    def score(self, scorer: str) -> str:
        return digest([self._scored, scorer])

    def of(self, kind: Kind, arm: Arm, arms: dict[str, Arm]) -> str:
        place = (kind, arm.key, arm.target and arm.target.role)
        if place not in self._known:
            rests_on = [self._made, self._threshold, self._stages.get(kind), self._chain(arm, arms)]
            self._known[place] = digest(rests_on)
        return self._known[place]

    def _chain(self, arm: Arm, arms: dict[str, Arm]) -> list[Any]:
        """The arm and what it is made from."""
        own = (arm.method, arm.edit, arm.decode, arm.target)
        parts = [one and by_content(one.model_dump(mode="json")) for one in own]
        return [*parts, *(self._chain(arms[arm.source], arms) if arm.source is not None else ())]


def _kind(suite: Any) -> str | None:
    name = suite.suite or suite.name
    return suite.kind or (catalogue.get(name).kind if name in catalogue.names() else None)
