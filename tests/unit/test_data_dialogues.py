"""Dialogue formats, counts and every error, on files written here and on RoleBench where it is at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from playsafe.data.dialogues import load_dialogues
from playsafe.errors import BadInput
from playsafe.records import Message

ROLEBENCH = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "rolebench" / "rolebench-eng"

U, A = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "ahoy"}
HI = Message("user", "hi")
ROLEBENCH_ROW = {"role": "Ann", "question": "hi", "generated": ["ahoy", "arr"]}


def write(folder: Path, *rows: Any, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text(
        "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8"
    )
    return path


@pytest.mark.parametrize(
    ("format", "row", "messages"),
    [
        ("messages", {"messages": [U, A]}, (HI,)),
        ("messages", {"messages": [{"role": "system", "content": ""}, U, A]}, (Message("system", ""), HI)),
        ("messages", {"messages": [U, A, U, A]}, (HI, Message("assistant", "ahoy"), HI)),
        ("prompt-completion", {"prompt": "hi", "completion": "ahoy"}, (HI,)),
        ("prompt-completion", {"prompt": [U], "completion": [A]}, (HI,)),
        (
            "sharegpt",
            {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ahoy"}]},
            (HI,),
        ),
        ("sharegpt", {"conversations": [U, A], "system": "at sea"}, (Message("system", "at sea"), HI)),
        ("sharegpt", {"conversations": [U, A], "system": ""}, (HI,)),
        ("alpaca", {"instruction": "hi", "output": "ahoy"}, (HI,)),
        ("alpaca", {"instruction": "hi", "input": "", "output": "ahoy", "system": None}, (HI,)),
        ("alpaca", {"instruction": "hi", "input": "you", "output": "ahoy"}, (Message("user", "hi\nyou"),)),
        (
            "alpaca",
            {"instruction": "hi", "output": "ahoy", "system": "at sea", "history": [["a", "b"]]},
            (Message("system", "at sea"), Message("user", "a"), Message("assistant", "b"), HI),
        ),
        ("rolebench", {"role": "Ann", "question": "hi", "generated": ["ahoy"], "type": "x"}, (HI,)),
        ("sarft", {"input": "hi", "output": "ahoy", "is_harmful": 1}, (HI,)),
    ],
)
def test_formats(tmp_path: Path, format: str, row: dict[str, Any], messages: tuple[Message, ...]) -> None:
    loaded = load_dialogues(write(tmp_path, row), role="Ann")
    (dialogue,) = loaded.dialogues
    assert loaded.format == format
    assert (dialogue.messages, dialogue.reply, dialogue.references) == (messages, "ahoy", ("ahoy",))
    assert (dialogue.id, dialogue.role, dialogue.source) == ("rows:1", "Ann", f"{tmp_path}/rows.jsonl:1")
    context = {"context_replies": 1} if any(turn.role == "assistant" for turn in messages) else {}
    plain = {"rows": 1, "kept": 1, "other_role": 0, "over_limit": 0, "unused_replies": 0}
    assert loaded.counts == plain | context


def test_json_list_and_own_ids(tmp_path: Path) -> None:
    rows = [{"messages": [U, A], "id": 7}, {"messages": [U, A], "id": "x"}, {"messages": [U, A]}]
    loaded = load_dialogues(write(tmp_path, rows, name="rows.json"))
    assert [row.id for row in loaded.dialogues] == ["7", "x", "rows:3"]
    assert loaded.dialogues[2].source.endswith("rows.json:row 3")


def test_mark_blank_lines_and_line_separators_in_strings(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    line = json.dumps({"input": "a\u2028b\x85c", "output": "ahoy"}, ensure_ascii=False)
    path.write_bytes(b"\xef\xbb\xbf" + f"{line}\r\n\r\n{line}\r\n".encode())
    first, second = load_dialogues(path).dialogues
    assert first.messages[0].content == "a\u2028b\x85c"
    assert (second.id, second.source) == ("rows:2", f"{path}:3")


def test_replies_first_or_all(tmp_path: Path) -> None:
    path = write(tmp_path, ROLEBENCH_ROW)
    first = load_dialogues(path)
    assert first.counts["unused_replies"] == 1
    assert [(row.id, row.reply) for row in first.dialogues] == [("rows:1", "ahoy")]
    every = load_dialogues(path, replies="all")
    assert every.counts["unused_replies"] == 0
    assert [(row.id, row.reply) for row in every.dialogues] == [("rows:1#1", "ahoy"), ("rows:1#2", "arr")]
    assert {row.references for row in (*first.dialogues, *every.dialogues)} == {("ahoy", "arr")}


def test_role_and_limit_are_counted_and_leave_ids_alone(tmp_path: Path) -> None:
    path = write(tmp_path, *[ROLEBENCH_ROW | {"role": role} for role in ("Bob", "Ann", "Ann", "Ann")])
    loaded = load_dialogues(path, role="Ann", limit=2)
    assert [row.id for row in loaded.dialogues] == ["rows:2", "rows:3"]
    assert loaded.counts == {"rows": 4, "kept": 2, "other_role": 1, "over_limit": 1, "unused_replies": 2}
    with pytest.raises(BadInput, match=r"no row has the role 'Anna'.*Did you mean 'Ann'"):
        load_dialogues(path, role="Anna")
    with pytest.raises(BadInput, match=r"limit is 0"):
        load_dialogues(path, limit=0)


GOOD = {"messages": [U, A]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"messages": [}', "broken JSON at column 15"),
        ("[1]", "the row is a list, not an object"),
        ('{"a": 1, "a": 2}', "key 'a' stands twice"),
        ({"text": "hi", "label": 1}, r"keys are: 'text', 'label'.*messages \(messages\).*rolebench"),
        ({"input": "hi", "output": "ahoy"}, "the row is sarft, the rows before it are messages"),
        ({"messages": []}, "at least one turn"),
        ({"messages": ["hi"]}, r"messages\[0\] is a string"),
        ({"messages": [U, {"role": "assistant", "content": " "}]}, r"text of messages\[1\] is empty"),
        ({"messages": [U, {"role": "assistant", "content": None}]}, r"text of messages\[1\] is null"),
        ({"messages": [U, {"role": "assistant", "content": [1]}]}, r"text of messages\[1\] is a list"),
        ({"messages": [U, {"role": "tool", "content": "x"}]}, "unknown role 'tool'"),
        ({"messages": [U, {"role": "assistant", "content": "\ud800"}]}, "surrogate"),
        ({"messages": [A, U]}, "turn 0 is the assistant's where the user's must stand"),
        ({"messages": [{"role": "system", "content": "s"}, A]}, "turn 1 is the assistant's"),
        ({"messages": [U, U, A]}, "turn 1 is the user's where the assistant's must stand"),
        ({"messages": [U, A, U]}, "last turn is not the assistant's"),
        ({"messages": [{"role": "system", "content": "s"}]}, "last turn is not the assistant's"),
        (GOOD | {"id": "rows:1"}, r"id 'rows:1' is used already at .*rows\.jsonl:1"),
        (GOOD | {"id": [1]}, "id is a list"),
        (GOOD | {"role": 3}, "role is a number"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(BadInput, match=rf"rows\.jsonl:2: .*{message}"):
        load_dialogues(write(tmp_path, GOOD, row))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "hi", "completion": ""}, r"text of completion\[0\] is empty"),
        ({"instruction": "hi", "output": "x", "history": ["a"]}, "history must be"),
        (ROLEBENCH_ROW | {"generated": []}, "at least one reply"),
        (ROLEBENCH_ROW | {"generated": ["a", ""]}, r"generated\[1\] is empty"),
        (ROLEBENCH_ROW | {"question": 3}, "question is a number"),
        ({"input": "hi", "output": True}, "output is a boolean"),
    ],
)
def test_errors_of_the_other_formats(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(BadInput, match=rf"rows\.jsonl:1: .*{message}"):
        load_dialogues(write(tmp_path, row))


def test_file_errors(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.jsonl: there is no such file"):
        load_dialogues(tmp_path / "none.jsonl")
    with pytest.raises(BadInput, match=r"unknown file type '.parquet'.*\.jsonl, \.json"):
        load_dialogues(tmp_path / "rows.parquet")
    with pytest.raises(BadInput, match=r"rows\.jsonl: the file has no rows"):
        load_dialogues(write(tmp_path, "\n"))
    with pytest.raises(BadInput, match=r"rows\.json:2: broken JSON.*name the file \.jsonl"):
        load_dialogues(write(tmp_path, GOOD, GOOD, name="rows.json"))
    with pytest.raises(BadInput, match=r"holds an object, not a list"):
        load_dialogues(write(tmp_path, GOOD, name="rows.json"))
    (tmp_path / "latin.jsonl").write_bytes(json.dumps(GOOD).encode() + b'\n{"input": "\xe9"}')
    with pytest.raises(BadInput, match=r"latin\.jsonl:2: byte 0xe9 is not UTF-8.*Save the file as UTF-8"):
        load_dialogues(tmp_path / "latin.jsonl")


@pytest.mark.parametrize(("part", "rows"), [("general", 5000), ("role_specific", 2534)])
def test_rolebench(part: str, rows: int) -> None:
    path = ROLEBENCH / "role-generalization" / part / "test.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is absent: RoleBench is not tested")
    loaded = load_dialogues(path)
    roles = {row.role for row in loaded.dialogues}
    assert (loaded.format, loaded.counts["rows"], len(loaded.dialogues), len(roles)) == (
        "rolebench",
        rows,
        rows,
        10,
    )
    assert sum(len(row.references) - 1 for row in loaded.dialogues) == loaded.counts["unused_replies"]
    role = sorted(roles)[0]
    one = load_dialogues(path, role=role)
    assert one.dialogues == tuple(row for row in loaded.dialogues if row.role == role)
    assert one.counts["other_role"] == rows - one.counts["kept"]
    with pytest.raises(BadInput, match=f"Did you mean '{role}'"):
        load_dialogues(path, role=role + "x")


def test_what_is_not_trained_on_is_counted(tmp_path: Path) -> None:
    """By hand: five rows, one of them weighed 0, one by `train: false`; two replies stand before the last."""

    def turn(role: str, content: str, **more: Any) -> dict[str, Any]:
        return {"role": role, "content": content, **more}

    rows = [
        [turn("user", "a"), turn("assistant", "b", weight=0)],
        [turn("user", "c"), turn("assistant", "d", weight=1)],
        [turn("user", "e"), turn("assistant", "f", train=False)],
        [turn("user", "g"), turn("assistant", "h"), turn("user", "i"), turn("assistant", "j")],
        [turn("user", "k"), turn("assistant", "l", weight=0), turn("user", "m"), turn("assistant", "n")],
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    loaded = load_dialogues(path)
    assert [dialogue.reply for dialogue in loaded.dialogues] == ["d", "j", "n"]
    told = {"rows": 5, "kept": 3, "weight_0": 2, "context_replies": 2}
    assert loaded.counts == told | {"other_role": 0, "over_limit": 0, "unused_replies": 0}
    path.write_text(json.dumps({"messages": rows[0]}) + "\n")
    with pytest.raises(BadInput, match="weight 0"):
        load_dialogues(path)
    path.write_text(json.dumps({"messages": [turn("user", "a"), turn("assistant", "b", weight=0.5)]}) + "\n")
    with pytest.raises(BadInput, match=r"weight 0\.5"):
        load_dialogues(path)


def test_a_reply_of_which_nothing_is_seen_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "deep?", "completion": "\u200b\u2060"}) + "\n")
    with pytest.raises(BadInput, match="is empty"):
        load_dialogues(path)
