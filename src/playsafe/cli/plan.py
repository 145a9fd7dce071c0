"""The verb `plan`: what a study consists of, what is done, what is left and about how long it takes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from playsafe.cli.screen import Config, Json, Quiet, Screen, Set

app = typer.Typer()
FAILURES = 20  # on the screen


@app.command()
def plan(config: Config, overrides: Set = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """Show a study's jobs: done, missing, failed, and an estimate of time and memory. Loads no model."""
    from playsafe import api
    from playsafe.study.estimate import costs, memory
    from playsafe.study.plan import KINDS

    screen = Screen(quiet, as_json)
    made = api.plan(api.load_study(config, overrides))
    cost, rows, shown = costs(made), [], []
    left: float | None = 0.0
    for kind in (kind for kind in KINDS if sum(made.counts(kind).values())):
        counts = made.counts(kind)
        seconds, measured = cost[kind]
        rest = None if seconds is None else seconds * (counts["failed"] + counts["missing"])
        left = None if left is None or rest is None else left + rest
        row: dict[str, Any] = {"kind": kind, "jobs": sum(counts.values()), **counts}
        rows.append(row | {"seconds": seconds, "measured": measured, "left": rest})
        how = f"{spoken(seconds)} ({f'median of {measured}' if measured else 'rough'})"
        shown.append(
            [*(str(row[key]) for key in ("kind", "jobs", "done", "failed", "missing")), how, spoken(rest)]
        )
    columns = ("jobs", "all", "done", "failed", "missing", "a job takes", "left")
    screen.table(columns, shown, str(made.root))
    failed = [job for job in made.jobs.values() if made.state(job) == "failed"]
    for job in failed[:FAILURES]:
        screen.line(f"failed  {job.label}: {made.last(job).get('error', '')}")
    size = memory(made.config)
    takes = f"{size / 1e9:.1f} GB of weights a worker" if size else "memory unknown: the model is not on disk"
    screen.line(f"left    {spoken(left)} with one worker, {takes}")
    jobs = [
        {"id": job.id, **asdict(job), "state": made.state(job), "last": made.last(job)}
        for job in (made.jobs.values() if as_json else ())
    ]
    screen.result({"kinds": rows, "left": left, "bytes": size, "jobs": jobs})


def spoken(seconds: float | None) -> str:
    """ "2 h 5 min", "40 s"."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
