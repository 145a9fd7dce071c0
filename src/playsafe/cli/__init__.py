"""The command line. Heavy imports stand inside the verbs: `playsafe --help` loads no torch.

Exit codes: 0 done, 1 a gate was not passed, 2 bad input, 3 environment or self-check, 4 not measured (most
replies are missing or unjudged), 5 another process is at work in the directory.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import Annotated

import typer
from rich.console import Console

from playsafe import __version__
from playsafe.cli import gap, lists, plan, runs
from playsafe.errors import PlaysafeError

app = typer.Typer(
    help="Measure and prevent the loss of safety that role-play fine-tuning causes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(runs.app)
app.add_typer(plan.app)
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
    """End a launcher's process group, and the process with it: at an ordinary end the group's threads abort
    it now and then, and the launcher would report a failure."""
    torch = sys.modules.get("torch")
    error = sys.exc_info()[1]
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return
    torch.distributed.destroy_process_group()
    if error is None or isinstance(error, SystemExit):
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(error.code or 0) if error is not None else 0)
