"""Reading UTF-8 text and rows of CSV and JSON, with errors that name the file and the line.

Everything here raises `BadInput`; nothing here interprets what a row means.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from playsafe.errors import BadInput

Row = dict[str, Any]


def read_bytes(path: Path, kinds: tuple[str, ...]) -> bytes:
    """The bytes of `path`, which must be an existing file whose suffix is one of `kinds`."""
    if path.suffix.lower() not in kinds:
        raise BadInput(f"unknown file type {path.suffix!r}.", where=str(path), allowed=", ".join(kinds))
    if not path.is_file():
        raise BadInput("there is no such file.", where=str(path), next="Check the path.")
    return path.read_bytes()


def decode(data: bytes, path: Path) -> str:
    """`data` as UTF-8 text without its byte order mark."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput(
            f"byte {data[error.start]:#04x} is not UTF-8.",
            where=f"{path}:{line}",
            next="Save the file as UTF-8.",
        ) from None


def read_rows(path: Path) -> list[tuple[str, Row]]:
    """(source, row) for each row of a .csv, .jsonl or .json file; a file without rows is refused."""
    text = decode(read_bytes(path, (".csv", ".jsonl", ".json")), path)
    rows = list(_csv_rows(text, path) if path.suffix.lower() == ".csv" else json_rows(text, path))
    if not rows:
        raise BadInput("the file has no rows.", where=str(path))
    return rows


def headless_rows(path: Path, header: Sequence[str]) -> list[tuple[str, Row]]:
    """(source, row) for each record of a .csv file whose first line is a record already."""
    first = io.StringIO()
    csv.writer(first).writerow(header)
    text = first.getvalue() + decode(read_bytes(path, (".csv",)), path)
    moved = [(source.rpartition(":"), row) for source, row in _csv_rows(text, path)]
    return [(f"{name}:{int(line) - 1}", row) for (name, _, line), row in moved]


def json_rows(text: str, path: Path) -> Iterator[tuple[str, Row]]:
    """(source, row) for each object of a .jsonl file or of the list in a .json file.

    source is "path:line" for .jsonl and "path:row n" for .json. Blank lines of .jsonl are no rows.
    """
    if path.suffix.lower() == ".jsonl":
        # not splitlines(): JSON strings may hold U+2028 and its kin unescaped
        lines = ((f"{path}:{n}", line) for n, line in enumerate(text.split("\n"), 1) if line.strip())
        pairs = ((source, parse_json(line, source)) for source, line in lines)
    else:
        rows = parse_json(text, str(path), next="If each line is an object of its own, name the file .jsonl.")
        if not isinstance(rows, list):
            raise BadInput(f"the file holds {kind(rows)}, not a list of objects.", where=str(path))
        pairs = ((f"{path}:row {n}", row) for n, row in enumerate(rows, 1))
    for source, row in pairs:
        if not isinstance(row, dict):
            raise BadInput(f"the row is {kind(row)}, not an object.", where=source)
        yield source, row


def parse_json(text: str, where: str, next: str = "") -> Any:
    """`text` as JSON; an object that names a key twice is refused, as one of the two would be lost."""
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, where))
    except json.JSONDecodeError as error:
        is_line = where.rpartition(":")[2].isdigit()
        where = where if is_line else f"{where}:{error.lineno}"
        raise BadInput(f"broken JSON at column {error.colno}: {error.msg}.", where=where, next=next) from None


def string(value: Any, what: str, where: str, *, empty: bool = False) -> str:
    """`value` if it is a string that can be encoded; blank strings pass only when `empty`."""
    if not isinstance(value, str):
        raise BadInput(f"{what} is {kind(value)}, not a string.", where=where)
    if not empty and not value.strip():
        raise BadInput(f"{what} is empty.", where=where)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadInput(f"{what} holds half of a surrogate pair, which no text has.", where=where) from None
    return value


def kind(value: Any) -> str:
    """The JSON name of a value's type, with its article."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _unique(pairs: list[tuple[str, Any]], where: str) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise BadInput(f"the key {twice!r} stands twice in one object.", where=where)
    return row


def _csv_rows(text: str, path: Path) -> Iterator[tuple[str, Row]]:
    """("path:line", row) where line is the one on which the record begins."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        header = next(reader, [])
        if len(set(header)) < len(header):
            raise BadInput("two columns have the same name.", where=f"{path}:1")
        while True:
            line = reader.line_num + 1
            cells = next(reader, None)
            if cells is None:
                return
            if not cells:
                continue
            if len(cells) != len(header):
                what = f"the row has {len(cells)} cells, the header {len(header)}."
                raise BadInput(what, where=f"{path}:{line}", next="Quote cells that hold commas.")
            yield f"{path}:{line}", dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise BadInput(f"broken CSV: {error}.", where=f"{path}:{line}") from None
