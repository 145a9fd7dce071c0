"""Verbs that compute: quickstart, run, score, train, evaluate; and those that show what was computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from playsafe.cli.screen import Config, Gate, Json, Quiet, Screen, Set
from playsafe.errors import BadInput
from playsafe.progress import quieten

if TYPE_CHECKING:
    from playsafe.config import StudyConfig
    from playsafe.study.run import Outcome

app = typer.Typer()
GATE_ROWS = 20  # decisions on the screen
FAILED, NOT_MEASURED = 1, 4  # exit codes
UNMEASURED = "not measured"


def study_of(config: Path | None, overrides: list[str] | None, **changes: Any) -> StudyConfig:
    """The study as it is configured; libraries are quiet from here on."""
    from playsafe.config import load_study

    found = load_study(config, overrides, changes)
    quieten()
    return found


def _say_prompts(study: StudyConfig, screen: Screen) -> None:
    """Say that the embedded study is run, or the embedded prompts are asked."""
    if study.unsaid:
        screen.note("the study names neither model, roles nor data: this is the embedded study")
    embedded = [str(s.path) for s in study.evaluation.suites if (s.path or "").startswith("tiny:")]
    if embedded:
        screen.note(f"asks {', '.join(embedded)}: embedded prompts, made for the embedded model")


def _gates(gate: list[str] | None) -> dict[str, Any]:
    return {"gates": gate} if gate else {}


def _failures(outcomes: Sequence[Outcome], screen: Screen) -> int:
    """Say which jobs failed or were blocked by them; the exit code that follows, 0 where all went well."""
    for outcome in outcomes:
        if outcome.state == "failed":
            screen.error(f"{outcome.job.label}: {outcome.error}")
    blocked = sum(outcome.state == "blocked" for outcome in outcomes)
    if blocked:
        screen.note(f"{blocked} jobs wait for those; repeat the command to try again")
    return max((outcome.exit_code for outcome in outcomes), default=0)


def _finish(root: Path, outcomes: Sequence[Outcome], screen: Screen) -> None:
    """Table, page and directories of a study. Exit code: of failed jobs that of the worst failure, 1 where a
    gate is not passed, 4 where nothing else is wrong and a gate or a whole run was not measured."""
    from playsafe.report import interval_note, summary_table, write_page
    from playsafe.results import gate_table, load
    from playsafe.results.unmeasured import lost, nothing_measured, sentence

    code = _failures(outcomes, screen)
    try:
        runs = load(root)
    except BadInput:
        if code:
            raise typer.Exit(code) from None
        raise
    page = write_page(root)
    columns, rows = summary_table(runs)
    screen.table(columns, rows, runs.name)
    screen.line(interval_note(runs), dim=True)
    gates, passed = gate_table(runs)
    if gates:
        _show_gates(gates, screen)
    for line in runs.left:
        screen.note(line)
    if missing := sentence(runs):
        screen.error(missing)
    screen.line(f"page  {page}")
    screen.line(f"runs  {root}")
    found = {
        "page": str(page),
        "runs": str(root),
        "table": [dict(zip(columns, r, strict=True)) for r in rows],
    }
    found["left_out"] = list(runs.left)
    found["unmeasured"] = [
        {"run": one.run.label, "suite": one.suite, "judge": one.judge, "n": one.n, "errors": one.errors}
        for one in lost(runs)
    ]
    screen.result(found | ({"gates": gates, "passed": passed} if gates else {}))
    states = {row["result"] for row in gates}
    code = code or (FAILED if states & {"fail", "undecided"} else 0)
    if code or UNMEASURED in states or nothing_measured(runs):
        raise typer.Exit(code or NOT_MEASURED)


def _show_gates(gates: list[dict[str, str]], screen: Screen) -> None:
    """What did not pass, as far as a screen takes it; gate.json and the page have all."""
    failed = [row for row in gates if row["result"] != "pass"]
    title = f"gates: {len(gates) - len(failed)} of {len(gates)} decisions passed"
    if len(failed) > GATE_ROWS:
        title += f"; the first {GATE_ROWS} that did not"
    if failed:
        screen.table([*gates[0]], [[*row.values()] for row in failed[:GATE_ROWS]], title)
    else:
        screen.line(title)


Only = Annotated[
    list[str] | None,
    typer.Option(help="score, train, edit, answer, judge, measure; failed or missing jobs"),
]
Limit = Annotated[int | None, typer.Option(help="so many jobs that are not done yet", min=1)]
Shard = Annotated[str | None, typer.Option(help="i/n: the i-th of n parts, by role", metavar="I/N")]
ExecutorName = Annotated[str, typer.Option("--executor", help="here, processes")]
Workers = Annotated[int | None, typer.Option(help="processes; as many as cores when absent", min=1)]


def shard_of(text: str | None) -> tuple[int, int] | None:
    """(i, n) of "i/n"."""
    if text is None:
        return None
    first, _, parts = text.partition("/")
    if not (text.isascii() and first.isdecimal() and parts.isdecimal() and 1 <= int(first) <= int(parts)):
        raise BadInput(f"{text!r} is no part of a study.", where="--shard", allowed="1/4 to 4/4, for example")
    return int(first), int(parts)


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option("--out", help="where the study goes")] = Path("runs/quickstart"),
    overrides: Set = None,
    gate: Gate = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The whole study on the embedded model: score, train, evaluate and report, offline, on a CPU."""
    from playsafe import api
    from playsafe.tiny import QUICKSTART

    screen = Screen(quiet, as_json)
    study = study_of(QUICKSTART, overrides, output_dir=str(out), **_gates(gate))
    _say_prompts(study, screen)
    _finish(out, api.run(study, reporter=screen), screen)


@app.command()
def run(
    config: Config,
    overrides: Set = None,
    gate: Gate = None,
    only: Only = None,
    limit: Limit = None,
    shard: Shard = None,
    executor: ExecutorName = "here",
    workers: Workers = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The whole study: every role, arm and seed, then the page. Repeat the command to continue.

    A job that fails is reported and the rest goes on; the exit code is that of the worst failure.
    """
    from playsafe import api

    screen = Screen(quiet, as_json)
    study = study_of(config, overrides, **_gates(gate))
    _say_prompts(study, screen)
    outcomes = api.run(
        study,
        only=only or (),
        limit=limit,
        shard=shard_of(shard),
        executor=executor,
        workers=workers,
        reporter=screen,
    )
    _finish(Path(study.output_dir), outcomes, screen)


@app.command()
def score(config: Config, overrides: Set = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """RDS: log-probabilities of every row under the role prompt and under role + unsafe prompt."""
    from playsafe import api
    from playsafe.rundir import read_object

    screen = Screen(quiet, as_json)
    study = study_of(config, overrides)
    outcomes = api.score(study, screen)
    code = _failures(outcomes, screen)
    table, found = [], {}
    for job in (outcome.job for outcome in outcomes if outcome.state in ("done", "fresh")):
        summary = read_object(Path(study.output_dir) / job.place / "summary.json")
        rows, flagged = summary["rows"], summary["flagged"]
        found[str(job.role)] = {"rows": rows, "flagged": flagged}
        table.append((job.role, str(rows), str(flagged), f"{flagged / max(1, rows):.1%}"))
    screen.table(("role", "rows", "flagged", "share"), table)
    screen.result(found)
    if code:
        raise typer.Exit(code)


@app.command()
def train(config: Config, overrides: Set = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """Train every cell of the study; writes adapters (or models) and train.jsonl."""
    from playsafe import api

    screen = Screen(quiet, as_json)
    study = study_of(config, overrides)
    outcomes = api.train(study, screen)
    made = [o.job for o in outcomes if o.job.kind != "score" and o.state in ("done", "fresh")]
    paths = [str(Path(study.output_dir) / job.place) for job in made]
    for path in paths:
        screen.line(path)
    screen.result(paths)
    if code := _failures(outcomes, screen):
        raise typer.Exit(code)


@app.command()
def evaluate(
    config: Annotated[
        Path | None, typer.Argument(help="study configuration (YAML)", metavar="STUDY.yaml")
    ] = None,
    adapter: Annotated[
        list[str] | None, typer.Option(help="a LoRA adapter on the study's model: NAME[@ROLE]=DIR")
    ] = None,
    completions: Annotated[
        list[str] | None, typer.Option(help="a file of replies that are there already: NAME[@ROLE]=FILE")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="URL of an OpenAI-compatible server, ending in /v1")
    ] = None,
    endpoint_model: Annotated[str | None, typer.Option(help="the model's name on that server")] = None,
    endpoint_key: Annotated[
        str | None, typer.Option(help="environment variable that holds its key", metavar="VARIABLE")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="where the runs go")] = None,
    overrides: Set = None,
    gate: Gate = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Ask what a study has trained so far, or the targets named here, every suite; judge; write the page.

    Exit code 1 when a gate is not passed, 4 when most replies are missing or unjudged.
    """
    from playsafe import api
    from playsafe.cli.targets import parse_targets

    screen = Screen(quiet, as_json)
    changes: dict[str, Any] = _gates(gate)
    if out is not None:
        changes["output_dir"] = str(out)
    named = parse_targets(adapter or (), completions or (), endpoint, endpoint_model, endpoint_key)
    if named:
        changes |= {"targets": named, "methods": [], "arms": []}
    study = study_of(config, overrides, **changes)
    if config is None and not study.targets:
        raise BadInput(
            "there is no target to evaluate.",
            where="targets",
            next="Name one: --adapter NAME=DIR, --endpoint URL or --completions FILE.",
        )
    _say_prompts(study, screen)
    _finish(Path(study.output_dir), api.evaluate(study, screen), screen)


def _named(directory: str) -> Path:
    """The directory of that name; no name is none, not the current one."""
    if not directory.strip():
        raise BadInput("no directory is named.", next="Give the output directory of a study.")
    return Path(directory)


@app.command()
def report(
    directory: Annotated[str, typer.Argument(help="output directory of a study")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build the page of a study from its run directories; loads no model."""
    from playsafe.report import write_page
    from playsafe.results import load

    screen = Screen(quiet, as_json)
    root = _named(directory)
    page, left = write_page(root), load(root).left
    for line in left:
        screen.note(line)
    screen.line(f"page  {page}")
    screen.result({"page": str(page), "left_out": list(left)})


@app.command()
def show(
    directory: Annotated[str, typer.Argument(help="output directory of a study, or one run")],
    as_json: Json = False,
) -> None:
    """Print the estimates of finished runs with n, errors and intervals."""
    from playsafe.report.tables import estimate_rows
    from playsafe.results import load
    from playsafe.rundir import find_runs, read_json

    root = _named(directory)
    screen, runs = Screen(False, as_json), load(root)
    screen.table(*estimate_rows(runs))
    for line in runs.left:
        screen.note(line)
    screen.result([read_json(path / "summary.json") for path in find_runs(root)])
