"""Evaluation prompts from tables and JSON files, each in the shape its authors gave it."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playsafe.data.files import Row, read_rows, string
from playsafe.errors import BadInput, nearest
from playsafe.provenance import file_hash
from playsafe.records import Message, Prompt

COLUMNS = ("prompt", "goal", "question", "instruction", "text", "forbidden_prompt", "behavior", "input")
CATEGORIES = ("category", "type", "semanticcategory")
ANSWERS = ("answer", "references", "reference", "target", "solution")


@dataclass(frozen=True, slots=True)
class Shape:
    """Which columns of a row make a prompt. category: a label. references: a text or a list of texts.
    context: what the request is about, put in front of it."""

    column: str
    category: str | None = None
    references: str | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """prompts: in file order. sha256: over the prompts' ids, texts and references, so it changes exactly
    when they do. source: the file, its own sha256 and what was taken from it, for the record."""

    name: str
    prompts: tuple[Prompt, ...]
    sha256: str
    source: str


def load_suite(
    path: str | Path,
    *,
    name: str | None = None,
    column: str | None = None,
    subset: str | None = None,
    limit: int | None = None,
    seed: int | None = None,
    answers: bool = False,
) -> Suite:
    """Read prompts from .csv, .tsv, .xlsx, .jsonl or .json.

    name: the suite's name, by default the file's. column: where the prompts stand, by default the first of
    COLUMNS that the file has, in any letter case. The category is read from the first of CATEGORIES.
    subset: "column=value", "column!=value", "column^=prefix" or "column!^=prefix"; XSTest's safe prompts
    are "type!^=contrast_". limit: the first so many prompts, or with a seed a sample of so many, kept in
    file order. Ids are "<suite>:<row number in the file>", whatever was selected. answers: the rows have
    right answers, in the first of ANSWERS.

    Raises BadInput with file and line: unreadable file, no such column, an empty prompt, an empty subset.
    """
    path = Path(path)
    name = name or path.stem
    if limit is not None and limit < 1:
        raise BadInput(f"limit is {limit}.", where=str(path), allowed="a number above 0")
    rows = read_rows(path)
    columns = _columns(rows)
    right = _first(ANSWERS, columns) if answers else None
    if answers and right is None:
        raise BadInput(
            "no column is known to hold right answers.", where=str(path), allowed=" | ".join(ANSWERS)
        )
    shape = Shape(_column(column, columns, path), _first(CATEGORIES, columns), right)
    source = f"{path.name} (sha256 {file_hash(path)})"
    return suite_of(rows, name, shape, [subset] if subset else [], limit, seed, source, str(path))


def suite_of(
    rows: Sequence[tuple[str, Row]],
    name: str,
    shape: Shape,
    subsets: Sequence[str],
    limit: int | None,
    seed: int | None,
    source: str,
    where: str,
) -> Suite:
    """The prompts of rows that are read already; subsets are taken one after the other, then the limit."""
    columns = _columns(rows)
    for wanted in (shape.column, shape.category, shape.references, shape.context):
        if wanted is not None and wanted not in columns:
            raise BadInput(f"there is no column {wanted!r}.", where=where, allowed=", ".join(columns))
    chosen = list(enumerate(rows, 1))
    for subset in subsets:
        chosen = _select(chosen, subset, columns, where)
    if limit is not None and limit < len(chosen):
        order = list(range(len(chosen)))
        if seed is not None:
            random.Random(seed).shuffle(order)  # so that a smaller limit gives a part of a larger one
        chosen = [chosen[index] for index in sorted(order[:limit])]
    prompts = tuple(_prompt(name, number, row, shape, place) for number, (place, row) in chosen)
    taken = {"column": shape.column, "subset": ", ".join(subsets) or None, "limit": limit}
    taken["seed"] = None if limit is None else seed
    options = "".join(f", {key}={value}" for key, value in taken.items() if value is not None)
    return Suite(name, prompts, _hash(prompts), f"{source}: {len(prompts)} of {len(rows)} rows{options}")


def _columns(rows: Sequence[tuple[str, Row]]) -> list[str]:
    return list(dict.fromkeys(key for _, row in rows for key in row))


def _prompt(suite: str, number: int, row: Row, shape: Shape, source: str) -> Prompt:
    text = string(row.get(shape.column), shape.column, source)
    if shape.context is not None and row.get(shape.context):
        text = f"{string(row[shape.context], shape.context, source)}\n\n---\n\n{text}"
    label = row.get(shape.category) if shape.category else None
    label = label if isinstance(label, str) else ""
    expected = row.get(shape.references, []) if shape.references else []
    listed = expected if isinstance(expected, list) else [_plain(expected)]
    references = tuple(string(reply, str(shape.references), source) for reply in listed)
    return Prompt(f"{suite}:{number}", suite, (Message("user", text),), references, category=label)


def _plain(answer: Any) -> Any:
    """A number as text: JSON files of sums have numbers for answers."""
    return str(answer) if isinstance(answer, int | float) and not isinstance(answer, bool) else answer


def _column(asked: str | None, columns: list[str], path: Path) -> str:
    listed = ", ".join(map(repr, columns))
    if asked is not None:
        if asked not in columns:
            raise BadInput(
                f"there is no column {asked!r}.",
                where=str(path),
                allowed=listed,
                next=nearest(asked, columns),
            )
        return asked
    found = _first(COLUMNS, columns)
    if found is None:
        raise BadInput(
            f"no column is known to hold prompts: {listed}.", where=str(path), next="Name it with column=."
        )
    rivals = [name for name in columns if name.lower() == found.lower()]
    if found.lower() == "instruction":  # Alpaca's shape: the question is spread over two columns
        rivals += [name for name in columns if name.lower() == "input"]
    if len(rivals) > 1:
        what = f"the prompt may stand in {' or '.join(map(repr, rivals))} of the columns {listed}."
        raise BadInput(what, where=str(path), next="Name it with column=.")
    return found


def _first(names: Iterable[str], columns: list[str]) -> str | None:
    """The first of `names` that is a column in any letter case, as the file spells it."""
    return next((column for name in names for column in columns if column.lower() == name), None)


def _select(
    rows: list[tuple[int, tuple[str, Row]]], subset: str, columns: list[str], where: str
) -> list[tuple[int, tuple[str, Row]]]:
    match = re.fullmatch(r"(.+?)(!?\^?)=(.*)", subset)
    if match is None:
        allowed = "column=value, column!=value, column^=prefix, column!^=prefix"
        raise BadInput(f"subset {subset!r} is no condition.", where=where, allowed=allowed)
    column, operator, value = match.groups()
    if column not in columns:
        hint = nearest(column, columns)
        raise BadInput(f"there is no column {column!r}.", where=where, allowed=", ".join(columns), next=hint)

    def keeps(cell: Any) -> bool:
        text = str(cell)
        holds = text.startswith(value) if "^" in operator else text == value
        return holds != ("!" in operator)

    kept = [(number, (source, row)) for number, (source, row) in rows if keeps(row.get(column))]
    if not kept:
        values = sorted({str(row.get(column)) for _, (_, row) in rows})
        shown = ", ".join(values) if len(values) <= 20 else f"{len(values)} different ones"
        raise BadInput(f"no row meets {subset!r}.", where=where, next=f"Values found: {shown}.")
    return kept


def _hash(prompts: Iterable[Prompt]) -> str:
    rows = [[p.id, [[m.role, m.content] for m in p.messages], p.references, p.category] for p in prompts]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
