"""The verbs together, and how every error becomes one line and its exit code."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import traceback
import warnings
from typing import Annotated, Any, cast

import typer

import playsafe
from playsafe.cli import gap, lists, plan, runs
from playsafe.cli.screen import complain, remark
from playsafe.errors import PlaysafeError, SystemFault

BUG = 3  # exit code of what nobody foresaw; 1 would say that a gate is not passed
TRACE = "PLAYSAFE_TRACEBACK"  # where this variable is set, such an error is shown whole

app = typer.Typer(
    help="Measure and prevent the loss of safety that role-play fine-tuning causes.",
    no_args_is_help=True,
    rich_markup_mode=None,  # it takes brackets for markup: NAME[@ROLE]=DIR
    pretty_exceptions_enable=False,
)
app.add_typer(runs.app)
app.add_typer(plan.app)
app.add_typer(gap.app)
app.add_typer(lists.app)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if version:
        typer.echo(playsafe.__version__)
        raise typer.Exit


def main() -> None:
    """Run a command and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # a terminal may know few letters
            cast(Any, stream).reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.showwarning = _warned  # type: ignore[assignment]
        try:
            code = app(standalone_mode=False)
        except Exception as error:
            code = _told(error)
    code = code if isinstance(code, int) else 0
    _leave_group(code)
    sys.exit(code)


def _warned(message: Warning | str, category: type[Warning], *place: object) -> None:
    """A library's warning, which may quote anybody's file, in one line."""
    remark(f"{category.__name__}: {message}")


def _told(error: Exception) -> int:
    """Say what is wrong in one line; the exit code."""
    known = error if isinstance(error, PlaysafeError) else SystemFault.of(error)
    if known is not None:
        complain(str(known))
        return known.exit_code
    if hasattr(error, "format_message"):  # the command line was not understood
        if not (message := error.format_message()) or type(error).__name__ == "NoArgsIsHelpError":
            error.show()  # type: ignore[attr-defined]
        else:
            complain(f"{message.rstrip('.')}. `playsafe --help` lists what is allowed.")
        return int(getattr(error, "exit_code", 2))
    if isinstance(error, MemoryError):
        complain("there is not enough memory. Make batches or the model smaller, and repeat the command.")
        return BUG
    if os.environ.get(TRACE):
        traceback.print_exception(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    complain(
        f"unforeseen: {type(error).__name__}: {error} ({os.path.basename(last.filename)}:{last.lineno}). "
        f"This is a fault of playsafe; {TRACE}=1 shows where it arises."
    )
    return BUG


def _leave_group(code: int) -> None:
    """End a launcher's process group, and the process with it: at an ordinary end the group's threads abort
    it now and then, and the launcher would report a failure."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return
    torch.distributed.destroy_process_group()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
