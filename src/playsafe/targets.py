"""Who answers: a model in process, a server, or a file of recorded replies. One interface for all three."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from playsafe.config import GenerationConfig
from playsafe.data.chat import ChatRenderer
from playsafe.data.recordings import Recording, asked, read_recordings
from playsafe.endpoint import Endpoint
from playsafe.errors import BadInput
from playsafe.gap import likelihoods
from playsafe.models.adapters import detach
from playsafe.models.generate import Generated, generate
from playsafe.models.guided import Combine
from playsafe.records import Completion, LogProb, Message, Prompt
from playsafe.thoughts import split_thought

TOGETHER = 1024  # recorded replies that are handed on at once
_WORD = re.compile(r"\S+")


class Target(Protocol):
    """Answers prompts."""

    def answers(
        self, prompts: Sequence[Prompt], system: str | None, found: Collection[str]
    ) -> Iterator[list[Completion]]:
        """Groups of completions as they come, together one for each prompt that is not in `found`."""

    def likelihoods(self, prompts: Sequence[Prompt], system: str | None) -> list[tuple[LogProb, ...]] | None:
        """For each prompt log p(reference | system, prompt), one for each of its references; an empty tuple
        where one of them makes it too long for the model. None where likelihoods cannot be had."""

    def close(self) -> None:
        """Give back what it holds; the frozen model is plain again."""


class InProcess:
    """A model in this process. A batch always holds the same prompts, so that an interrupted run ends with
    the same replies; a prompt too long for the model is an error of that prompt."""

    def __init__(
        self,
        model: Any,
        renderer: ChatRenderer,
        config: GenerationConfig,
        contexts: Sequence[str | None] = (),
        combine: Combine | None = None,
    ) -> None:
        """contexts, combine: of a decoder (`playsafe.decoders`)."""
        self.model, self.renderer, self.config = model, renderer, config
        self.contexts, self.combine = contexts, combine
        self.limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)

    def answers(
        self, prompts: Sequence[Prompt], system: str | None, found: Collection[str]
    ) -> Iterator[list[Completion]]:
        ids, *others = (
            {
                p.id: self.renderer.prompt(
                    p.messages, system=s, prefill=p.prefill, generation=True, where=p.id
                )
                for p in prompts
            }
            for s in (system, *self.contexts)
        )
        order = sorted(prompts, key=lambda p: (len(ids[p.id]), p.id))
        room = self.limit - self.config.max_new_tokens if self.limit else None
        longest = {p.id: max(len(one[p.id]) for one in (ids, *others)) for p in order}
        long = [p for p in order if room is not None and longest[p.id] > room]
        order = [p for p in order if room is None or longest[p.id] <= room]
        for start in range(0, len(order), self.config.batch_size):
            batch = order[start : start + self.config.batch_size]
            if any(p.id not in found for p in batch):
                read, *beside = ([one[p.id] for p in batch] for one in (ids, *others))
                replies = generate(self.model, self.renderer, read, self.config, beside, self.combine)
                pairs = zip(batch, replies, strict=True)
                yield [self._completion(p, ids[p.id], g) for p, g in pairs if p.id not in found]
        problem = f"over the {room} tokens that leave room for a reply of {self.config.max_new_tokens}"
        missing = [p for p in long if p.id not in found]
        if missing:
            yield [
                Completion(p.id, p.suite, "", 0, "error", f"a prompt of {longest[p.id]} tokens is {problem}")
                for p in missing
            ]

    def _completion(self, prompt: Prompt, ids: Sequence[int], reply: Generated) -> Completion:
        begun = prompt.prefill and split_thought(prompt.prefill)[1] is None
        opened = begun if prompt.prefill else self.renderer.opens_thought(ids)
        thought, answer = split_thought(reply.text, bool(opened), cut=reply.finish == "length")
        found = Completion(prompt.id, prompt.suite, answer or "", reply.tokens, reply.finish)
        return replace(found, thought=thought, unfinished=answer is None)

    def likelihoods(self, prompts: Sequence[Prompt], system: str | None) -> list[tuple[LogProb, ...]] | None:
        return likelihoods(self.model, self.renderer, prompts, system)

    def close(self) -> None:
        from peft import PeftModel

        if isinstance(self.model, PeftModel):
            detach(self.model)


class Server:
    """An OpenAI-compatible server; several requests at once, each failed one an error of its prompt."""

    def __init__(self, endpoint: Endpoint, config: GenerationConfig) -> None:
        self.endpoint, self.config = endpoint, config
        if config.sampling == "greedy":
            self.settings: dict[str, Any] = {"temperature": 0.0}
        else:
            self.settings = {"seed": config.seed}  # the server's own settings, as the model came with them
        self.settings["max_tokens"] = config.max_new_tokens

    def answers(
        self, prompts: Sequence[Prompt], system: str | None, found: Collection[str]
    ) -> Iterator[list[Completion]]:
        asked = [p for p in prompts if p.id not in found]
        started = next((p for p in asked if p.prefill), None)
        if started is not None:
            raise BadInput(
                "a server cannot be told how its reply begins.",
                where=f"prompt {started.id}",
                next="Leave the attack `prefill` out, or evaluate the model in process.",
            )
        turns = {p.id: _turns(p.messages, system) for p in asked}
        by_id = {p.id: p for p in asked}
        for name, reply in self.endpoint.ask(turns, self.settings):
            suite = by_id[name].suite
            if reply.error:
                yield [Completion(name, suite, "", 0, "error", reply.error)]
            else:
                said = Completion(name, suite, reply.text.strip(), reply.tokens, reply.finish)
                yield [replace(said, thought=reply.thought, unfinished=reply.unfinished)]

    def likelihoods(self, prompts: Sequence[Prompt], system: str | None) -> None:
        """A server tells no log-probabilities of texts that it did not write."""

    def close(self) -> None:
        self.endpoint.close()


class Recorded:
    """Replies from a file, found by the text that was asked, or by the id of a plain prompt.

    Where a row tells both, the text decides and the id only between rows of one text; an id alone never
    stands for an attacked prompt. Of playsafe's own completions the last line of an id counts, and an error
    is no reply. A prompt without a reply is an error of that prompt. BadInput for a file whose rows cannot be
    read, or that has several replies to one prompt.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.by_text: dict[tuple[str, ...], dict[str | None, str | None]] = {}  # turns → id → reply
        self.by_id: dict[str, str | None] = {}  # of rows that tell no text
        self.with_text: set[str | None] = set()  # ids of rows that tell one
        for found in read_recordings(path):
            self._add(found)

    def _add(self, found: Recording) -> None:
        if found.ours:
            self.by_id.pop(str(found.id), None)
            if found.failed:
                return
        if found.asked is None:
            known = self.by_id.setdefault(str(found.id), found.reply)
        else:
            known = self.by_text.setdefault(found.asked, {}).setdefault(found.id, found.reply)
            self.with_text.add(found.id)
        if known != found.reply:
            raise BadInput(
                f"two different replies to {str(found.id or (found.asked or ('',))[-1])[:60]!r}.",
                where=found.source,
                next="Keep one: every prompt is judged once. Samples may be targets of their own.",
            )

    def answers(
        self, prompts: Sequence[Prompt], system: str | None, found: Collection[str]
    ) -> Iterator[list[Completion]]:
        missing = [prompt for prompt in prompts if prompt.id not in found]
        for start in range(0, len(missing), TOGETHER):
            yield [self._answer(prompt) for prompt in missing[start : start + TOGETHER]]

    def _answer(self, prompt: Prompt) -> Completion:
        problem, text = f"{self.path.name} has no reply", None
        if not prompt.prefill:
            turns = asked([turn.content for turn in prompt.messages if turn.role != "system"])
            given = self.by_text.get(turns, {})
            replies = {given[prompt.id]} if prompt.id in given else set(given.values())
            if len(replies) > 1:
                problem = f"{self.path.name} has {len(replies)} different replies to it, and none with its id"
            elif replies:
                text, problem = replies.pop(), f"the reply in {self.path.name} is null"
            elif prompt.id in self.with_text:
                problem = f"{self.path.name} has this id with another prompt"
        if text is None and prompt.id in self.by_id:
            if prompt.request or prompt.prefill:
                problem = f"{self.path.name} names this id without saying which attack it answers"
            else:
                text = self.by_id[prompt.id]
        if text is None:
            return Completion(prompt.id, prompt.suite, "", 0, "error", problem)
        tokens = sum(1 for _ in _WORD.finditer(text))  # a list of them would be larger than the text
        return Completion(prompt.id, prompt.suite, text, tokens, "stop")

    def likelihoods(self, prompts: Sequence[Prompt], system: str | None) -> None:
        """Recorded replies have no model."""

    def close(self) -> None:
        self.by_text.clear()
        self.by_id.clear()


def _turns(messages: Sequence[Message], system: str | None) -> list[dict[str, str]]:
    first = [] if system is None else [{"role": "system", "content": system}]
    return first + [{"role": turn.role, "content": turn.content} for turn in messages]
