"""Asking an OpenAI-compatible server (vLLM, SGLang, llama.cpp, `transformers serve`, a vendor).

Retries, back-off and time limits are the `openai` library's. What is ours: several requests at once, a
budget, a failed request that is an error of its own and not of the run, and a stop when the server is gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Literal, NamedTuple

from playsafe.config import EndpointConfig
from playsafe.errors import BadInput, MissingExtra
from playsafe.thoughts import split_thought

Turns = Sequence[Mapping[str, str]]


class Reply(NamedTuple):
    """text and tokens as the server says; error: why there is no text, "" where there is one.

    thought: what stood before the text in tags, or in a field of its own. unfinished: it ends inside that.
    """

    text: str
    tokens: int
    finish: Literal["stop", "length"]
    error: str = ""
    thought: str = ""
    unfinished: bool = False


class Endpoint:
    """One model on one server. BadInput for a refused key or an unknown model: no retry mends these."""

    def __init__(self, config: EndpointConfig) -> None:
        try:
            import openai
        except ModuleNotFoundError:
            raise MissingExtra("openai", "asking a server") from None
        self.config, self._openai = config, openai
        self.asked = 0
        self._client = openai.OpenAI(
            base_url=config.base_url,
            api_key=os.environ.get(config.api_key_env) or "none",
            max_retries=config.retries,
            timeout=config.timeout,
        )

    def ask(self, turns: Mapping[str, Turns], settings: Mapping[str, Any]) -> Iterator[tuple[str, Reply]]:
        """(id, reply) for each of `turns` as they come; ids whose request failed have a reply with an error.

        After `concurrency` requests in a row found no server, the others are errors without being sent.
        """
        left = iter(turns.items())
        unreachable = 0
        with ThreadPoolExecutor(self.config.concurrency) as pool:
            try:
                pending: dict[Future[tuple[Reply, bool]], str] = {}
                while True:
                    while len(pending) < self.config.concurrency and (one := next(left, None)) is not None:
                        name, messages = one
                        if unreachable >= self.config.concurrency:
                            yield name, _failed("the server has gone; not asked")
                        elif self.config.max_requests is not None and self.asked >= self.config.max_requests:
                            yield name, _failed(f"the budget of {self.config.max_requests} requests is spent")
                        else:
                            self.asked += 1
                            pending[pool.submit(self._one, messages, settings)] = name
                    if not pending:
                        return
                    for future in wait(pending, return_when=FIRST_COMPLETED).done:
                        reply, reached = future.result()
                        unreachable = 0 if reached else unreachable + 1
                        yield pending.pop(future), reply
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        self._client.close()

    def _one(self, messages: Turns, settings: Mapping[str, Any]) -> tuple[Reply, bool]:
        """A reply, and whether there was a server at all."""
        where = f"{self.config.base_url} ({self.config.model})"
        try:
            answer = self._client.chat.completions.create(
                model=self.config.model,
                messages=list(messages),  # type: ignore[arg-type]
                **settings,
            )
        except self._openai.APIConnectionError as error:  # a time limit that ran out among them
            gone = not isinstance(error, self._openai.APITimeoutError)
            return _failed(f"{type(error).__name__}: {error}"), not gone
        except (self._openai.AuthenticationError, self._openai.PermissionDeniedError) as error:
            raise BadInput(
                f"the server refuses the key: {_short(error)}.",
                where=where,
                next=f"Set the environment variable {self.config.api_key_env}.",
            ) from None
        except self._openai.NotFoundError as error:
            raise BadInput(f"the server does not know this: {_short(error)}.", where=where) from None
        except self._openai.APIError as error:
            return _failed(f"{type(error).__name__}: {_short(error)}"), True
        choices = getattr(answer, "choices", None)  # a page of HTML comes as text
        choice = choices[0] if choices else None
        reasoning = "" if choice is None else _reasoning(choice.message)
        if choice is None or (choice.message.content is None and not reasoning):
            return _failed("the answer holds no text"), True
        text = (choice.message.content or "").encode("utf-8", "replace").decode()  # half pairs
        tokens = (answer.usage.completion_tokens if answer.usage else None) or len(text.split())
        finish: Literal["stop", "length"] = "length" if choice.finish_reason == "length" else "stop"
        thought, said = split_thought(text)
        unfinished = said is None or (bool(reasoning) and not said.strip())
        thought = "\n\n".join(filter(None, (reasoning, thought)))
        return Reply(said or "", tokens, finish, thought=thought, unfinished=unfinished), True


def _reasoning(message: Any) -> str:
    """The thought that a server gives beside the text: `reasoning_content`, or `reasoning`."""
    fields = (getattr(message, name, None) for name in ("reasoning_content", "reasoning"))
    found = next((field for field in fields if isinstance(field, str) and field.strip()), "")
    return found.encode("utf-8", "replace").decode().strip()


def _failed(why: str) -> Reply:
    return Reply("", 0, "stop", _short(why))


def _short(error: object) -> str:
    return " ".join(str(error).split())[:300]
