"""Files of the user that attacks read: lists of texts, and rows in the shapes that attack results have."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from playsafe.data.files import Row, decode, kind, parse_json, read_bytes, read_rows, string
from playsafe.errors import BadInput, nearest

KINDS = (".txt", ".json", ".jsonl", ".csv")


def fingerprint(path: Path) -> dict[str, str]:
    """What a file's content depends on: its bytes, and its type, which decides how they are read."""
    return {"type": path.suffix.lower(), "sha256": hashlib.sha256(read_bytes(path, KINDS)).hexdigest()}


def read_texts(path: Path, column: str | None, known: Iterable[str]) -> list[tuple[str, str]]:
    """(source, text) for each text of a file.

    A .txt file is one text; .json and .jsonl hold strings, or objects with the text in `column`; a .csv has
    it in `column`. Without a name it is the first of `known` that the file has.
    """
    found = _strings(path)
    if found is not None:
        if column is not None:
            raise BadInput(f"column {column!r} has no effect: the file holds bare texts.", where=str(path))
        return [(source, string(text, "the text", source)) for source, text in found]
    rows = read_records(path)
    column = find_column(rows, column, known, path, "the text")
    return [(source, string(row.get(column), column, source)) for source, row in rows]


def read_records(path: Path) -> list[tuple[str, Row]]:
    """(source, row) of a list of objects, of {"...": {...}, "...": [objects]} or of {column: [cells]}."""
    if path.suffix.lower() == ".json":
        content = parse_json(decode(read_bytes(path, KINDS), path), str(path))
        if isinstance(content, dict):
            return _unfolded(content, path)
    return read_rows(path)


def find_column(
    rows: list[tuple[str, Row]], asked: str | None, known: Iterable[str], path: Path, what: str
) -> str:
    """The column called `asked`, or the first of `known` in any letter case."""
    columns = list(dict.fromkeys(key for _, row in rows for key in row))
    if asked is not None and asked not in columns:
        hint = nearest(asked, columns)
        raise BadInput(
            f"there is no column {asked!r}.", where=str(path), allowed=", ".join(columns), next=hint
        )
    found = asked or next((c for name in known for c in columns if c.lower() == name), None)
    if found is None:
        listed = ", ".join(map(repr, columns))
        raise BadInput(
            f"no column is known to hold {what}: {listed}.",
            where=str(path),
            next=f"Name it in the options; known are {', '.join(known)}.",
        )
    return found


def _strings(path: Path) -> list[tuple[str, Any]] | None:
    """The texts of a file of bare texts; None for a file of rows."""
    text = decode(read_bytes(path, KINDS), path)
    suffix = path.suffix.lower()
    if suffix == ".txt":
        return [(f"{path}:1", text.replace("\r\n", "\n").removesuffix("\n"))]
    if suffix == ".json":
        content = parse_json(text, str(path))
        if isinstance(content, list) and any(isinstance(one, str) for one in content):
            return [(f"{path}:row {n}", one) for n, one in enumerate(content, 1)]
    if suffix == ".jsonl":
        lines = [(f"{path}:{n}", line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
        if any(line.lstrip().startswith('"') for _, line in lines):
            return [(source, parse_json(line, source)) for source, line in lines]
    return None


def _unfolded(content: Row, path: Path) -> list[tuple[str, Row]]:
    lists = {key: value for key, value in content.items() if isinstance(value, list)}
    if len(lists) == 1 and all(isinstance(row, dict) for row in next(iter(lists.values()))):
        key, rows = lists.popitem()
        found = [(f"{path}:{key} {n}", row) for n, row in enumerate(rows, 1)]
    elif lists and len(lists) == len(content):
        lengths = {key: len(value) for key, value in lists.items()}
        if len(set(lengths.values())) > 1:
            raise BadInput(f"the columns differ in length: {lengths}.", where=str(path))
        cells = zip(*lists.values(), strict=True)
        found = [(f"{path}:row {n}", dict(zip(lists, row, strict=True))) for n, row in enumerate(cells, 1)]
    else:
        shown = ", ".join(f"{key!r} ({kind(value)})" for key, value in content.items())
        raise BadInput(
            f"the object holds no rows: {shown or 'nothing'}.",
            where=str(path),
            allowed="a list of objects, one list of objects under a key, a list for each column",
        )
    if not found:
        raise BadInput("the file has no rows.", where=str(path))
    return found
