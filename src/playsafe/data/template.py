"""Messages → text as a tokenizer's own chat template writes it: the only caller of `apply_chat_template`.

Templates are programs by others and differ: some take text as typed parts, write no header when a reply is
asked for, write more between the header and an answer (a channel, a closed thought), or read a clock. What is
needed of one is found by rendering probes; one that loses text is refused.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import TemplateError

from playsafe.errors import BadInput, in_words
from playsafe.limits import MEMORY, limited
from playsafe.records import Message, Speaker
from playsafe.thoughts import tags

DATE = "26 Jul 2024"  # Llama 3.1 and 3.2 write a date: without a fixed one the ids change every day
PROBE = "PROBE"
SECONDS = 5.0  # for one conversation; real templates take a millisecond
_NOW = datetime.strptime(DATE, "%d %b %Y")
_ASKED, _ANSWERED = Message("user", "QUERY"), Message("assistant", PROBE)
_MARKS = "a \"b\" 'c' & <d>\n\n{e} – *f*"  # what a template may escape
# of user and assistant: who is given as typed parts; plain text first
_SHAPES: tuple[frozenset[Speaker], ...] = (
    frozenset(),
    frozenset({"user", "assistant"}),
    frozenset({"user"}),
    frozenset({"assistant"}),
)


class ChatTemplate:
    """A chat template with its arguments.

    arguments: JSON values of variables that the template reads (`enable_thinking`); where a tokenizer has
    several templates, `name` chooses one. text: its source. supports_system: whether it writes system turns.
    trims_left, trims_right: whether it trims replies. lead: white space that it writes between the header and
    a reply. after: what it writes after one.

    Raises BadInput: no template; several and none chosen; an argument that it does not read; a probe that it
    rejects, loses or writes otherwise each time.
    """

    def __init__(self, tokenizer: Any, arguments: Mapping[str, Any] | None = None) -> None:
        self.tokenizer = tokenizer
        self.where = str(getattr(tokenizer, "name_or_path", "") or "tokenizer")
        self.text, self.arguments = _chosen(tokenizer, dict(arguments or {}), self.where)
        self._refuse_unread()
        self._typed = self._shape()
        self.supports_system = self._writes_system()
        self._refuse_loss()
        own = self._probe([_ASKED, _ANSWERED])
        padded = self._probe([_ASKED, Message("assistant", f"\n\t{PROBE}\t\n")])
        self.trims_left, self.trims_right = f"\t{PROBE}" not in padded, f"{PROBE}\t" not in padded
        before, _, self.after = own.rpartition(PROBE)
        header = self._probe([_ASKED], header=True)
        between = before.removeprefix(header) if before.startswith(header) else ""
        self.lead = between if not between.strip() else ""

    def write(
        self, turns: Sequence[Message], *, header: bool, what: str = "dialogue", where: str = ""
    ) -> str:
        """Turns as the template writes them. header: whether a reply is asked for."""
        try:
            return self._render(turns, header, self._typed)
        except BadInput:
            raise
        except Exception as error:  # whatever somebody's program may raise
            raise BadInput(f"the chat template rejects the {what}: {_reason(error)}.", where=where) from None

    def before(self, turns: Sequence[Message], where: str = "") -> str:
        """What stands before a finished answer to the turns: a thought in it is closed."""
        text = self.write([*turns, _ANSWERED], header=False, where=where)
        before, found, _ = text.rpartition(PROBE)
        if not found:
            raise BadInput("the chat template leaves out the reply to this dialogue.", where=where)
        return before.removesuffix(self.lead)

    def asking(self, turns: Sequence[Message], where: str = "") -> str:
        """What a model goes on from: the header that the template writes where that leaves room for a
        thought, else what stands before a finished answer."""
        header, before = self.write(turns, header=True, where=where), self.before(turns, where)
        return before if tags(header) == tags(before) else header

    def _render(self, turns: Sequence[Message], header: bool, typed: frozenset[Speaker]) -> str:
        written: list[dict[str, Any]] = [
            {"role": turn.role, "content": [{"type": "text", "text": turn.content}]}
            if turn.role in typed
            else {"role": turn.role, "content": turn.content}
            for turn in turns
        ]
        with limited(SECONDS, "the chat template", self.where, memory=MEMORY):
            self._stop_clock()
            return str(
                self.tokenizer.apply_chat_template(
                    written,
                    chat_template=self.text,
                    tokenize=False,
                    add_generation_prompt=header,
                    **{"date_string": DATE, **self.arguments},
                )
            )

    def _stop_clock(self) -> None:
        """The library's clock cannot be given as an argument: a template sees nothing but JSON values."""
        from transformers.utils.chat_template_utils import _compile_jinja_template

        _compile_jinja_template(self.text).globals["strftime_now"] = lambda form: _NOW.strftime(form)

    def _refuse_unread(self) -> None:
        """An argument that the template does not read, or that is not its own."""
        taken = {*inspect.signature(self.tokenizer.apply_chat_template).parameters, "messages"}
        for name in self.arguments:
            if name in taken or not re.search(rf"\b{re.escape(name)}\b", self.text):
                raise BadInput(
                    f"the chat template of {self.where} reads no argument {name!r}.",
                    where="model.template",
                    next="Leave it out, or look into the template for the names that it reads.",
                )

    def _shape(self) -> frozenset[Speaker]:
        """Who is given as typed parts."""
        problem = ""
        for typed in _SHAPES:
            try:
                text = self._render([_ASKED, _ANSWERED], False, typed)
            except BadInput:  # it takes too long
                raise
            except Exception as error:  # as in `write`
                problem = problem or f"cannot render a question and its answer: {_reason(error)}"
                continue
            if lost := _lost(text, [_ASKED, _ANSWERED]):
                problem = problem or f"leaves out the text of the {lost} turn"
                continue
            return typed
        raise self._refusal(problem)

    def _writes_system(self) -> bool:
        turns = [Message("system", PROBE), _ASKED]
        also: frozenset[Speaker] = frozenset({"system"})
        for typed in (self._typed, self._typed | also):
            try:
                if PROBE in self._render(turns, False, typed):
                    self._typed = typed
                    return True
            except BadInput:
                raise
            except Exception:  # as in `write`; a template may refuse system turns
                continue
        return False

    def _refuse_loss(self) -> None:
        """Longer conversations and marks: nothing is left out or escaped, all is written alike each time."""
        marks = Message("user", _MARKS), Message("assistant", _MARKS)
        several = [Message("user", "FIRST"), Message("assistant", "SECOND"), _ASKED, _ANSWERED]
        system = [Message("system", "SYSTEM")] if self.supports_system else []
        for turns in (marks, several, [*system, _ASKED, _ANSWERED], [*system, *several]):
            try:
                text = self._render(turns, False, self._typed)
                again = self._render(turns, False, self._typed)
            except BadInput:
                raise
            except Exception:  # it says so where a row is as long
                continue
            if lost := _lost(text, turns):
                how = "rewrites marks in" if turns is marks else "leaves out, in a longer conversation,"
                raise self._refusal(f"{how} the text of a {lost} turn")
            if text != again:
                raise self._refusal("writes the same conversation in another way each time")

    def _probe(self, turns: Sequence[Message], header: bool = False) -> str:
        return self.write(turns, header=header, what="probe conversation", where=self.where)

    def _refusal(self, problem: str) -> BadInput:
        return BadInput(
            f"the chat template {problem}.",
            where=self.where,
            next="Use another template; the numbers would be about a text that the model never sees.",
        )


def _chosen(tokenizer: Any, arguments: dict[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    """The template's source and what is left of the arguments."""
    found = getattr(tokenizer, "chat_template", None)
    if isinstance(found, Mapping):
        listed = ", ".join(sorted(found))
        name = arguments.pop("name", "default")
        if name not in found:
            raise BadInput(
                f"the tokenizer has several chat templates and none that is called {name!r}.",
                where=where,
                allowed=listed,
                next="Choose one by its name, model.template: {name: ...}.",
            )
        found = found[name]
    if not found:
        raise BadInput(
            "the tokenizer has no chat template.",
            where=where,
            next="Use an instruct model, or pass a tokenizer with a chat_template.",
        )
    return str(found), arguments


def _lost(text: str, turns: Sequence[Message]) -> str:
    """Whose text does not stand in a rendered conversation, in its order; "" where nothing is lost."""
    place = 0
    for turn in turns:
        at = text.find(turn.content, place)
        if at < 0 and not (turn.role == "system" and turn.content in text):
            return turn.role
        place = max(place, at)
    return ""


def _reason(error: Exception) -> str:
    words = " ".join(in_words(error).split())[:300].rstrip(".")
    plain = isinstance(error, (TemplateError, RecursionError))
    return words if plain else f"{type(error).__name__}: {words}"
