"""What the verbs share: options, and everything that is printed.

Names, rows, replies and errors come from anywhere: what a terminal would obey or hide (control sequences,
marks that turn the direction of writing) is shown as its number, and nothing is taken for markup.
"""

from __future__ import annotations

import json
import os
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
from rich.text import Text

from playsafe.secrets import redacted
from playsafe.visible import visible

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


def clean(text: str, *, lines: bool = False) -> str:
    """`text` as it may be printed. lines: whether line ends are kept."""
    text = visible(redacted(text))
    return text if lines else text.replace("\n", "\\n").replace("\t", " ")


class _Console(Console):
    """A console that takes every string as it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(clean(text, lines=True), **options)

    def on_broken_pipe(self) -> None:
        """Whoever read has gone (`| head`); what is still written goes nowhere."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141)  # as the shell says of a closed pipe


LINE = 2_000  # characters of an error; keys and names may have any number


def complain(text: str) -> None:
    """One line about what is wrong, on stderr."""
    _Console(stderr=True, soft_wrap=True).print(f"error: {clean(text)[:LINE]}")


def remark(text: str) -> None:
    """One line that is good to know, on stderr."""
    _Console(stderr=True, soft_wrap=True).print(f"note: {clean(' '.join(text.split()))}")


class Screen:
    """Progress and tables for people on stderr and stdout; nothing with quiet."""

    def __init__(self, quiet: bool, as_json: bool) -> None:
        width = None if sys.stdout.isatty() else 1000  # into a file or a pipe: rows stay on one line
        self.out = _Console(quiet=quiet or as_json, width=width)
        self.log = _Console(stderr=True, quiet=quiet)
        self.as_json = as_json
        self._quiet = quiet

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Callable[..., None]]:
        if not self.log.is_terminal and not self._quiet:  # a log: a line when work begins, no bars
            self.log.print(clean(label))
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(
            *columns,
            TimeRemainingColumn(),
            console=self.log,
            disable=self._quiet or not self.log.is_terminal,
            transient=True,
        ) as bar:
            task = bar.add_task(clean(label), total=total)

            def advance(n: int, total: int | None = None) -> None:
                if total:
                    bar.update(task, total=total)
                bar.advance(task, n)

            yield advance

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[str | None]], title: str | None = None
    ) -> None:
        table = Table(
            *(Column(clean(name), overflow="fold") for name in columns), title=title and clean(title)
        )
        for row in rows:  # no name is cut
            table.add_row(*(cell and clean(cell) for cell in row))
        self.out.print(table)

    def line(self, text: str, *, dim: bool = False) -> None:
        """A line of the result, which is never broken."""
        self.out.print(Text(clean(text), "dim" if dim else ""), soft_wrap=True)

    def spans(self, spans: Iterable[tuple[str, str]]) -> None:
        """Pieces of a text with their styles; its line ends are kept."""
        pieces = ((clean(piece, lines=True), style) for piece, style in spans)
        self.out.print(Text.assemble(*pieces), soft_wrap=True)

    def error(self, text: str) -> None:
        complain(text)

    def note(self, text: str) -> None:
        self.log.print(f"note: {clean(text)}")

    def result(self, value: Any) -> None:
        if self.as_json:
            text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
            sys.stdout.write(clean(text, lines=True) + "\n")
