"""Files of replies that are there already, in the formats of evaluation tools: rows → prompt and reply.

    tables and JSON lines   a prompt column and a reply column; or playsafe's own completions
    chat                    `messages` that end with the assistant
    lm-evaluation-harness   samples with `doc`, `arguments`, `resps`, `filtered_resps`
    Inspect                 a log in JSON with `samples`
    HarmBench               {behaviour: [{test_case, generation}]}

A right answer that stands beside a reply (`answer` beside `output`) is never taken for the reply.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from playsafe.data.files import Row, decode, json_rows, kind, parse_json, read_bytes, read_rows
from playsafe.errors import BadInput
from playsafe.thoughts import whole

PROMPTS = ("prompt", "request", "question", "goal", "query", "input", "instruction", "test_case", "behavior")
REPLIES = (
    *("completion", "response", "generation", "model_output", "model_response", "model_answer"),
    *("prediction", "generated_text", "generated", "reply", "output"),
)
UNCLEAR = ("answer", "text")  # a right answer or a prompt as often as a reply


class Recording(NamedTuple):
    """asked: the turns without a system turn, None where the row has an id alone. reply: None where it is
    null. ours: a line of playsafe's own, of which an id may have several; failed: one that is an error."""

    source: str
    id: str | None
    asked: tuple[str, ...] | None
    reply: str | None
    ours: bool = False
    failed: bool = False


def read_recordings(path: Path) -> list[Recording]:
    """Every reply of a file. BadInput with the line of a row that is none of the formats."""
    rows = list(_rows(path))
    if not rows:
        raise BadInput("the file has no rows.", where=str(path))
    column = None
    found = []
    for source, row in rows:
        special = _chat(source, row) or _harness(source, row)
        if special is None:
            if column is None or column not in row:
                other = _column(source, row)
                if column in REPLIES and other in UNCLEAR:
                    raise BadInput(f"the row has no {column!r}, as the rows before it have.", where=source)
                column = other
            special = _plain(source, row, column)
        found.append(special)
    return found


def asked(texts: Sequence[str]) -> tuple[str, ...]:
    """Turns in the form in which they are compared: line ends, outer blanks and Unicode form do not count."""
    return tuple(unicodedata.normalize("NFC", t.replace("\r\n", "\n")).strip() for t in texts)


def _rows(path: Path) -> Iterator[tuple[str, Row]]:
    if path.suffix.lower() != ".json":
        yield from read_rows(path)
        return
    text = decode(read_bytes(path, (".json",)), path)
    whole = parse_json(text, str(path), next="If each line is an object of its own, name the file .jsonl.")
    if isinstance(whole, dict) and isinstance(whole.get("samples"), list):
        yield from ((f"{path}:sample {n}", _inspect(s)) for n, s in enumerate(whole["samples"], 1))
    elif isinstance(whole, dict) and isinstance(whole.get("data"), list):
        yield from ((f"{path}:row {n}", row) for n, row in enumerate(whole["data"], 1))
    elif isinstance(whole, dict) and whole and all(isinstance(v, list) for v in whole.values()):
        for behaviour, cases in whole.items():
            yield from ((f"{path}:{behaviour}, {n}", case) for n, case in enumerate(cases, 1))
    else:
        yield from json_rows(text, path)


def _inspect(sample: Any) -> Row:
    """One sample of an Inspect log as a row."""
    given = sample if isinstance(sample, dict) else {}
    output: Any = given.get("output") if isinstance(given.get("output"), dict) else {}
    choices = output.get("choices") or [{}]
    message = choices[0].get("message") if isinstance(choices[0], dict) else None
    said = output.get("completion") or (message or {}).get("content")
    return {"prompt": given.get("input"), "completion": said}


def _chat(source: str, row: Row) -> Recording | None:
    turns = next((row[key] for key in ("messages", "conversation", "conversations") if key in row), None)
    if not isinstance(turns, list) or not turns or any(key in row for key in REPLIES):
        return None
    spoken = [
        (_speaker(turn), _text(turn.get("content", turn.get("value"))))
        for turn in turns
        if isinstance(turn, dict)
    ]
    if not spoken or spoken[-1][0] not in ("assistant", "gpt", "model", "bot"):
        raise BadInput("the last turn is not the assistant's, so there is no reply.", where=source)
    before = [text or "" for who, text in spoken[:-1] if who != "system"]
    return Recording(source, _id(row), asked(before), spoken[-1][1])


def _harness(source: str, row: Row) -> Recording | None:
    """A sample of lm-evaluation-harness: what its filters left of the reply, its document's question."""
    if "resps" not in row and "filtered_resps" not in row:
        return None
    reply = row.get("filtered_resps", row.get("resps"))
    while isinstance(reply, list) and len(reply) == 1:
        reply = reply[0]
    if not isinstance(reply, str):
        raise BadInput("the sample's response is no single text.", where=source)
    doc: Any = row.get("doc") if isinstance(row.get("doc"), dict) else {}
    text = next((doc[key] for key in PROMPTS if isinstance(doc.get(key), str)), None)
    text = text if text is not None else _first_text(row.get("arguments"))
    if text is None:
        raise BadInput("the sample says nowhere what was asked.", where=source, allowed="doc, arguments")
    return Recording(source, None, asked([text]), reply)


def _plain(source: str, row: Row, column: str) -> Recording:
    key = next((name for name in PROMPTS if name in row and name != column), None)
    turns = None if key is None else _turns(row[key], source)
    value = row[column]
    if isinstance(value, list) and not any(isinstance(part, dict) for part in value):
        texts = {text for text in value if isinstance(text, str)}
        if len(texts) > 1:
            raise BadInput(
                f"{len(texts)} different replies to one prompt.",
                where=source,
                next="Keep one: every prompt is judged once. Samples may be targets of their own.",
            )
        value = next(iter(texts), None)
    reply = _text(value)
    if reply is None and value is not None:
        raise BadInput(f"the reply ({column}) is {kind(value)}, not a string.", where=source)
    ours = "finish" in row and "id" in row
    if ours and reply is not None:
        reply = whole(str(row.get("thought", "")), reply, bool(row.get("unfinished")))
    return Recording(source, _id(row), turns, reply, ours, ours and row["finish"] == "error")


def _column(source: str, row: Row) -> str:
    """Which column holds the reply."""
    if "finish" in row and "text" in row and "id" in row:
        return "text"  # a line of ours
    clear = [name for name in REPLIES if name in row]
    unclear = [name for name in UNCLEAR if name in row and not _is_asked(row, name)]
    chosen = clear or unclear
    same = len({str(row[name]) for name in chosen}) == 1
    if not chosen or ("id" not in row and not any(name in row for name in PROMPTS)):
        raise BadInput(
            f"a row has the keys {', '.join(row)}.",
            where=source,
            allowed=f"id or {' | '.join(PROMPTS)}, and {' | '.join((*REPLIES, *UNCLEAR))}",
        )
    if len(chosen) > 1 and not same:
        raise BadInput(
            f"the reply may stand in {' or in '.join(map(repr, chosen))}.",
            where=source,
            next="Keep one of these columns, or call the reply's `completion`.",
        )
    return chosen[0]


def _is_asked(row: Row, name: str) -> bool:
    return any(key in row and row[key] == row[name] for key in PROMPTS)


def _turns(value: Any, source: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return asked([value])
    if isinstance(value, list):
        turns = [turn for turn in value if isinstance(turn, dict) and _speaker(turn) != "system"]
        texts = [_text(turn.get("content", turn.get("value"))) for turn in turns]
        if turns and all(text is not None for text in texts):
            return asked([str(text) for text in texts])
    raise BadInput(f"the prompt is {kind(value)}, not a text or a list of messages.", where=source)


def _speaker(turn: Mapping[str, Any]) -> str:
    return str(turn.get("role", turn.get("from"))).lower()


def _text(value: Any) -> str | None:
    """A text, or the text of typed parts."""
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        return "".join(str(part.get("text", "")) for part in value if part.get("type", "text") == "text")
    return value if isinstance(value, str) else None


def _first_text(value: Any) -> str | None:
    """The first text in nested lists and objects: the prompt of a request."""
    if isinstance(value, str):
        return value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((text for one in inner if (text := _first_text(one)) is not None), None)


def _id(row: Row) -> str | None:
    return str(row["id"]) if row.get("id") is not None else None
