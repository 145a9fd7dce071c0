"""Messages → token ids, in one place.

A row is rendered as [prompt ‖ reply ‖ end-of-turn]. The prompt is what the chat template writes before a
finished answer, the reply is tokenized apart from it (as it is when a model generates), and the mask covers
exactly the reply and the token that ends the turn. That token is found by probing the template.

Text from data can never become a control token: each one found in a message is cut after its first
character and the two halves are tokenized apart, so that rows without one are not touched at all. Control
tokens are the tokenizer's special tokens and the stop tokens; other added tokens (`<tool_call>`, Gemma's
newline runs) are ordinary text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

from playsafe.data.template import DATE, Template
from playsafe.data.thoughts import marks, split_thought
from playsafe.errors import BadInput
from playsafe.records import Dialogue, Message

_CUT = "\ufdd0"  # a Unicode noncharacter: no text holds it, no tokenizer sees it

Overlong = Literal["error", "drop", "truncate"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """ids, reply_mask: [T]. The mask is True on the last T − prompt_length tokens: reply and end of turn."""

    ids: tuple[int, ...]
    reply_mask: tuple[bool, ...]

    @property
    def prompt_length(self) -> int:
        return len(self.ids) - sum(self.reply_mask)


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


class ChatRenderer:
    """Renders dialogues with a tokenizer's own chat template.

    tokenizer: a Hugging Face tokenizer. stop_ids: the model's own end tokens (its generation config's
    `eos_token_id`), joined with the tokenizer's eos and the template's end of turn. arguments: variables of
    the template (see `data.template`). vocabulary: rows of the model's embedding matrix.

    end_of_turn: the id that closes a reply. supports_system: False where the template has no system role
    (Gemma 2); system text then goes to the head of the first user turn, with a blank line between. opened:
    whether the model's reply begins inside a thought. thought_ids: special tokens that mark one.

    Raises BadInput: what `Template` refuses; no token that could end a turn; a dialogue that is rejected.
    """

    def __init__(
        self,
        tokenizer: Any,
        stop_ids: Collection[int] = (),
        arguments: Mapping[str, Any] | None = None,
        vocabulary: int | None = None,
    ) -> None:
        self.tokenizer, self.vocabulary = tokenizer, vocabulary
        self.template = Template(tokenizer, arguments or {})
        self.supports_system, self.opened = self.template.supports_system, self.template.opened
        tail = self.template.tail
        stops = {*stop_ids, tokenizer.eos_token_id} - {None}
        self._control_ids = _control_ids(tokenizer, stops)
        ends = self._control_ids | stops
        found = next((i for i in self._tokenize(tail) if i in ends), tokenizer.eos_token_id)
        if found is None:
            raise BadInput("the chat template ends no turn and the tokenizer has no eos token.")
        self.end_of_turn: int = found
        self.stop_ids: frozenset[int] = frozenset(stops | {found})
        texts = tokenizer.convert_ids_to_tokens(sorted(self._control_ids))
        known = marks(texts)
        pairs = zip(sorted(self._control_ids), texts, strict=True)
        self.thought_ids = frozenset(i for i, token in pairs if token in known and i not in self.stop_ids)
        self._control = re.compile("|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)))

    @property
    def template_hash(self) -> str:
        """sha256 over the template, the special tokens, the tokenizer's class and its vocabulary size."""
        tokenizer = self.tokenizer
        special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
        parts = [self.template.source, special, type(tokenizer).__name__, len(tokenizer), DATE]
        parts += [self.template.given] if self.template.given else []
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def render(
        self, messages: Sequence[Message], reply: str, *, system: str | None = None, where: str = ""
    ) -> Rendered:
        """[prompt ‖ reply ‖ end-of-turn] with the mask on reply and end-of-turn.

        system: None adds no system turn; "" adds an empty one where the template has system turns (which
        keeps Qwen2.5 from adding its own). With a system turn in `messages` too, the two are joined, role
        prompt first. The reply is trimmed where the template trims replies. where: names the row in errors.
        """
        turns = self._cut_turns(_with_system(messages, system, self.supports_system), where)
        if split_thought(reply)[0]:
            prompt, said = self._with_thought(turns, reply, where)
        else:
            prompt = self._prompt_ids(self.template.finished(turns, where=where), where)
            said = self._reply(reply, where)
        ids = (*prompt, *said)
        return Rendered(ids, tuple(position >= len(prompt) for position in range(len(ids))))

    def prompt(
        self, messages: Sequence[Message], *, system: str | None = None, prefill: str = "", where: str = ""
    ) -> tuple[int, ...]:
        """Ids of the dialogue, the assistant header and what the reply is made to begin with: what a model
        reads before it answers. (Before an answer that is there a template may write more: see `render`.)"""
        turns = self._cut_turns(_with_system(messages, system, self.supports_system), where)
        ids = self._prompt_ids(self.template.generation(turns, where=where), where)
        return (*ids, *self._ids(self._cut(prefill, where), 0, where))

    def conversation(self, messages: Sequence[Message], *, where: str = "") -> tuple[int, ...]:
        """Ids of a whole conversation as the template writes it, for models that judge conversations."""
        turns = self._cut_turns(messages, where)
        return self._prompt_ids(self.template.text(turns, header=False, where=where), where)

    def _cut_turns(self, turns: Sequence[Message], where: str) -> list[Message]:
        return [replace(turn, content=self._cut(turn.content, where)) for turn in turns]

    def _prompt_ids(self, text: str, where: str) -> tuple[int, ...]:
        """Ids of what the template wrote, with its control tokens."""
        return self._ids(text, len(self._control.findall(text)), where)

    def _with_thought(
        self, turns: list[Message], reply: str, where: str
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids of prompt and reply where the reply holds a thought: both as the template writes them."""
        answered = [*turns, Message("assistant", self._cut(reply, where))]
        whole, tail = self.template.text(answered, header=False, where=where), self.template.tail
        prompt = self.template.text(turns, header=True, where=where)
        body = whole.removeprefix(prompt).removesuffix(tail)
        kept = all(part.strip() in body.replace(_CUT, "") for part in split_thought(reply) if part)
        if not whole.startswith(prompt) or not whole.endswith(tail) or not kept:
            raise BadInput(
                "the reply holds a thought, and the chat template writes none into a finished conversation.",
                where=where,
                next="Take the thought out of the reply, or use a template that keeps it.",
            )
        return self._prompt_ids(prompt, where), (*self._prompt_ids(body, where), self.end_of_turn)

    def _reply(self, reply: str, where: str) -> tuple[int, ...]:
        if self.template.trims_left:
            reply = reply.lstrip()
        if self.template.trims_right:
            reply = reply.rstrip()
        return (*self._ids(self._cut(reply, where), 0, where), self.end_of_turn)

    def _ids(self, text: str, control: int, where: str) -> tuple[int, ...]:
        """Tokenize between the cuts; `control` is the number of control tokens the template wrote."""
        ids = tuple(i for piece in text.split(_CUT) for i in self._tokenize(piece))
        if sum(i in self._control_ids for i in ids) > control:
            raise BadInput("text of the row turns into a control token of the tokenizer.", where=where)
        if self.vocabulary is not None and max(ids, default=0) >= self.vocabulary:
            token = self.tokenizer.convert_ids_to_tokens(max(ids))
            raise BadInput(
                f"the text holds {token!r}, token {max(ids)} of the tokenizer; the model's embeddings have "
                f"{self.vocabulary} rows.",
                where=where,
                next="Use the tokenizer that the model was trained with, or a model with grown embeddings.",
            )
        return ids

    def _cut(self, text: str, where: str) -> str:
        """Mark each control token in `text` so that no piece between marks contains one."""
        if _CUT in text:
            raise BadInput("the text holds the noncharacter U+FDD0.", where=where, next="Remove it.")
        while match := self._control.search(text):
            if len(match[0]) < 2:
                raise BadInput(f"the text holds the control token {match[0]!r}.", where=where)
            text = self._control.sub(lambda found: found[0][0] + _CUT + found[0][1:], text)
        return text

    def _tokenize(self, text: str) -> list[int]:
        # the template writes the BOS itself; add_special_tokens would write a second one
        return self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] if text else []


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


def preview(renderer: ChatRenderer, rendered: Rendered) -> list[tuple[str, bool]]:
    """(text, trained?) spans in order: what the model reads and what it learns, control tokens shown."""

    def text(ids: list[int]) -> str:
        return renderer.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    spans = groupby(zip(rendered.ids, rendered.reply_mask, strict=True), key=lambda pair: pair[1])
    return [(text([i for i, _ in pairs]), trained) for trained, pairs in spans]


def _control_ids(tokenizer: Any, stops: set[int]) -> frozenset[int]:
    """Special tokens and added stop tokens; not the unknown token, which ordinary text may yield."""
    added = tokenizer.added_tokens_decoder
    special = {i for i, token in added.items() if token.special} | set(tokenizer.all_special_ids)
    unknown = {tokenizer.unk_token_id} - {tokenizer.bos_token_id} - stops
    return frozenset((special - unknown) | (stops & added.keys()))


def _with_system(messages: Sequence[Message], system: str | None, supported: bool) -> list[Message]:
    """The turns with the role prompt in place: a system turn, or the head of the first user turn."""
    turns = list(messages)
    texts = [] if system is None else [system]
    if turns and turns[0].role == "system":
        texts.append(turns.pop(0).content)
    text = "\n\n".join(part for part in texts if part.strip())
    if supported:
        return [Message("system", text), *turns] if texts else turns
    if text and turns:
        turns[0] = replace(turns[0], content=f"{text}\n\n{turns[0].content}")
    return turns


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
