"""Training rows and references, whatever the format: detected, converted, counted, never silently dropped.

Formats (docs of each at its converter below): messages, prompt-completion, sharegpt, rolebench, alpaca,
sarft. One file has one format. Dialogues alternate user and assistant, may open with a system turn and end
with the assistant: **only the last assistant turn is trained on**, earlier ones are context.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from playsafe.data.files import Row, decode, json_rows, kind, read_bytes, string
from playsafe.errors import BadInput, nearest
from playsafe.records import Dialogue, Message, Speaker

Replies = Literal["first", "all"]

_SPEAKERS: dict[str, Speaker] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """dialogues: in file order. format: its name. counts: what became of the file's rows.

    counts: rows (all in the file), kept (rows that gave dialogues), other_role, over_limit, and
    unused_replies (accepted replies beyond the first that no dialogue trains on); where there are any,
    context_replies (turns of the assistant before the last, which are read and not trained on) and weight_0
    (rows whose last turn has the weight 0, so that nothing of them is trained on).
    """

    dialogues: tuple[Dialogue, ...]
    format: str
    counts: dict[str, int]


class Converted(NamedTuple):
    """A row in common form: the turns before the reply and every accepted reply. trained: False where the row
    says that its reply is not to be learned."""

    messages: tuple[Message, ...]
    replies: tuple[str, ...]
    trained: bool = True


def load_dialogues(
    path: str | Path, *, role: str | None = None, limit: int | None = None, replies: Replies = "first"
) -> Loaded:
    """Read a .jsonl file, or a .json file that holds a list.

    role: keep the rows whose `role` is this one; rows without a `role` are all kept and bear this name.
    limit: the first so many rows after that. replies: rows with several accepted replies (RoleBench) give
    one dialogue with the first ("first"), or one for each ("all", ids end in #1, #2, ...).
    Ids are the rows' own `id`, else "<stem>:<row number>" counted over the whole file.

    Raises BadInput with file and line: missing file, not UTF-8, broken JSON, unknown or mixed formats, an
    empty or non-string text, turns out of order, duplicate ids, a role that the file does not have.
    """
    path = Path(path)
    if limit is not None and limit < 1:
        raise BadInput(f"limit is {limit}.", where=str(path), allowed="a number above 0")
    counts = Counter(rows=0, kept=0, other_role=0, over_limit=0, unused_replies=0)
    seen: dict[str, str] = {}
    roles: set[str] = set()
    dialogues: list[Dialogue] = []
    found: Format | None = None
    for number, (source, row) in enumerate(
        json_rows(decode(read_bytes(path, (".jsonl", ".json")), path), path), 1
    ):
        here = detect(row, source)
        found = found or here
        if here is not found:
            raise BadInput(
                f"the row is {here.name}, the rows before it are {found.name}.",
                where=source,
                next="Keep one format in a file.",
            )
        converted = here.convert(row, source)
        key = _id(row, path, number, source)
        if key in seen:
            raise BadInput(f"the id {key!r} is used already at {seen[key]}.", where=source)
        seen[key] = source
        name = string(row["role"], "role", source) if row.get("role") is not None else role or ""
        roles.add(name)
        counts["rows"] += 1
        if role is not None and name != role:
            counts["other_role"] += 1
        elif limit is not None and counts["kept"] >= limit:
            counts["over_limit"] += 1
        elif not converted.trained:
            counts["weight_0"] += 1
        else:
            counts["kept"] += 1
            context = sum(turn.role == "assistant" for turn in converted.messages)
            if context:
                counts["context_replies"] += context
            made = _dialogues(key, name, converted, source, replies)
            counts["unused_replies"] += len(converted.replies) - len(made)
            dialogues += made
    if found is None:
        raise BadInput("the file has no rows.", where=str(path))
    if not dialogues and counts["weight_0"]:
        what = f"no row has anything to train on: the replies of {counts['weight_0']} have the weight 0."
        raise BadInput(what, where=str(path))
    if not dialogues:
        hint = nearest(role or "", roles) or f"Its roles: {', '.join(sorted(roles)[:20])}."
        raise BadInput(f"no row has the role {role!r}.", where=str(path), next=hint)
    return Loaded(tuple(dialogues), found.name, dict(counts))


def _dialogues(key: str, role: str, row: Converted, source: str, replies: Replies) -> list[Dialogue]:
    if replies == "first" or len(row.replies) == 1:
        return [Dialogue(key, role, row.messages, row.replies[0], row.replies, source)]
    return [
        Dialogue(f"{key}#{n}", role, row.messages, reply, row.replies, source)
        for n, reply in enumerate(row.replies, 1)
    ]


def _id(row: Row, path: Path, number: int, source: str) -> str:
    value = row.get("id")
    if value is None:
        return f"{path.stem}:{number}"
    return string(str(value) if type(value) is int else value, "id", source)


# ---------------------------------------------------------------------------------------------- formats


def _messages(row: Row, source: str) -> Converted:
    """`messages`: [{role, content}, ...] (TRL, Axolotl)."""
    return _weighed(
        _conversation(_turns(row["messages"], "messages", source), source), row["messages"], source
    )


def _prompt_completion(row: Row, source: str) -> Converted:
    """`prompt` and `completion` (TRL): each a text or a list of messages."""
    prompt, completion = row["prompt"], row["completion"]
    if not isinstance(prompt, list):
        prompt = [{"role": "user", "content": prompt}]
    if not isinstance(completion, list):
        completion = [{"role": "assistant", "content": completion}]
    turns = _turns(prompt, "prompt", source) + _turns(completion, "completion", source)
    return _conversation(turns, source)


def _sharegpt(row: Row, source: str) -> Converted:
    """`conversations`: [{from, value}, ...] with `system` beside it, where there is one (ShareGPT)."""
    turns = _turns(row["conversations"], "conversations", source)
    return _weighed(_conversation(_system(row, source) + turns, source), row["conversations"], source)


def _rolebench(row: Row, source: str) -> Converted:
    """`role`, `question`, `generated`: [reply, ...] (RoleBench); every reply is a reference."""
    generated = row["generated"]
    if not isinstance(generated, list) or not generated:
        raise BadInput("generated must be a list of at least one reply.", where=source)
    replies = tuple(string(reply, f"generated[{n}]", source) for n, reply in enumerate(generated))
    return Converted((Message("user", string(row["question"], "question", source)),), replies)


def _alpaca(row: Row, source: str) -> Converted:
    """`instruction`, `input` (on a line of its own below), `output`, `system`, `history`: [[user, reply]]."""
    question = string(row["instruction"], "instruction", source)
    extra = string(row.get("input") or "", "input", source, empty=True)
    history = row.get("history") or []
    if not isinstance(history, list) or not all(
        isinstance(pair, list) and len(pair) == 2 for pair in history
    ):
        raise BadInput("history must be a list of [question, reply] pairs.", where=source)
    turns = _system(row, source)
    for n, (asked, said) in enumerate(history):
        turns.append(Message("user", string(asked, f"history[{n}][0]", source)))
        turns.append(Message("assistant", string(said, f"history[{n}][1]", source)))
    turns.append(Message("user", f"{question}\n{extra}" if extra.strip() else question))
    turns.append(Message("assistant", string(row["output"], "output", source)))
    return _conversation(turns, source)


def _sarft(row: Row, source: str) -> Converted:
    """`input`, `output` and the unused flag `is_harmful` (the files of SaRFT's released code)."""
    question = Message("user", string(row["input"], "input", source))
    return Converted((question,), (string(row["output"], "output", source),))


class Format(NamedTuple):
    """name: as reported. keys: the keys that a row must have. convert: (row, source) → common form."""

    name: str
    keys: frozenset[str]
    convert: Callable[[Row, str], Converted]


FORMATS = (  # the first whose keys are all present wins, so a format stands before those whose keys it shares
    Format("messages", frozenset({"messages"}), _messages),
    Format("sharegpt", frozenset({"conversations"}), _sharegpt),
    Format("rolebench", frozenset({"role", "question", "generated"}), _rolebench),
    Format("prompt-completion", frozenset({"prompt", "completion"}), _prompt_completion),
    Format("alpaca", frozenset({"instruction", "output"}), _alpaca),
    Format("sarft", frozenset({"input", "output"}), _sarft),
)


def detect(row: Mapping[str, Any], source: str) -> Format:
    """The format of one row. Raises BadInput that names the keys found and the formats known."""
    for format in FORMATS:
        if format.keys <= row.keys():
            return format
    known = "; ".join(f"{format.name} ({', '.join(sorted(format.keys))})" for format in FORMATS)
    found = ", ".join(map(repr, row)) or "none"
    raise BadInput(f"unknown row format, its keys are: {found}.", where=source, allowed=known)


def _turns(value: Any, what: str, source: str) -> list[Message]:
    """[{role, content}] or [{from, value}] as messages; which speaker may follow which is checked later."""
    if not isinstance(value, list) or not value:
        raise BadInput(f"{what} must be a list of at least one turn.", where=source)
    turns = []
    for n, turn in enumerate(value):
        where = f"{what}[{n}]"
        if not isinstance(turn, dict):
            raise BadInput(f"{where} is {kind(turn)}, not an object.", where=source)
        speaker = string(turn.get("role", turn.get("from")), f"the role of {where}", source)
        if speaker not in _SPEAKERS:
            raise BadInput(
                f"{where} has the unknown role {speaker!r}.", where=source, allowed=", ".join(_SPEAKERS)
            )
        role = _SPEAKERS[speaker]
        text = turn.get("content", turn.get("value"))
        turns.append(Message(role, string(text, f"the text of {where}", source, empty=role == "system")))
    return turns


def _weighed(row: Converted, turns: list[Any], source: str) -> Converted:
    """Whether the last turn is to be learned: `weight` 0 or `train: false` (Axolotl) says that it is not."""
    last = turns[-1]
    weight = last.get("weight", last.get("train", 1))
    if weight not in (0, 1):
        raise BadInput(f"the last turn has the weight {weight!r}.", where=source, allowed="0, 1")
    return row._replace(trained=bool(weight))


def _system(row: Row, source: str) -> list[Message]:
    """The row's `system` text as a turn; an empty one, which these formats use for "none", is no turn."""
    text = string(row.get("system") or "", "system", source, empty=True)
    return [Message("system", text)] if text.strip() else []


def _conversation(turns: list[Message], source: str) -> Converted:
    """Split off the last reply, after checking the order system? (user assistant)+."""
    spoken = turns[1:] if turns[0].role == "system" else turns
    for n, turn in enumerate(spoken):
        expected = "assistant" if n % 2 else "user"
        if turn.role != expected:
            at = n + len(turns) - len(spoken)
            raise BadInput(
                f"turn {at} is the {turn.role}'s where the {expected}'s must stand.",
                where=source,
                allowed="an optional system turn, then user and assistant in turn",
            )
    if not spoken or len(spoken) % 2:
        raise BadInput("the last turn is not the assistant's, so there is no reply to learn.", where=source)
    return Converted(tuple(turns[:-1]), (turns[-1].content,))
