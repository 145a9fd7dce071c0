"""Messages → token ids, in one place: the only caller of `apply_chat_template`.

A row is rendered as [prompt ‖ reply ‖ end-of-turn]. The prompt is the template's own text with its
generation header, the reply is tokenized apart from it (as it is when a model generates), and the mask
covers exactly the reply and the token that ends the turn. That token is found by probing the template.

Text from data can never become a control token: each one found in a message is cut after its first
character and the two halves are tokenized apart, so that rows without one are not touched at all. Control
tokens are the tokenizer's special tokens and the stop tokens; other added tokens (`<tool_call>`, Gemma's
newline runs) are ordinary text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

from jinja2 import TemplateError

from playsafe.errors import BadInput
from playsafe.records import Dialogue, Message
from playsafe.thoughts import ends_inside, marks

DATE = "26 Jul 2024"  # Llama 3.1 and 3.2 write a date: without a fixed one the ids change every day
_PROBE = "PROBE"
_HEADER = 16  # tokens at the end of a prompt that surely hold a tag at its end
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
    `eos_token_id`), joined with the tokenizer's eos and the template's end of turn.

    end_of_turn: the id that closes a reply. supports_system: False where the template has no system role
    (Gemma 2); system text then goes to the head of the first user turn, with a blank line between.

    Raises BadInput: no chat template; no token that could end a turn; a template that rejects a dialogue.
    """

    def __init__(self, tokenizer: Any, stop_ids: Collection[int] = ()) -> None:
        self.tokenizer = tokenizer
        if not getattr(tokenizer, "chat_template", None):
            raise BadInput(
                "the tokenizer has no chat template.",
                where=str(getattr(tokenizer, "name_or_path", "") or "tokenizer"),
                next="Use an instruct model, or pass a tokenizer with a chat_template.",
            )
        self.supports_system = self._writes_system()
        self._trim_left, self._trim_right, tail = self._probe_reply()
        stops = {*stop_ids, tokenizer.eos_token_id} - {None}
        self._control_ids = _control_ids(tokenizer, stops)
        ends = self._control_ids | stops
        found = next((i for i in self._tokenize(tail) if i in ends), tokenizer.eos_token_id)
        if found is None:
            raise BadInput("the chat template ends no turn and the tokenizer has no eos token.")
        self.end_of_turn: int = found
        self.stop_ids: frozenset[int] = frozenset(stops | {found})
        texts = tokenizer.convert_ids_to_tokens(sorted(self._control_ids))
        self._marks = frozenset(tokenizer.convert_tokens_to_ids(sorted(marks(texts))))
        self._control = re.compile("|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)))

    @property
    def template_hash(self) -> str:
        """sha256 over the template, the special tokens, the tokenizer's class and its vocabulary size."""
        tokenizer = self.tokenizer
        special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
        parts = [tokenizer.get_chat_template(), special, type(tokenizer).__name__, len(tokenizer), DATE]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def render(
        self, messages: Sequence[Message], reply: str, *, system: str | None = None, where: str = ""
    ) -> Rendered:
        """[prompt ‖ reply ‖ end-of-turn] with the mask on reply and end-of-turn.

        system: None adds no system turn; "" adds an empty one where the template has system turns (which
        keeps Qwen2.5 from adding its own). With a system turn in `messages` too, the two are joined, role
        prompt first. The reply is trimmed where the template trims replies. where: names the row in errors.
        """
        prompt = self.prompt(messages, system=system, where=where)
        ids = (*prompt, *self._reply(reply, where))
        return Rendered(ids, tuple(position >= len(prompt) for position in range(len(ids))))

    def prompt(
        self, messages: Sequence[Message], *, system: str | None = None, prefill: str = "", where: str = ""
    ) -> tuple[int, ...]:
        """Ids of the dialogue, the assistant header and what the reply is made to begin with."""
        turns = _with_system(messages, system, self.supports_system)
        ids = self._written(turns, "dialogue", where, header=True)
        return (*ids, *self._ids(self._cut(prefill, where), 0, where))

    def conversation(self, messages: Sequence[Message], *, where: str = "") -> tuple[int, ...]:
        """Ids of a whole conversation as the template writes it, for models that judge conversations."""
        return self._written(messages, "conversation", where, header=False)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of a reply: no control tokens, but for the marks that tell a thought from the answer."""
        if self._marks.isdisjoint(ids):
            return self.tokenizer.decode(ids, skip_special_tokens=True)
        return self.tokenizer.decode([i for i in ids if i in self._marks or i not in self._control_ids])

    def opens_thought(self, prompt: Sequence[int]) -> bool:
        """Whether a prompt ends inside a thought, as the generation header of some thinking models does."""
        return ends_inside(self.tokenizer.decode(prompt[-_HEADER:]))

    def _written(self, turns: Sequence[Message], what: str, where: str, *, header: bool) -> tuple[int, ...]:
        """Ids of turns as the template writes them; header: whether a reply is to follow."""
        cut = [replace(turn, content=self._cut(turn.content, where)) for turn in turns]
        try:
            text = self._template(cut, header)
        except TemplateError as error:
            raise BadInput(f"the chat template rejects the {what}: {error}.", where=where) from None
        return self._ids(text, len(self._control.findall(text)), where)

    def _reply(self, reply: str, where: str) -> tuple[int, ...]:
        if self._trim_left:
            reply = reply.lstrip()
        if self._trim_right:
            reply = reply.rstrip()
        return (*self._ids(self._cut(reply, where), 0, where), self.end_of_turn)

    def _ids(self, text: str, control: int, where: str) -> tuple[int, ...]:
        """Tokenize between the cuts; `control` is the number of control tokens the template wrote."""
        ids = tuple(i for piece in text.split(_CUT) for i in self._tokenize(piece))
        if sum(i in self._control_ids for i in ids) > control:
            raise BadInput("text of the row turns into a control token of the tokenizer.", where=where)
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

    def _template(self, turns: Iterable[Message], header: bool = True) -> str:
        return self.tokenizer.apply_chat_template(
            [{"role": turn.role, "content": turn.content} for turn in turns],
            tokenize=False,
            add_generation_prompt=header,
            date_string=DATE,
        )

    def _writes_system(self) -> bool:
        try:
            return _PROBE in self._template([Message("system", _PROBE), Message("user", "Hello")])
        except TemplateError:
            return False

    def _probe_reply(self) -> tuple[bool, bool, str]:
        """Does the template trim a reply on its left, on its right, and what does it write after it?"""

        def answer(reply: str) -> str:
            return self._template([Message("user", "Hello"), Message("assistant", reply)], header=False)

        try:
            plain, padded = answer(_PROBE), answer(f"\n\t{_PROBE}\t\n")
        except TemplateError as error:
            raise BadInput(f"the chat template cannot render a question and its answer: {error}.") from None
        trim_left, trim_right = f"\t{_PROBE}" not in padded, f"{_PROBE}\t" not in padded
        return trim_left, trim_right, plain.rpartition(_PROBE)[2]


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
