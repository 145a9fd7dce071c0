"""One job in its locked run directory, with a line in events.jsonl when it begins and when it ends."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any, Literal, NamedTuple

from playsafe.errors import PlaysafeError, SystemFault
from playsafe.rundir import EVENTS, add_event, is_writer, locked, read_jsonl
from playsafe.secrets import redacted
from playsafe.study import replies
from playsafe.study.opening import open_study
from playsafe.study.plan import Job, Plan
from playsafe.study.resident import Resident

LOCK_WAIT = 10.0  # seconds that the process of a killed run may need to end


class Outcome(NamedTuple):
    """What became of a job. state "fresh": it was done already. exit_code: what a failure leaves with."""

    job: Job
    state: Literal["done", "fresh", "failed", "blocked"]
    error: str = ""
    exit_code: int = 0


class Worker:
    """Does the jobs of a plan, one after the other, with one resident model."""

    def __init__(self, plan: Plan, resident: Resident) -> None:
        self.plan, self.resident = plan, resident

    def open(self) -> None:
        """Refuse everything that can be refused before the first long computation."""
        open_study(self.resident)

    def run(self, job: Job) -> Outcome:
        """Do a job that is not done yet; its failure is an outcome. Raises SystemFault: a full disk and the
        like stop the study."""
        place, started = self.resident.root / job.place, time.monotonic()
        about = {"job": job.kind, "settings": job.settings}
        begun = False

        def begin() -> None:
            nonlocal begun
            begun = True
            add_event(place, event="started", **about)

        with locked(place, LOCK_WAIT):
            try:
                self._work(job)(begin)
                if begun and job.kind in ("train", "answer"):
                    self.resident.prove()
            except Exception as error:
                self.resident.forget()  # who knows what it was in the middle of
                error = SystemFault.of(error) or error
                outcome = _failed(job, error)
                trace = traceback.format_exc(limit=-8)
                where = {} if isinstance(error, PlaysafeError) else {"trace": trace}
                with suppress(OSError, SystemFault) if isinstance(error, SystemFault) else nullcontext():
                    add_event(place, event="failed", **about, error=outcome.error, **where)
                if isinstance(error, SystemFault):
                    raise error from None  # the next job would meet the same
                return outcome
            last: dict[str, Any] = next(
                (e for e in reversed(read_jsonl(place / EVENTS)) if e.get("job") == job.kind), {}
            )
            known = last.get("event") == "done" and last.get("settings") == job.settings
            if is_writer() and (begun or not known):
                add_event(place, event="done", **about, seconds=round(time.monotonic() - started, 3))
        return Outcome(job, "done" if begun else "fresh")

    def _work(self, job: Job) -> Callable[[Callable[[], None]], Any]:
        resident = self.resident
        if job.kind in replies.DO:
            cell = self.plan.cell(job)
            return lambda begin: replies.DO[job.kind](resident, cell, begin)
        from playsafe.study import weights  # with the libraries of training

        if job.kind == "score":
            return lambda begin: weights.score(resident, job.arm, resident.roles[str(job.role)], begin)
        do, cell = {"train": weights.train, "edit": weights.edit}[job.kind], self.plan.cell(job)
        return lambda begin: do(resident, cell, begin)


def _failed(job: Job, error: Exception) -> Outcome:
    if isinstance(error, PlaysafeError):
        return Outcome(job, "failed", str(error), error.exit_code)
    if isinstance(error, MemoryError) or "allocate" in str(error) or "out of memory" in str(error):
        return Outcome(
            job, "failed", "there is not enough memory. Make the model, its adapter or batches smaller.", 3
        )
    # redacted here, as a worker's parent has not read the key
    line = " ".join(redacted(f"{type(error).__name__}: {error}").split())[:500]
    return Outcome(job, "failed", f"{line} (see {EVENTS} in {job.place})", 3)
