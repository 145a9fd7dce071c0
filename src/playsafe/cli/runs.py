"""Verbs that compute: quickstart, run, score, train, evaluate; and those that show what was computed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from playsafe.cli.screen import Config, Gate, Json, Quiet, Screen, Set, quieten
from playsafe.errors import BadInput

if TYPE_CHECKING:
    from playsafe.assess import Study

app = typer.Typer()
GATE_ROWS = 20  # decisions on the screen


def study_of(config: Path, overrides: list[str] | None, screen: Screen, **changes: Any) -> Study:
    from playsafe.config import load_study

    study_config = load_study(config, overrides, changes)
    quieten()
    from playsafe.assess import Study

    return Study(study_config, screen)


def _gates(gate: list[str] | None) -> dict[str, Any]:
    return {"gates": gate} if gate else {}


def _finish(root: Path, screen: Screen) -> None:
    """Table, page and directories of a study; exit code 1 when a gate is not passed."""
    from playsafe.report import interval_note, summary_table, write_page
    from playsafe.results import gate_table, load

    runs = load(root)
    page = write_page(root)
    columns, rows = summary_table(runs)
    table = Table(*columns, title=runs.name)
    for row in rows:
        table.add_row(*row)
    screen.out.print(table)
    screen.out.print(interval_note(runs), style="dim", highlight=False)
    gates, passed = gate_table(runs)
    if gates:
        screen.out.print(_gate_rows(gates))
    screen.out.print(f"page  {page}", soft_wrap=True, highlight=False)
    screen.out.print(f"runs  {root}", soft_wrap=True, highlight=False)
    found = {
        "page": str(page),
        "runs": str(root),
        "table": [dict(zip(columns, r, strict=True)) for r in rows],
    }
    screen.result(found | ({"gates": gates, "passed": passed} if gates else {}))
    if not passed:
        raise typer.Exit(1)


def _gate_rows(gates: list[dict[str, str]]) -> Table:
    """What did not pass, as far as a screen takes it; gate.json and the page have all."""
    failed = [row for row in gates if row["result"] != "pass"]
    title = f"gates: {len(gates) - len(failed)} of {len(gates)} decisions passed"
    if len(failed) > GATE_ROWS:
        title += f"; the first {GATE_ROWS} that did not"
    table = Table(*(gates[0] if failed else ()), title=title)
    for row in failed[:GATE_ROWS]:
        table.add_row(*row.values())
    return table


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option("--out", help="where the study goes")] = Path("runs/quickstart"),
    overrides: Set = None,
    gate: Gate = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The whole study on the embedded model: score, train, evaluate and report, offline, on a CPU."""
    from playsafe.tiny import QUICKSTART

    screen = Screen(quiet, as_json)
    study = study_of(QUICKSTART, overrides, screen, output_dir=str(out), **_gates(gate))
    study.run()
    _finish(study.root, screen)


@app.command()
def run(
    config: Config, overrides: Set = None, gate: Gate = None, as_json: Json = False, quiet: Quiet = False
) -> None:
    """The whole study: every role, method and seed, then the page. Repeat the command to continue."""
    screen = Screen(quiet, as_json)
    study = study_of(config, overrides, screen, **_gates(gate))
    study.run()
    _finish(study.root, screen)


@app.command()
def score(config: Config, overrides: Set = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """RDS: log-probabilities of every row under the role prompt and under role + unsafe prompt."""
    screen = Screen(quiet, as_json)
    study = study_of(config, overrides, screen)
    if not study.roles:
        raise BadInput(
            "a study without roles has no rows to score.", where="roles", next="Use `playsafe run`."
        )
    study.open()
    threshold = study.config.scoring.threshold
    table, found = Table("role", "rows", "flagged", "share"), {}
    for role in study.roles:
        scores = study.score(role)
        flagged = sum(s.gap > threshold for s in scores.values())
        found[role.name] = {"rows": len(scores), "flagged": flagged}
        table.add_row(role.name, str(len(scores)), str(flagged), f"{flagged / max(1, len(scores)):.1%}")
    screen.out.print(table)
    screen.result(found)


@app.command()
def train(config: Config, overrides: Set = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """Train every cell of the study; writes adapters (or models) and train.jsonl."""
    screen = Screen(quiet, as_json)
    study = study_of(config, overrides, screen)
    study.open()
    paths = [str(study.train(cell).path) for cell in study.cells()]
    for path in paths:
        screen.out.print(path, soft_wrap=True, highlight=False)
    screen.result(paths)


@app.command()
def evaluate(
    config: Annotated[
        Path | None, typer.Argument(help="study configuration (YAML)", metavar="[STUDY.yaml]")
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
    out: Annotated[Path | None, typer.Option("--out", help="where the runs go")] = None,
    overrides: Set = None,
    gate: Gate = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Ask what a study has trained so far, or the targets named here, every suite; judge; write the page.

    Exit code 1 when a gate is not passed.
    """
    from playsafe.audit import parse_targets
    from playsafe.config import load_study

    screen = Screen(quiet, as_json)
    changes: dict[str, Any] = _gates(gate)
    if out is not None:
        changes["output_dir"] = str(out)
    named = parse_targets(adapter or (), completions or (), endpoint, endpoint_model)
    if named:
        changes["targets"] = named
    study_config = load_study(config, overrides, changes)
    quieten()
    if config is None or study_config.targets:
        from playsafe.audit import Audit

        audit = Audit(study_config, screen)
        audit.run()
        _finish(audit.root, screen)
    else:
        from playsafe.assess import Study

        study = Study(study_config, screen)
        study.evaluate_trained()
        _finish(study.root, screen)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="output directory of a study")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build the page of a study from its run directories; loads no model."""
    from playsafe.report import write_page

    screen = Screen(quiet, as_json)
    page = write_page(directory)
    screen.out.print(f"page  {page}", soft_wrap=True, highlight=False)
    screen.result({"page": str(page)})


@app.command()
def show(
    directory: Annotated[Path, typer.Argument(help="output directory of a study, or one run")],
    as_json: Json = False,
) -> None:
    """Print the estimates of finished runs with n, errors and intervals."""
    from playsafe.report.tables import estimate_rows
    from playsafe.results import load
    from playsafe.rundir import find_runs, read_json

    screen = Screen(False, as_json)
    columns, rows = estimate_rows(load(directory))
    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    screen.out.print(table)
    screen.result([read_json(path / "summary.json") for path in find_runs(directory)])
