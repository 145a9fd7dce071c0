"""What a tokenizer's chat template writes, found out by probing it: the only caller of `apply_chat_template`.

A template takes the text of a message as it is or as typed parts, has system turns or none, trims replies or
does not, writes a header for the reply or ignores that it is asked to, opens a thought for it, or writes a
closed one before a finished answer. All of that shows in a few conversations that are rendered at load; a
template that loses a message's text is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from playsafe.data.thoughts import ends_inside, has_mark
from playsafe.errors import BadInput
from playsafe.records import Message

DAY = datetime(2024, 7, 26)  # some templates write a date: without a fixed one the ids change every day
DATE = f"{DAY:%d %b %Y}"
_TOLD = [f"%{flag}{code}" for flag in ("-", "") for code in "aAbBcdeHIjmMpSuUwWxXyYZ"]
_CLOCK = (  # takes the place of the function of that name; functions cannot be passed to a template
    "{%- macro strftime_now(format) -%}{{ format"
    + "".join(f"|replace('{told}', '{DAY.strftime(told)}')" for told in _TOLD)
    + " }}{%- endmacro -%}"
)
_MARK = "\ufdd1"  # a Unicode noncharacter in the place of a reply
_PROBES = ("PROBE", "Quartz", "Vellum", "Onyx")


class Template:
    """tokenizer: with its chat template. arguments: variables of the template, "name" chooses among several.

    supports_system: whether a system turn's text is written. trims_left, trims_right: what becomes of blanks
    around a reply. tail: what follows a reply. opened: the header of a reply to be generated opens a thought.

    Raises BadInput: no template, several and none chosen, an argument that the template does not know, a
    message whose text is lost.
    """

    def __init__(self, tokenizer: Any, arguments: Mapping[str, Any]) -> None:
        self._tokenizer, self._arguments = tokenizer, dict(arguments)
        self.source = self._chosen(self._arguments.pop("name", None))
        self.given = dict(self._arguments)
        self._program = _CLOCK + self.source if "strftime_now" in self.source else self.source
        self._check_arguments()
        self._parts = False
        self._parts = not self._keeps([Message("user", _PROBES[0])])
        user = Message("user", "Hello")
        self.supports_system = self._keeps([Message("system", _PROBES[0]), user])
        self.trims_left, self.trims_right, self.tail = self._around_a_reply()
        self._refuse_lost_text()
        header, none = self.text([user], header=True), self.text([user], header=False)
        finished = self.finished([user])
        written = finished[len(header) :] if finished.startswith(header) else ""
        # ignores the generation prompt, or writes plain text between it and the reply
        self._headless = header == none or bool(written and not self._marks(written))
        self.opened = ends_inside(self.generation([user]))

    def text(
        self, turns: Sequence[Message], *, header: bool, what: str = "conversation", where: str = ""
    ) -> str:
        """What the template writes of these turns. header: a reply is to follow. BadInput where it fails."""
        messages = [
            {"role": t.role, "content": [{"type": "text", "text": t.content}] if self._parts else t.content}
            for t in turns
        ]
        try:
            return self._tokenizer.apply_chat_template(
                messages,
                chat_template=self._program,
                tokenize=False,
                add_generation_prompt=header,
                date_string=DATE,
                **self._arguments,
            )
        except Exception as error:  # a template is a program of somebody else's
            said = " ".join(str(error).split())[:300] or type(error).__name__
            raise BadInput(f"the chat template rejects the {what}: {said}.", where=where) from None

    def generation(self, turns: Sequence[Message], *, what: str = "dialogue", where: str = "") -> str:
        """What a model reads before it answers."""
        if self._headless:
            return self.finished(turns, what=what, where=where)
        return self.text(turns, header=True, what=what, where=where)

    def finished(self, turns: Sequence[Message], *, what: str = "dialogue", where: str = "") -> str:
        """What the template writes before the text of an answer that is there: a thought is closed."""
        answered = [*turns, Message("assistant", _MARK)]
        before, mark, _ = self.text(answered, header=False, what=what, where=where).rpartition(_MARK)
        if not mark:
            raise BadInput("the chat template writes no text of a reply.", where=where)
        return before

    # --- details --------------------------------------------------------------------------------------

    def _chosen(self, name: str | None) -> str:
        """The Jinja text of the template; of several the named one."""
        where = str(getattr(self._tokenizer, "name_or_path", "") or "tokenizer")
        own = getattr(self._tokenizer, "chat_template", None)
        if not own:
            raise BadInput(
                "the tokenizer has no chat template.",
                where=where,
                next="Use an instruct model, or pass a tokenizer with a chat_template.",
            )
        if isinstance(own, str):
            if name is not None:
                raise BadInput("the tokenizer has one chat template.", where="model.template.name")
            return own
        if (name or "default") not in own:
            raise BadInput(
                f"the tokenizer has several chat templates and none called {name or 'default'!r}.",
                where=where,
                allowed=", ".join(sorted(own)),
                next="Choose one: `model: {template: {name: ...}}`.",
            )
        return str(own[name or "default"])

    def _check_arguments(self) -> None:
        for name in self._arguments:
            if name in ("messages", "add_generation_prompt", "tokenize", "chat_template"):
                raise BadInput("the variable is set by playsafe.", where=f"model.template.{name}")
            if not re.search(rf"\b{re.escape(name)}\b", self.source):
                raise BadInput(
                    "the chat template does not know this variable.",
                    where=f"model.template.{name}",
                    next="Remove it: it would have no effect.",
                )

    def _keeps(self, turns: Sequence[Message]) -> bool:
        try:
            return _PROBES[0] in self.text(turns, header=False)
        except BadInput:
            return False

    def _around_a_reply(self) -> tuple[bool, bool, str]:
        user, [probe, *_] = Message("user", "Hello"), _PROBES
        plain, padded = (
            self.text([user, Message("assistant", reply)], header=False, what="question and its answer")
            for reply in (probe, f"\n\t{probe}\t\n")
        )
        return f"\t{probe}" not in padded, f"{probe}\t" not in padded, plain.rpartition(probe)[2]

    def _refuse_lost_text(self) -> None:
        """Every message of a conversation is in what the template writes of it, in order."""
        roles = ("user", "assistant", "user", "assistant")
        turns = [Message(role, text) for role, text in zip(roles, _PROBES, strict=True)]  # type: ignore[arg-type]
        for many in (2, 4):
            try:
                written = self.text(turns[:many], header=False)
            except BadInput:
                if many == 2:
                    raise
                continue  # it takes no longer conversations: rows that are some will say so
            for turn in turns[:many]:
                _, found, written = written.partition(turn.content)
                if not found:
                    raise BadInput(
                        f"the chat template loses the text of the {turn.role}'s turn, given as text and as "
                        f"typed parts, in a conversation of {many} turns.",
                        where=str(getattr(self._tokenizer, "name_or_path", "") or "tokenizer"),
                        next="Use another template: `model: {template: {name: ...}}`, or mend this one.",
                    )

    def _marks(self, text: str) -> bool:
        """Whether text holds a control token or a tag of a thought."""
        added = self._tokenizer.added_tokens_decoder.values()
        special = {str(token) for token in added if token.special} | set(self._tokenizer.all_special_tokens)
        return has_mark(text) or any(token and token in text for token in special)
