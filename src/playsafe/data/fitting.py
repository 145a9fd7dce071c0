"""Rows within a length limit: kept, shortened from their oldest end, or left out; the reply is never cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from playsafe.data.chat import ChatRenderer, Rendered
from playsafe.errors import BadInput
from playsafe.records import Dialogue, Message

Overlong = Literal["error", "drop", "truncate"]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What became of a dialogue under a length limit.

    rendered: None when dropped. messages: the turns that were rendered (render these again under another
    system prompt to compare like with like). length: tokens before any cut.
    """

    outcome: Literal["kept", "truncated", "dropped"]
    rendered: Rendered | None
    messages: tuple[Message, ...]
    length: int


def render_dialogue(
    renderer: ChatRenderer,
    dialogue: Dialogue,
    system: str | None,
    max_length: int,
    overlong: Overlong = "error",
) -> Fitted:
    """Render one row within `max_length` tokens; the reply is never cut.

    overlong: what happens to a longer row. "error" raises BadInput with the row's id, file and line. "drop"
    leaves it out. "truncate" shortens the prompt from its oldest end after the system turn: first whole
    exchanges, then the head of the last user turn, character by character; the system turn and the
    assistant header always survive, and a row whose system turn and reply alone are too long is dropped.
    """
    where = f"{dialogue.source or 'row'} ({dialogue.id})"
    rendered = renderer.render(dialogue.messages, dialogue.reply, system=system, where=where)
    length = len(rendered.ids)
    if length <= max_length:
        return Fitted("kept", rendered, dialogue.messages, length)
    if overlong == "error":
        raise BadInput(
            f"the row has {length} tokens, more than max_length {max_length}.",
            where=where,
            next="Raise max_length, or set overlong to 'drop' or 'truncate'.",
        )
    if overlong == "truncate":
        room = max_length - (length - rendered.prompt_length)
        turns = _shorten(renderer, dialogue.messages, system, room, where)
        if turns:
            rendered = renderer.render(turns, dialogue.reply, system=system, where=where)
            return Fitted("truncated", rendered, turns, length)
    return Fitted("dropped", None, dialogue.messages, length)


def _shorten(
    renderer: ChatRenderer, messages: tuple[Message, ...], system: str | None, room: int, where: str
) -> tuple[Message, ...] | None:
    """The longest tail of the dialogue whose prompt has at most `room` tokens; None when none has."""

    def fits(turns: tuple[Message, ...]) -> bool:
        return len(renderer.prompt(turns, system=system, where=where)) <= room

    fixed = messages[:1] if messages[0].role == "system" else ()
    starts = [n for n, turn in enumerate(messages) if turn.role == "user"]
    for start in starts[1:]:
        if fits((*fixed, *messages[start:])):
            return (*fixed, *messages[start:])
    last = messages[-1]
    low, high = 0, len(last.content) - 1  # keep at least one character
    while low < high:
        middle = (low + high) // 2
        if fits((*fixed, Message("user", last.content[middle:]))):
            high = middle
        else:
            low = middle + 1
    turns = (*fixed, Message("user", last.content[low:]))
    return turns if fits(turns) else None
