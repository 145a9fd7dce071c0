"""Reading UTF-8 text and rows of CSV, TSV, JSON and XLSX, with errors that name the file and the line.

Everything here raises `BadInput`; nothing here interprets what a row means.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from playsafe.errors import BadInput, in_words

Row = dict[str, Any]
TABLES = (".csv", ".tsv", ".xlsx")
UNPACKED, CELLS = 100 << 20, 2_000_000  # of a workbook
csv.field_size_limit(1 << 28)  # a prompt may be longer than the 128 KiB that the module allows by itself


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
    """(source, row) for each row of a table or of a .jsonl or .json file; one without rows is refused.

    A .tsv has no quoting: a cell ends at the tab. Of an .xlsx the only sheet is read, values alone, as text.
    """
    data = read_bytes(path, (*TABLES, ".jsonl", ".json"))
    table = path.suffix.lower() in TABLES
    rows = list(_table_rows(data, path, None) if table else json_rows(decode(data, path), path))
    if not rows:
        raise BadInput("the file has no rows.", where=str(path))
    return rows


def headless_rows(path: Path, header: Sequence[str]) -> list[tuple[str, Row]]:
    """(source, row) for each record of a table whose first line is a record already. Empty cells to the
    right of the header's columns are no cells."""
    return list(_table_rows(read_bytes(path, TABLES), path, list(header)))


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
    except BadInput:
        raise
    except json.JSONDecodeError as error:
        is_line = where.rpartition(":")[2].isdigit()
        where = where if is_line else f"{where}:{error.lineno}"
        raise BadInput(f"broken JSON at column {error.colno}: {error.msg}.", where=where, next=next) from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"broken JSON: {in_words(error)}.", where=where) from None


def string(value: Any, what: str, where: str, *, empty: bool = False) -> str:
    """`value` if it is a string that can be encoded; blank strings pass only when `empty`."""
    if not isinstance(value, str):
        raise BadInput(f"{what} is {kind(value)}, not a string.", where=where)
    if not empty and all(c.isspace() or unicodedata.category(c) == "Cf" for c in value):  # nothing to see
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


def _table_rows(data: bytes, path: Path, header: list[str] | None) -> Iterator[tuple[str, Row]]:
    """("path:line", row) where line is the one on which the record begins."""
    kind = path.suffix.lower()
    records = _sheet(data, path) if kind == ".xlsx" else _records(decode(data, path), path, kind == ".tsv")
    headless = header is not None
    if header is None:
        _, header = next(records, (1, []))
        if len(set(header)) < len(header):
            raise BadInput("two columns have the same name.", where=f"{path}:1")
    for line, cells in records:
        while headless and len(cells) > len(header) and not cells[-1]:
            cells.pop()
        if not any(cells) and kind == ".xlsx":
            continue
        if len(cells) != len(header):
            what = f"the row has {len(cells)} cells, the header {len(header)}."
            raise BadInput(what, where=f"{path}:{line}", next="Quote cells that hold commas.")
        yield f"{path}:{line}", dict(zip(header, cells, strict=True))


def _records(text: str, path: Path, tabs: bool) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each record that is not empty."""
    source = io.StringIO(text, newline="")
    if tabs:
        reader = csv.reader(source, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(source, strict=True)
    line = 1
    try:
        while (cells := next(reader, None)) is not None:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadInput(f"broken {'TSV' if tabs else 'CSV'}: {error}.", where=f"{path}:{line}") from None


def _sheet(data: bytes, path: Path) -> Iterator[tuple[int, list[str]]]:
    """(row number, cells as text) of the only sheet of a workbook."""
    try:
        from openpyxl import load_workbook
    except ModuleNotFoundError:
        raise BadInput(
            "reading .xlsx needs openpyxl.", where=str(path), next="pip install 'playsafe[xlsx]'"
        ) from None
    try:
        unpacked = sum(part.file_size for part in zipfile.ZipFile(io.BytesIO(data)).infolist())
        if unpacked > UNPACKED:
            what = f"the workbook unpacks to {unpacked >> 20} MB; up to {UNPACKED >> 20} are read."
            raise BadInput(what, where=str(path), next="Save its sheet as CSV.")
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheets = [_cells(sheet, path) for sheet in book.worksheets]
    except BadInput:
        raise
    except Exception as error:  # a file of somebody's, read by a library that raises whatever it meets
        raise BadInput(f"broken XLSX: {error or type(error).__name__}.", where=str(path)) from None
    filled = [sheet for sheet in sheets if any(cell is not None for row in sheet for cell in row)]
    if len(filled) > 1:
        raise BadInput(f"the workbook has {len(filled)} sheets.", where=str(path), next="Keep one of them.")
    for number, row in enumerate(filled[0] if filled else [], 1):
        yield number, ["" if cell is None else str(cell) for cell in row]


def _cells(sheet: Any, path: Path) -> list[list[Any]]:
    """A sheet's rows up to their last cell; the size that the file declares for it is not believed."""
    sheet.reset_dimensions()
    rows: list[list[Any]] = []
    count = 0
    for row in sheet.iter_rows(values_only=True):
        rows.append(list(row))
        count += 1 + len(row)
        if count > CELLS:
            raise BadInput(f"a sheet has over {CELLS} cells.", where=str(path), next="Save it as CSV.")
    width = max(map(len, rows), default=0)
    if width * len(rows) > CELLS:
        raise BadInput(f"a sheet has over {CELLS} cells.", where=str(path), next="Save it as CSV.")
    return [row + [None] * (width - len(row)) for row in rows]
