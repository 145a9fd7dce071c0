"""Messages → token ids, in one place.

A row is rendered as [prompt ‖ reply ‖ end-of-turn]. The prompt is what the template itself writes before a
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
from typing import Any

from playsafe.data.template import DATE, PROBE, ChatTemplate
from playsafe.errors import BadInput
from playsafe.records import Message
from playsafe.thoughts import ends_inside, leading_tags, marks, split_thought

_HELLO = Message("user", "Hello")
_ANCHOR = "\n"
_HEADER = 48  # tokens at the end of a prompt that surely hold a tag at its end
_CUT = "\ufdd0"  # a Unicode noncharacter: no text holds it, no tokenizer sees it


@dataclass(frozen=True, slots=True)
class Rendered:
    """ids, reply_mask: [T]. The mask is True on the last T − prompt_length tokens: reply and end of turn."""

    ids: tuple[int, ...]
    reply_mask: tuple[bool, ...]

    @property
    def prompt_length(self) -> int:
        return len(self.ids) - sum(self.reply_mask)


class ChatRenderer:
    """Renders dialogues with a tokenizer's own chat template.

    tokenizer: a Hugging Face tokenizer. stop_ids: the model's own end tokens (its generation config's
    `eos_token_id`), joined with the tokenizer's eos and the template's end of turn. arguments: of the
    template (see `ChatTemplate`). vocabulary: rows of the model's embedding matrix.

    end_of_turn: the id that closes a reply. supports_system: False where the template has no system role
    (Gemma 2); system text then goes to the head of the first user turn, with a blank line between.

    Raises BadInput: no chat template; no token that could end a turn; a template that rejects a dialogue or
    loses text; prompt and reply that together are no conversation of the template's; a token without a row.
    """

    def __init__(
        self,
        tokenizer: Any,
        stop_ids: Collection[int] = (),
        *,
        arguments: Mapping[str, Any] | None = None,
        vocabulary: int | None = None,
    ) -> None:
        self.tokenizer, self.vocabulary = tokenizer, vocabulary
        self.template = ChatTemplate(tokenizer, arguments)
        self.supports_system = self.template.supports_system
        stops = {*stop_ids, tokenizer.eos_token_id} - {None}
        self._control_ids = _control_ids(tokenizer, stops)
        ends = self._control_ids | stops
        found = next((i for i in self._tokenize(self.template.after) if i in ends), None)
        end = "" if found is None else tokenizer.convert_ids_to_tokens(found)
        self._tail = self.template.after.partition(end)[0] if end and end in self.template.after else ""
        found = tokenizer.eos_token_id if found is None else found
        if found is None:
            raise BadInput("the chat template ends no turn and the tokenizer has no eos token.")
        self.end_of_turn: int = found
        self.stop_ids: frozenset[int] = frozenset(stops | {found})
        texts = tokenizer.convert_ids_to_tokens(sorted(self._control_ids))
        self._marks = frozenset(tokenizer.convert_tokens_to_ids(sorted(marks(texts))))
        self._control = re.compile("|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)))
        self._anchor, self._lead = self._joint()
        halves, whole = [*self._tokenize("<"), *self._tokenize("x")], self._tokenize("<x")
        self._within = "" if tokenizer.decode(halves) == tokenizer.decode(whole) else _ANCHOR
        self.render([Message("user", "Hello.")], "Hi.", where=self.template.where)

    @property
    def pad_id(self) -> int | None:
        """The tokenizer's padding token, where it has one that the model knows."""
        pad = self.tokenizer.pad_token_id
        return None if pad is None or (self.vocabulary is not None and pad >= self.vocabulary) else int(pad)

    @property
    def template_hash(self) -> str:
        """sha256 over the template with its arguments, the special tokens, the tokenizer's class and its
        vocabulary size."""
        tokenizer, given = self.tokenizer, self.template.arguments
        special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
        parts = [self.template.text, special, type(tokenizer).__name__, len(tokenizer), DATE]
        parts += [given] if given else []
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def render(
        self, messages: Sequence[Message], reply: str, *, system: str | None = None, where: str = ""
    ) -> Rendered:
        """[prompt ‖ reply ‖ end-of-turn] with the mask on reply and end-of-turn.

        system: None adds no system turn; "" adds an empty one where the template has system turns (which
        keeps Qwen2.5 from adding its own). With a system turn in `messages` too, the two are joined, role
        prompt first. The reply is trimmed where the template trims replies. One that begins with a thought is
        written as the template writes it, or refused. where: names the row in errors.
        """
        turns = self._turns(messages, system, where)
        before, said = self._reply(turns, reply, where)
        prompt = self._ids(before, where)
        ids = (*prompt, *self._ids(said, where, follows=True), self.end_of_turn)
        return Rendered(ids, tuple(position >= len(prompt) for position in range(len(ids))))

    def prompt(
        self,
        messages: Sequence[Message],
        *,
        system: str | None = None,
        prefill: str = "",
        generation: bool = False,
        where: str = "",
    ) -> tuple[int, ...]:
        """Ids of the dialogue, what the template writes before a finished answer, and what the reply is made
        to begin with.

        generation: a model is to go on; where the template leaves room for a thought, so does the prompt. A
        prefill begins the answer itself.
        """
        turns = self._turns(messages, system, where)
        if generation and not prefill:
            return self._ids(self.template.asking(turns, where), where)
        begun = self._lead + self._cut(prefill, where) if prefill else ""
        return (*self._ids(self.template.before(turns, where), where), *self._ids(begun, where, follows=True))

    def conversation(self, messages: Sequence[Message], *, where: str = "") -> tuple[int, ...]:
        """Ids of a whole conversation as the template writes it, for models that judge conversations."""
        cut = [replace(turn, content=self._cut(turn.content, where)) for turn in messages]
        return self._ids(self.template.write(cut, header=False, what="conversation", where=where), where)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of a reply: no control tokens, but for the marks that tell a thought from the answer."""
        if self._marks.isdisjoint(ids):
            return self.tokenizer.decode(ids, skip_special_tokens=True)
        return self.tokenizer.decode([i for i in ids if i in self._marks or i not in self._control_ids])

    def opens_thought(self, prompt: Sequence[int]) -> bool:
        """Whether a prompt ends inside a thought, as the generation header of some thinking models does."""
        return ends_inside(self.tokenizer.decode(prompt[-_HEADER:]))

    def _turns(self, messages: Sequence[Message], system: str | None, where: str) -> list[Message]:
        turns = _with_system(messages, system, self.supports_system)
        return [replace(turn, content=self._cut(turn.content, where)) for turn in turns]

    def _reply(self, turns: Sequence[Message], reply: str, where: str) -> tuple[str, str]:
        """What stands before a reply, and the reply as the template writes it."""
        template, before = self.template, self.template.before(turns, where)

        def plain(text: str) -> str:
            text = text.lstrip() if template.trims_left else text
            text = text.rstrip() if template.trims_right else text
            return f"{self._lead}{text}{self._tail}"

        pieces = leading_tags(reply)
        if len(pieces) == 1:
            return before, plain(self._cut(reply, where))
        # the tags of its own thought are for the template to read; everything else is cut
        kept = "".join(piece if n % 2 else self._cut(piece, where) for n, piece in enumerate(pieces))
        thought, answer = split_thought(reply)
        own = template.write([*turns, Message("assistant", kept)], header=False, where=where)
        header = template.write(turns, header=True, where=where)
        end = own.rpartition(template.after)[0] if template.after else own
        if end.removeprefix(before).strip() == kept.strip():
            return before, plain(kept)
        if not thought and answer is not None and end.endswith(self._cut(answer, where)):
            return before, plain(self._cut(answer, where))
        said = end.removeprefix(header)
        plainly = said.replace(_CUT, "")
        if not end.startswith(header) or thought not in plainly or not plainly.endswith(answer or thought):
            raise BadInput(
                "the chat template leaves out or rewrites the thought that this reply begins with.",
                where=where,
                next="Take the thoughts out of the rows, or use a template that keeps them.",
            )
        return header, f"{said}{self._tail}"

    def _joint(self) -> tuple[str, str]:
        """(anchor, lead): how a reply is tokenized apart so that prompt and reply are the template's own
        conversation. anchor: text put before it and its ids taken off again, for tokenizers that begin every
        text with a space. lead: white space of the template's before a reply.

        Same ids are best; where tokens would join over the border, the same text is what there is to have.
        """
        before, lead = self.template.before([_HELLO]), self.template.lead
        whole = self._tokenize(f"{before}{lead}{PROBE}{self._tail}")
        ways = [(anchor, space) for anchor in ("", _ANCHOR) for space in dict.fromkeys((lead, ""))]
        said = [
            [*self._tokenize(before), *self._tokenize(f"{space}{PROBE}{self._tail}", anchor)]
            for anchor, space in ways
        ]
        texts = [self.tokenizer.decode(ids, clean_up_tokenization_spaces=False) for ids in (whole, *said)]
        same = [way for way, ids in zip(ways, said, strict=True) if ids == whole]
        same += [way for way, text in zip(ways, texts[1:], strict=True) if text == texts[0]]
        if not same:
            raise BadInput(
                f"prompt and reply, tokenized apart, give {texts[1][-80:]!r} where the chat template's own "
                f"conversation is {texts[0][-80:]!r}.",
                where=self.template.where,
                next="Use a fast tokenizer of the model, or another chat template.",
            )
        return same[0]

    def _ids(self, text: str, where: str, follows: bool = False) -> tuple[int, ...]:
        """Tokenize between the cuts. follows: the text goes on from ids that stand before it."""
        first, *others = text.split(_CUT)
        pieces = [self._tokenize(first, self._anchor if follows else "")]
        pieces += [self._tokenize(piece, self._within) for piece in others]
        ids = tuple(i for piece in pieces for i in piece)
        if sum(i in self._control_ids for i in ids) > len(self._control.findall(text)):
            raise BadInput("text of the row turns into a control token of the tokenizer.", where=where)
        if self.vocabulary is not None and max(ids, default=0) >= self.vocabulary:
            token = self.tokenizer.convert_ids_to_tokens(max(ids))
            raise BadInput(
                f"the token {token!r} has no row in the embedding matrix, which has {self.vocabulary}: the "
                "tokenizer got tokens that the model did not.",
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

    def _tokenize(self, text: str, anchor: str = "") -> list[int]:
        """anchor: see `_joint`."""
        if not text:
            return []
        # the template writes the BOS itself; add_special_tokens would write a second one
        ids, head = (
            self.tokenizer(part, add_special_tokens=False, verbose=False)["input_ids"] if part else []
            for part in (anchor + text, anchor)
        )
        return ids[len(head) :] if ids[: len(head)] == head else self._tokenize(text)


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
