"""Files of ours: what was cut, changed or lost shows, and nothing of anybody else's is touched."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from playsafe import secrets
from playsafe.errors import BadInput, Busy, SystemFault
from playsafe.rundir import (
    Damaged,
    RunDir,
    append_jsonl,
    broken_seals,
    claim,
    inside,
    intact,
    locked,
    read_json,
    read_jsonl,
    seals,
    slug,
    watched,
    write_json,
    write_text,
)
from playsafe.rundir import files as module

ROWS: list[dict[str, Any]] = [
    {"id": "a", "n": 1, "text": "\u2028 ok"},
    {"id": "b", "n": None, "text": '"}, {"'},
]


def test_every_flipped_bit_of_a_file_of_rows_shows(tmp_path: Path) -> None:
    """Whatever bit is turned: a row is read as it was written, or it is not read."""
    path = tmp_path / "rows.jsonl"
    append_jsonl(path, ROWS)
    assert read_jsonl(path) == ROWS
    content = path.read_bytes()
    known = {json.dumps(row, sort_keys=True) for row in ROWS}
    whole = 0
    for place in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :])
            for row in read_jsonl(path):
                own = {key: row[key] for key in ("id", "n", "text")}
                assert json.dumps(own, sort_keys=True) in known
                whole += 1
    assert whole >= 8 * len(content) * 0.9  # the other row of the two is read all the same


def test_every_flipped_bit_of_an_object_shows(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    value = {"value": 0.125, "n": [1, 2], "who": "x"}
    write_json(path, value)
    assert read_json(path) == value
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :])
            found = intact(path)
            assert found is None or {key: found[key] for key in value} == value
    for cut in range(len(content) - 1):
        path.write_bytes(content[:cut])
        assert intact(path) in (None, value)  # only white space at the end may go
    path.write_bytes(b"")
    with pytest.raises(Damaged):
        read_json(path)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a": ' + b"9" * 5_000 + b"}", b"\xff\xfe", b"\x00"])
def test_an_object_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(Damaged, match="broken JSON"):
        read_json(tmp_path / "x.json")
    (tmp_path / "x.jsonl").write_bytes(content + b"\n")
    assert read_jsonl(tmp_path / "x.jsonl") == []


def test_a_torn_line_is_cut_when_its_own_file_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    append_jsonl(path, ROWS[:1])
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"id": "c", "te')
    append_jsonl(path, ROWS[1:])
    assert path.read_bytes().startswith(whole)
    assert read_jsonl(path) == ROWS
    assert len(path.read_bytes().splitlines()) == 2


def test_files_of_others_below_a_run_are_left_alone(tmp_path: Path) -> None:
    """Unterminated lines of the user's own files, in the directory or behind a link, stay as they are."""
    outside = tmp_path / "notes.jsonl"
    outside.write_text('{"mine": 1}\n{"unfinished": ')
    claim(tmp_path / "run", {"a": 1})
    (tmp_path / "run" / "mine.jsonl").write_text("no end")
    (tmp_path / "run" / "link.jsonl").symlink_to(outside)
    with locked(tmp_path / "run"):
        RunDir(tmp_path / "run", {"a": 1})
    assert (tmp_path / "run" / "mine.jsonl").read_text() == "no end"
    assert outside.read_text() == '{"mine": 1}\n{"unfinished": '
    with pytest.raises(SystemFault, match="a link"):
        append_jsonl(tmp_path / "run" / "link.jsonl", ROWS)
    assert outside.read_text() == '{"mine": 1}\n{"unfinished": '


def test_a_write_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.jsonl"
    append_jsonl(path, ROWS[:1])
    before = path.read_bytes()

    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        append_jsonl(path, ROWS[1:])
    with pytest.raises(OSError, match="No space"):
        write_text(path, "other")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["rows.jsonl"]


def test_what_a_kill_left_is_swept_by_whoever_works_there_next(tmp_path: Path) -> None:
    (tmp_path / "values").mkdir()
    for name in (".summary.json.123.tmp", "values/.x.jsonl.9.tmp", "mine.tmp", ".hidden.tmp"):
        (tmp_path / name).touch()
    with locked(tmp_path):
        pass
    assert sorted(f.name for f in tmp_path.rglob("*") if f.is_file()) == [".hidden.tmp", "mine.tmp"]


@pytest.mark.parametrize("again", [False, True])
def test_a_directory_that_goes_is_noticed(tmp_path: Path, again: bool) -> None:
    """Nothing is written into a directory that was deleted, or into another one of its name."""
    out = tmp_path / "out"
    with locked(out):
        write_json(out / "a.json", {})
        shutil.rmtree(out)
        if again:
            out.mkdir()
        for write in (
            lambda: write_json(out / "sub" / "a.json", {}),
            lambda: append_jsonl(out / "b.jsonl", ROWS),
        ):
            with pytest.raises(SystemFault, match="deleted or replaced"):
                write()
        with pytest.raises(SystemFault, match="deleted or replaced"), locked(out / "run"):
            pass
    assert not out.exists() or not any(out.iterdir())
    with locked(out):  # afterwards it is begun anew
        claim(out, {"a": 1})


def test_watching_ends(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with watched(tmp_path / "out"), watched(tmp_path / "out"):
        pass
    shutil.rmtree(tmp_path / "out")
    write_json(tmp_path / "out" / "a.json", {})


@pytest.mark.parametrize("how", ["deleted", "emptied", "cut", "other"])
def test_a_lost_configuration_is_written_anew_for_its_own_study_alone(tmp_path: Path, how: str) -> None:
    claim(tmp_path / "run", {"model": "x", "seed": 1})
    config = tmp_path / "run" / "config.yaml"
    write_json(tmp_path / "run" / "summary.json", {})
    content = config.read_text()
    if how == "deleted":
        config.unlink()
    else:
        config.write_text({"emptied": "", "cut": content[:9], "other": content.replace("x", "y")}[how])
    with pytest.raises(BadInput):
        claim(tmp_path / "run", {"model": "x", "seed": 2})
    claim(tmp_path / "run", {"model": "x", "seed": 1})
    assert config.read_text() == content


@pytest.mark.parametrize(
    "name", ["../out.txt", "/etc/hostname", "link", "a/../../out.txt", "\x00", "x" * 300, "loop"]
)
def test_names_that_lead_out_of_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "out.txt").write_text("outside")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "link").symlink_to(tmp_path / "out.txt")
    (tmp_path / "run" / "loop").symlink_to(tmp_path / "run" / "loop")
    assert seals(tmp_path / "run", [name]) == {}
    assert broken_seals(tmp_path / "run", {name: [1, "x"]}) == [name]
    assert name == "x" * 300 or inside(tmp_path / "run", name) is None


@pytest.mark.parametrize(
    "name", ["base", "cache", "summary.json", "config.yaml", "report.html", "no_role", "Base"]
)
def test_names_of_ours_are_nobody_elses(name: str) -> None:
    assert slug(name) == f"{name}_"


def test_directory_names_fit_and_differ() -> None:
    long = [slug("ä" * 300), slug("ä" * 301), slug("ä" * 300 + "b")]
    assert len({*long}) == 3
    assert all(len(name.encode()) <= 110 for name in long)
    assert slug("../x") == "x"
    assert slug("..") == "role"
    assert slug("A B") == "A_B"


@pytest.mark.parametrize("kind", ["file", "loop", "nothing"])
def test_a_path_that_is_no_directory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    if kind == "file":
        path.touch()
    else:
        path.symlink_to(path if kind == "loop" else tmp_path / "none")
    with pytest.raises(SystemFault) as refused, locked(path):
        pass
    assert refused.value.exit_code == 3


def test_another_process_is_told_who_works(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(Busy, match="another process"), locked(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def test_a_key_that_was_read_is_written_into_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", 'sk-"secret"-of-the-writer')
    key = secrets.read("SOME_KEY")
    append_jsonl(tmp_path / "a.jsonl", [{"text": f"it is {key}"}])
    write_json(tmp_path / "a.json", {"text": f"it is {key}"})
    write_text(tmp_path / "a.txt", f"it is {key}")
    assert read_jsonl(tmp_path / "a.jsonl") == [{"text": "it is [key]"}]
    assert read_json(tmp_path / "a.json") == {"text": "it is [key]"}
    assert (tmp_path / "a.txt").read_text() == "it is [key]"
