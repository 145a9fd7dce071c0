"""The command line. Heavy imports stand inside the verbs: `playsafe --help` loads no torch.

Exit codes: 0 done, 2 bad input, 3 environment or self-check.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from playsafe import __version__
from playsafe.errors import BadInput, PlaysafeError

if TYPE_CHECKING:
    from playsafe.assess import Study

app = typer.Typer(
    help="Measure and prevent the loss of safety that role-play fine-tuning causes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Look at training data before training.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Config = Annotated[Path, typer.Argument(help="study configuration (YAML)", metavar="STUDY.yaml")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="override a key: --set training.learning_rate=1e-4")
]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of tables")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress, no tables")]


class Screen:
    """Progress and tables for people on stderr and stdout; nothing with quiet."""

    def __init__(self, quiet: bool, as_json: bool) -> None:
        width = None if sys.stdout.isatty() else 130  # into a file or a pipe: rows stay on one line
        self.out = Console(quiet=quiet or as_json, width=width)
        self.log = Console(stderr=True, quiet=quiet)
        self.as_json = as_json
        self._quiet = quiet

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Callable[..., None]]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(
            *columns, TimeRemainingColumn(), console=self.log, disable=self._quiet, transient=True
        ) as bar:
            task = bar.add_task(label, total=total)

            def advance(n: int, total: int | None = None) -> None:
                if total:
                    bar.update(task, total=total)
                bar.advance(task, n)

            yield advance

    def note(self, text: str) -> None:
        self.log.print(f"note: {text}", markup=False, highlight=False)

    def result(self, value: Any) -> None:
        if self.as_json:
            sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def _study(config: Path, overrides: list[str] | None, screen: Screen, **changes: str) -> Study:
    from playsafe.config import load_study

    study_config = load_study(config, overrides).model_copy(update=changes)
    _quieten()
    from playsafe.assess import Study

    return Study(study_config, screen)


def _quieten() -> None:
    """Libraries keep their own bars and pings to themselves; progress is ours to show."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def _finish(study: Study, screen: Screen) -> None:
    """Table, page and directories of a study."""
    from playsafe.report import interval_note, load_study_runs, summary_table, write_page

    runs = load_study_runs(study.root)
    page = write_page(study.root)
    columns, rows = summary_table(runs)
    table = Table(*columns, title=study.config.name)
    for row in rows:
        table.add_row(*row)
    screen.out.print(table)
    screen.out.print(interval_note(runs), style="dim", highlight=False)
    screen.out.print(f"page  {page}", soft_wrap=True, highlight=False)
    screen.out.print(f"runs  {study.root}", soft_wrap=True, highlight=False)
    screen.result(
        {
            "page": str(page),
            "runs": str(study.root),
            "table": [dict(zip(columns, r, strict=True)) for r in rows],
        }
    )


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option("--out", help="where the study goes")] = Path("runs/quickstart"),
    overrides: Set = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The whole study on the embedded model: score, train, evaluate and report, offline, on a CPU."""
    from playsafe.tiny import QUICKSTART

    screen = Screen(quiet, as_json)
    study = _study(QUICKSTART, overrides, screen, output_dir=str(out))
    study.run()
    _finish(study, screen)


@app.command()
def run(config: Config, overrides: Set = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """The whole study: every role, method and seed, then the page. Repeat the command to continue."""
    screen = Screen(quiet, as_json)
    study = _study(config, overrides, screen)
    study.run()
    _finish(study, screen)


@app.command()
def score(config: Config, overrides: Set = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """RDS: log-probabilities of every row under the role prompt and under role + unsafe prompt."""
    screen = Screen(quiet, as_json)
    study = _study(config, overrides, screen)
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
    study = _study(config, overrides, screen)
    study.open()
    paths = [str(study.train(cell).path) for cell in study.cells()]
    for path in paths:
        screen.out.print(path, soft_wrap=True, highlight=False)
    screen.result(paths)


@app.command()
def evaluate(config: Config, overrides: Set = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """Ask the base model and what is trained so far every suite, judge the replies, write the page."""
    screen = Screen(quiet, as_json)
    study = _study(config, overrides, screen)
    study.evaluate_trained()
    _finish(study, screen)


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
    from playsafe.rundir import find_runs, read_json

    screen = Screen(False, as_json)
    found = find_runs(directory)
    if not found:
        raise BadInput(
            "no finished run here.", where=str(directory), next="Run `playsafe run STUDY.yaml` first."
        )
    summaries = [read_json(path / "summary.json") for path in found]
    table = Table("role", "method", "seed", "suite", "metric", "value", "95 % interval", "n", "errors")
    for summary in summaries:
        for e in summary.get("estimates", ()):
            numbers = (
                ("–", "–")
                if e["value"] is None
                else (f"{e['value']:.3f}", f"{e['low']:.3f} to {e['high']:.3f}")
            )
            who = (
                summary["role"] or "all",
                summary["method"],
                "" if summary["seed"] is None else str(summary["seed"]),
            )
            table.add_row(*who, e["suite"], e["metric"], *numbers, str(e["n"]), str(e["errors"]))
    screen.out.print(table)
    screen.result(summaries)


@data_app.command("preview")
def data_preview(
    config: Config,
    role: Annotated[str | None, typer.Option(help="role to look at; the first when absent")] = None,
    rows: Annotated[int, typer.Option(help="how many rows", min=1)] = 3,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Show exactly which tokens are trained (green), as the model reads them."""
    from rich.text import Text

    from playsafe.data.chat import preview
    from playsafe.data.roles import find_role

    screen = Screen(False, as_json)
    study = _study(config, overrides, screen)
    chosen = find_role(study.roles, role) if role else study.roles[0]
    shown = []
    for dialogue, fitted in study.fitted(chosen)[:rows]:
        if fitted.rendered is None:
            screen.out.print(f"{dialogue.id}: dropped, {fitted.length} tokens", markup=False)
            continue
        spans = preview(study.aligned.renderer, fitted.rendered)
        text = Text()
        for piece, trained in spans:
            text.append(piece, style="bold green" if trained else "dim")
        screen.out.print(Text(f"{dialogue.id} · {fitted.length} tokens, {fitted.outcome}", style="bold"))
        screen.out.print(text, soft_wrap=True)
        shown.append({"id": dialogue.id, "tokens": fitted.length, "spans": spans})
    counts = study.data(chosen).counts
    screen.out.print(", ".join(f"{key} {value}" for key, value in counts.items()), highlight=False)
    screen.result({"rows": shown, "counts": counts})


@app.command()
def roles(
    path: Annotated[
        str, typer.Argument(help="roles file (YAML, JSON, RoleBench desc.json) or 'tiny'")
    ] = "tiny",
    as_json: Json = False,
) -> None:
    """List the roles of a file with their tags and the length of their prompts."""
    from playsafe import sources
    from playsafe.config import RolesConfig

    screen = Screen(False, as_json)
    found = sources.roles(RolesConfig(path=path))
    table = Table("role", "tags", "prompt (characters)")
    for role in found:
        table.add_row(role.name, ", ".join(role.tags), str(len(role.prompt)))
    screen.out.print(table)
    screen.result([{"name": r.name, "tags": r.tags, "prompt": r.prompt} for r in found])


@app.command()
def methods(as_json: Json = False) -> None:
    """List the training methods with their options and defaults."""
    from playsafe import methods as registry

    screen = Screen(False, as_json)
    table, found = Table("method", "what it does", "source", "options"), []
    for name in registry.names():
        method = registry.get(name)
        options = method.Options().model_dump(by_alias=True)
        table.add_row(name, method.summary, method.source, ", ".join(f"{k}={v}" for k, v in options.items()))
        found.append({"name": name, "summary": method.summary, "source": method.source, "options": options})
    screen.out.print(table)
    screen.result(found)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is installed, which device is there, and whether the embedded model loads."""
    from playsafe.config import ModelConfig
    from playsafe.provenance import environment

    screen = Screen(False, as_json)
    found = environment()
    _quieten()
    from playsafe.models.loading import load_aligned

    aligned = load_aligned(ModelConfig())
    found["embedded model"] = {
        "parameters": sum(p.numel() for p in aligned.model.parameters()),
        "weights": aligned.weights_hash,
    }
    table = Table("what", "found")
    for key, value in found.items():
        table.add_row(
            key, ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        )
    screen.out.print(table)
    screen.result(found)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point: our errors become one line and their exit code."""
    try:
        app()
    except PlaysafeError as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", markup=False, highlight=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; repeat the command to continue")
        sys.exit(130)


if __name__ == "__main__":
    main()
