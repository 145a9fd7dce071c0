"""What a program does with playsafe, and what the command line is made of (docs/api.md)."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from playsafe import executors
from playsafe.config import StudyConfig, load_study
from playsafe.errors import BadInput
from playsafe.progress import Reporter, Silent
from playsafe.rundir import locked
from playsafe.study.arms import BASE, source_of
from playsafe.study.plan import Job, Plan
from playsafe.study.uses import check_suites

if TYPE_CHECKING:
    from playsafe.results import StudyRuns
    from playsafe.study.run import Outcome

__all__ = ["evaluate", "load_results", "load_study", "plan", "run", "score", "train"]
EVALUATE = ("answer", "judge", "measure")


def plan(study: StudyConfig) -> Plan:
    """The study's jobs and what became of each; loads no model and renders no row."""
    return Plan(study)


def run(
    study: StudyConfig,
    *,
    only: Collection[str] = (),
    limit: int | None = None,
    shard: tuple[int, int] | None = None,
    executor: str = "here",
    workers: int | None = None,
    reporter: Reporter | None = None,
) -> list[Outcome]:
    """Do the study's jobs, all or those chosen as in `Plan.select`; a second call goes on where one stopped.

    A job that fails is an outcome with its error, and the rest goes on. Raises BadInput and CheckFailed for
    what refuses the study as a whole, before any long computation.
    """
    made = plan(study)
    part = "" if shard is None else "-{}-of-{}".format(*shard)
    return _execute(made, made.select(only, limit, shard), executor, workers, reporter, part)


def score(study: StudyConfig, reporter: Reporter | None = None) -> list[Outcome]:
    """The scores of all roles' rows that the study's methods select by; RDS where none selects."""
    made = plan(study)
    if not made.roles:
        raise BadInput(
            "a study without roles has no rows to score.", where="roles", next="Use `playsafe run`."
        )
    for role in made.roles:
        made.add_score(role, "rds")
    return _execute(made, made.select(["score"]), "here", None, reporter)


def train(study: StudyConfig, reporter: Reporter | None = None) -> list[Outcome]:
    """Train every cell of the study."""
    made = plan(study)
    jobs = made.select(["train", "edit"])
    needed = {need for job in jobs for need in job.needs}
    scores = [job for job in made.select(["score"]) if job.id in needed]
    return _execute(made, [*scores, *jobs], "here", None, reporter)


def evaluate(study: StudyConfig, reporter: Reporter | None = None) -> list[Outcome]:
    """Evaluate the aligned model, the targets, and what is trained so far; BadInput when nothing is."""
    made = plan(study)
    jobs = [job for job in made.select(EVALUATE) if _is_made(made, job)]
    if all(job.arm == BASE for job in jobs) and not study.targets:
        raise BadInput("nothing is trained yet.", where=str(made.root), next="Run `playsafe train` first.")
    return _execute(made, jobs, "here", None, reporter)


def load_results(directory: str | Path) -> StudyRuns:
    """Everything finished under an output directory, typed; loads no torch."""
    from playsafe.results import load

    return load(Path(directory))


def _execute(
    made: Plan,
    jobs: Sequence[Job],
    executor: str,
    workers: int | None,
    reporter: Reporter | None,
    part: str = "",
) -> list[Outcome]:
    if any(job.kind == "answer" for job in jobs):
        check_suites(made.config)
    chosen = executors.get(executor)
    if workers is not None and not chosen.parallel:
        raise BadInput(
            f"{executor} works in one process.", where="--workers", next="Add --executor processes."
        )
    with locked(made.root, name=part):
        return chosen.execute(made, jobs, workers or os.cpu_count() or 1, reporter or Silent())


def _is_made(made: Plan, job: Job) -> bool:
    """Whether there is something to evaluate: the aligned model, somebody else, or finished weights."""
    cell = made.cell(job)
    while cell.arm.decode is not None and (source := source_of(cell, made.arms)) is not None:
        cell = source
    own = cell.arm.method is not None or cell.arm.edit is not None
    return not own or (made.root / cell.place / "training.json").exists()
