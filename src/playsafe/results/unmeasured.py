"""Replies that are missing or unjudged: how many, and where so many that nothing was measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from playsafe import metrics
from playsafe.gates import unmeasured
from playsafe.results.load import Run, StudyRuns


class Replies(NamedTuple):
    """Of one run and suite, to one judge ("none": to the measures that ask none). n: measured; errors:
    missing or unjudged."""

    run: Run
    suite: str
    judge: str
    n: int
    errors: int

    @property
    def place(self) -> str:
        by = "" if self.judge == metrics.UNJUDGED else f" by {self.judge}"
        return f"{self.run.label} · {self.suite}{by}"


def replies(run: Run) -> list[Replies]:
    """What was measured of a run, by suite and judge, from the measure with the most replies."""
    most: dict[tuple[str, str], Replies] = {}
    for e in run.estimates:
        found, place = Replies(run, e.suite, e.judge, e.n, e.errors), (e.suite, e.judge)
        known = most.get(place, found)
        most[place] = max(known, found, key=lambda one: (one.n + one.errors, -one.errors))
    return list(most.values())


def lost(runs: StudyRuns) -> list[Replies]:
    """Where more replies are missing or unjudged than measured."""
    return [one for run in runs.every for one in replies(run) if one.errors and unmeasured(one.n, one.errors)]


def nothing_measured(runs: StudyRuns) -> bool:
    """Whether a run was asked and nothing of it was measured."""
    every = [[one for one in replies(run) if one.n + one.errors] for run in runs.every]
    return any(found and all(unmeasured(one.n, one.errors) for one in found) for found in every)


def counted(runs: Iterable[Run], suites: Iterable[str], judges: Iterable[str]) -> tuple[int, int]:
    """Replies measured, and those missing or unjudged, on these suites by these judges; each reply once."""
    keys, asked = {*suites}, {*judges}
    n = errors = 0
    for run in runs:
        by_suite: dict[str, Replies] = {}
        for one in replies(run):
            if one.suite in keys and one.judge in asked:
                known = by_suite.get(one.suite, one)
                by_suite[one.suite] = max(known, one, key=lambda r: r.errors)
        n += sum(one.n for one in by_suite.values())
        errors += sum(one.errors for one in by_suite.values())
    return n, errors


def sentence(runs: StudyRuns) -> str:
    """One line about what was not measured; empty where that is nothing."""
    every = lost(runs)
    silent = {(one.run.path, one.suite) for one in every if one.judge == metrics.UNJUDGED}
    found = [r for r in every if r.judge == metrics.UNJUDGED or (r.run.path, r.suite) not in silent]
    if not found:
        return ""
    listed = ", ".join(f"{one.place} ({one.errors} of {one.n + one.errors})" for one in found[:4])
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""
    return f"not measured, as most replies are missing or unjudged: {listed}{more}"
