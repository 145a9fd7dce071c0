"""Executors: who does the jobs of a plan, and in how many processes; one file each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from playsafe.progress import Reporter
from playsafe.registry import Registry

if TYPE_CHECKING:
    from playsafe.study.plan import Job, Plan
    from playsafe.study.run import Outcome


class Executor(Protocol):
    """What an executor file provides as `EXECUTOR`."""

    name: str
    summary: str
    parallel: bool  # whether it heeds `workers`

    def execute(self, plan: Plan, jobs: Sequence[Job], workers: int, reporter: Reporter) -> list[Outcome]:
        """Open the study, then do the jobs, those that others need first. A job that fails is an outcome, and
        what needs it is blocked; the rest goes on. Raises what refuses the study as a whole."""


REGISTRY: Registry[Executor] = Registry("playsafe.executors", "EXECUTOR", "executor", "--executor")
names, get = REGISTRY.names, REGISTRY.get


def blocked(job: Job, failed: Collection[str]) -> str:
    """Why a job cannot be done: what it needs has failed. Empty where it can."""
    lost = [need for need in job.needs if need in failed]
    return f"{lost[0]} is not done" if lost else ""
