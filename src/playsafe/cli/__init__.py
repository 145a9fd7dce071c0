"""The command line. Heavy imports stand inside the verbs: `playsafe --help` loads no torch.

Exit codes: 0 done, 1 a gate was not passed, 2 bad input, 3 environment or self-check.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from playsafe import __version__
from playsafe.cli import gap, lists, runs
from playsafe.errors import PlaysafeError

app = typer.Typer(
    help="Measure and prevent the loss of safety that role-play fine-tuning causes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(runs.app)
app.add_typer(gap.app)
app.add_typer(lists.app)


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
    finally:
        _leave_group()


def _leave_group() -> None:
    """End a launcher's process group: its threads abort a process now and then at its end."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
