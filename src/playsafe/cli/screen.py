"""What the verbs share: options, progress and tables on the screen."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

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
from rich.table import Column, Table

Config = Annotated[Path, typer.Argument(help="study configuration (YAML)", metavar="STUDY.yaml")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="override a key: --set training.learning_rate=1e-4")
]
Gate = Annotated[
    list[str] | None,
    typer.Option("--gate", help="'refusal >= 0.95', 'refusal >= base - 0.05'; exit code 1 if not passed"),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of tables")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress, no tables")]


class Screen:
    """Progress and tables for people on stderr and stdout; nothing with quiet."""

    def __init__(self, quiet: bool, as_json: bool) -> None:
        width = None if sys.stdout.isatty() else 1000  # into a file or a pipe: rows stay on one line
        self.out = Console(quiet=quiet or as_json, width=width)
        self.log = Console(stderr=True, quiet=quiet)
        self.as_json = as_json
        self._quiet = quiet

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Callable[..., None]]:
        if not self.log.is_terminal and not self._quiet:  # a log: a line when work begins, no bars
            self.log.print(label, markup=False, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(
            *columns,
            TimeRemainingColumn(),
            console=self.log,
            disable=self._quiet or not self.log.is_terminal,
            transient=True,
        ) as bar:
            task = bar.add_task(label, total=total)

            def advance(n: int, total: int | None = None) -> None:
                if total:
                    bar.update(task, total=total)
                bar.advance(task, n)

            yield advance

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[str | None]], title: str | None = None
    ) -> None:
        table = Table(*(Column(name, overflow="fold") for name in columns), title=title)  # no name is cut
        for row in rows:
            table.add_row(*row)
        self.out.print(table)

    def error(self, text: str) -> None:
        Console(stderr=True, soft_wrap=True).print(f"error: {text}", markup=False, highlight=False)

    def note(self, text: str) -> None:
        self.log.print(f"note: {text}", markup=False, highlight=False)

    def result(self, value: Any) -> None:
        if self.as_json:
            sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
