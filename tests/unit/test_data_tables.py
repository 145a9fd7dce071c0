"""Tables without quoting and workbooks, with and without a header."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from playsafe.data.files import headless_rows, read_rows
from playsafe.errors import BadInput


def workbook(path: Path, *sheets: list[list[object]]) -> Path:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.worksheets[0])
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def rows(found: list[tuple[str, dict[str, str]]]) -> list[dict[str, str]]:
    return [row for _, row in found]


def test_a_tsv_has_no_quoting(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text('question\tanswer\nSay "hi\tone\n\n"b, c"\t2\n', encoding="utf-8")
    assert rows(read_rows(path)) == [
        {"question": 'Say "hi', "answer": "one"},
        {"question": '"b, c"', "answer": "2"},
    ]
    assert [place.rpartition(":")[2] for place, _ in read_rows(path)] == ["2", "4"]
    path.write_text("a\tb\tc\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"t.tsv:1.*3 cells, the header 2"):
        headless_rows(path, ["question", "answer"])


def test_empty_cells_beside_a_headless_table_are_no_cells(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,\n\nb,\n", encoding="utf-8")
    assert headless_rows(path, ["prompt"]) == [
        (f"{path}:1", {"prompt": "a"}),
        (f"{path}:3", {"prompt": "b"}),
    ]
    path.write_text("a,b\n", encoding="utf-8")
    with pytest.raises(BadInput, match="2 cells, the header 1"):
        headless_rows(path, ["prompt"])
    path.write_text("prompt\na,\n", encoding="utf-8")
    with pytest.raises(BadInput, match="2 cells, the header 1"):
        read_rows(path)


def test_a_workbook_is_read_as_text(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", [["prompt", "n"], ["আ", 3], [None, None], ["=1+1", None]])
    found = read_rows(path)
    assert rows(found)[0] == {"prompt": "আ", "n": "3"}
    assert found[0][0] == f"{path}:2"
    assert rows(headless_rows(path, ["a", "b"]))[0] == {"a": "prompt", "b": "n"}
    with pytest.raises(BadInput, match="2 sheets"):
        read_rows(workbook(tmp_path / "two.xlsx", [["a"], ["b"]], [["c"]]))
    assert len(read_rows(workbook(tmp_path / "one.xlsx", [["a"], ["b"]], []))) == 1
    with pytest.raises(BadInput, match="has no rows"):
        read_rows(workbook(tmp_path / "none.xlsx", []))
    (tmp_path / "broken.xlsx").write_bytes(b"PK no workbook")
    with pytest.raises(BadInput, match=r"broken.xlsx.*broken XLSX"):
        read_rows(tmp_path / "broken.xlsx")


def test_without_openpyxl_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workbook(tmp_path / "t.xlsx", [["prompt"], ["a"]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(BadInput, match=r"pip install 'playsafe\[xlsx\]'"):
        read_rows(path)
