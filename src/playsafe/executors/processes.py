"""N processes on this machine, each with a resident model of its own.

A worker that dies gives its job back, which another one does; workers end when their parent dies.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from playsafe.config import StudyConfig
from playsafe.errors import PlaysafeError, SystemFault
from playsafe.executors import blocked
from playsafe.progress import Reporter, Silent, quieten
from playsafe.rundir import watched
from playsafe.study.plan import Job, Plan
from playsafe.study.resident import Resident
from playsafe.study.run import Outcome, Worker

TRIES = 3  # a job whose worker died is given to so many
OPEN = "open"


class Processes:
    name = "processes"
    summary = "several processes on this machine, one resident model each"
    parallel = True

    def execute(self, plan: Plan, jobs: Sequence[Job], workers: int, reporter: Reporter) -> list[Outcome]:
        pool = _Pool(plan, jobs, workers, reporter)
        try:
            return pool.work()
        finally:
            pool.end()


class _Pool:
    def __init__(self, plan: Plan, jobs: Sequence[Job], workers: int, reporter: Reporter) -> None:
        self.plan, self.reporter = plan, reporter
        self.left = list(jobs)
        self.busy: dict[Connection, tuple[Any, Job | None]] = {}
        self.idle: list[tuple[Connection, Any]] = []
        self.found: list[Outcome] = []
        self.lost: set[str] = set()
        self.tries: dict[str, int] = {}
        self.workers = max(1, min(workers, len(jobs)))

    def work(self) -> list[Outcome]:
        self._start()
        connection, process = self.idle.pop()
        self._give(connection, process, None)  # opens the study; refuses it before anything is computed
        while self.busy:
            self._hear()
        for _ in range(self.workers - 1):
            self._start()
        with self.reporter.task("jobs", len(self.left)) as advance:
            done = 0
            while self.left or self.busy:
                self._hand_out()
                if self.busy:
                    self._hear()
                advance(len(self.found) - done)
                done = len(self.found)
        order = {job.id: n for n, job in enumerate(self.plan.jobs.values())}
        return sorted(self.found, key=lambda outcome: order[outcome.job.id])

    def end(self) -> None:
        for connection, process in [*self.idle, *((c, p) for c, (p, _) in self.busy.items())]:
            connection.close()
            process.terminate()
            process.join(5)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        threads = max(1, (os.cpu_count() or 1) // self.workers)
        process = context.Process(target=_serve, args=(theirs, self.plan.config, threads), daemon=True)
        process.start()
        theirs.close()
        self.idle.append((ours, process))

    def _give(self, connection: Connection, process: Any, job: Job | None) -> None:
        self.busy[connection] = (process, job)
        with contextlib.suppress(OSError):  # it died idle: `_hear` finds the end of its pipe
            connection.send(OPEN if job is None else job.id)

    def _hand_out(self) -> None:
        """Give every idle worker the first job that is ready; jobs whose needs failed are over."""
        waiting = {job.id for job in self.left} | {job.id for _, job in self.busy.values() if job is not None}
        for job in [*self.left]:
            if why := blocked(job, self.lost):
                self.left.remove(job)
                self._over(Outcome(job, "blocked", why))
            elif not self.idle:
                return
            elif not waiting & {*job.needs}:
                self.left.remove(job)
                self._give(*self.idle.pop(), job)

    def _hear(self) -> None:
        """Wait until a worker says something or dies."""
        for connection in wait([*self.busy]):
            assert isinstance(connection, Connection)
            process, job = self.busy[connection]
            try:
                said, what = connection.recv()
            except (EOFError, OSError):
                del self.busy[connection]
                process.join()
                self._died(job, process.exitcode)
                continue
            if said == "note":
                self.reporter.note(what)
                continue
            del self.busy[connection]
            self.idle.append((connection, process))
            if said == "refused":
                raise _refusal(*what)
            if job is not None:
                self._over(Outcome(job, *what))

    def _died(self, job: Job | None, code: int | None) -> None:
        place = "" if job is None else job.id
        self.tries[place] = self.tries.get(place, 0) + 1
        if self.tries[place] < TRIES:
            self._start()
            if job is None:
                self._give(*self.idle.pop(), None)
            else:
                self.left.insert(0, job)
            return
        message = f"its worker died {TRIES} times, the last time with exit code {code}"
        if job is None:
            raise PlaysafeError(message, next="Try --executor here.")
        self._over(Outcome(job, "failed", message, 3))
        self._start()

    def _over(self, outcome: Outcome) -> None:
        self.found.append(outcome)
        if outcome.state in ("failed", "blocked"):
            self.lost.add(outcome.job.id)


def _refusal(text: str, exit_code: int) -> PlaysafeError:
    error = PlaysafeError(text)
    error.exit_code = exit_code
    return error


class _Told(Silent):
    """Notes go to the parent, which shows them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def note(self, text: str) -> None:
        self.connection.send(("note", text))


def _serve(connection: Connection, config: StudyConfig, threads: int) -> None:
    """A worker: jobs in, outcomes out, until the parent goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads)
    quieten()
    with watched(Path(config.output_dir)):
        _work(connection, config)


def _work(connection: Connection, config: StudyConfig) -> None:
    plan = Plan(config)
    worker: Worker | None = None
    while True:
        try:
            asked = connection.recv()
        except EOFError:
            return
        try:
            worker = worker or Worker(plan, Resident(config, _Told(connection)))
            if asked == OPEN:
                worker.open()
                connection.send(("opened", None))
            else:
                _, state, error, code = worker.run(plan.jobs[asked])
                connection.send(("over", (state, error, code)))
        except (PlaysafeError, OSError) as error:
            told = error if isinstance(error, PlaysafeError) else SystemFault.of(error)
            connection.send(("refused", (str(told or error), told.exit_code if told else 3)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


EXECUTOR = Processes()
