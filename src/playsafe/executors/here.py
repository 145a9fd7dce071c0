"""In this process, one job after the other, with one resident model."""

from __future__ import annotations

from collections.abc import Sequence

from playsafe.executors import blocked
from playsafe.progress import Reporter
from playsafe.study.plan import Job, Plan
from playsafe.study.resident import Resident
from playsafe.study.run import Outcome, Worker


class Here:
    name = "here"
    summary = "one job after the other, in this process"
    parallel = False

    def execute(self, plan: Plan, jobs: Sequence[Job], workers: int, reporter: Reporter) -> list[Outcome]:
        worker = Worker(plan, Resident(plan.config, reporter))
        worker.open()
        found: list[Outcome] = []
        lost: set[str] = set()
        for job in jobs:
            why = blocked(job, lost)
            found.append(Outcome(job, "blocked", why) if why else worker.run(job))
            if found[-1].state in ("failed", "blocked"):
                lost.add(job.id)
        return found


EXECUTOR = Here()
