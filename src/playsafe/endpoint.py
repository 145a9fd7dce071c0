"""Asking an OpenAI-compatible server (vLLM, SGLang, llama.cpp, `transformers serve`, a vendor).

Retries, back-off and time limits are the `openai` library's. What is ours: several requests at once, a
budget, a failed request that is an error of its own and not of the run, and a stop when the server is gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from playsafe.answers import Reply, failed, read_answer, short
from playsafe.config import EndpointConfig
from playsafe.errors import BadInput, MissingExtra

Turns = Sequence[Mapping[str, str]]


class Endpoint:
    """One model on one server. BadInput for a refused key or an unknown model: no retry mends these."""

    def __init__(self, config: EndpointConfig) -> None:
        try:
            import openai
        except ModuleNotFoundError:
            raise MissingExtra("openai", "asking a server") from None
        self.config, self._openai = config, openai
        self.asked = 0
        self._renamed = False  # newer models refuse max_tokens
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
                            yield name, failed("the server has gone; not asked")
                        elif self.config.max_requests is not None and self.asked >= self.config.max_requests:
                            yield name, failed(f"the budget of {self.config.max_requests} requests is spent")
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
            answer = self._client.chat.completions.with_raw_response.create(
                model=self.config.model,
                messages=list(messages),  # type: ignore[arg-type]
                **(sent := self._named(settings)),
            )
            return read_answer(answer.http_response.content), True
        except self._openai.APIConnectionError as error:  # a time limit that ran out among them
            gone = not isinstance(error, self._openai.APITimeoutError)
            return failed(f"{type(error).__name__}: {error}"), not gone
        except (self._openai.AuthenticationError, self._openai.PermissionDeniedError) as error:
            raise BadInput(
                f"the server refuses the key: {short(error)}.",
                where=where,
                next=f"Set the environment variable {self.config.api_key_env}.",
            ) from None
        except self._openai.NotFoundError as error:
            raise BadInput(f"the server does not know this: {short(error)}.", where=where) from None
        except self._openai.BadRequestError as error:
            if "max_completion_tokens" in str(error) and "max_tokens" in sent:
                self._renamed = True
                return self._one(messages, settings)
            if error.code == "content_filter":
                return Reply("", 0, "filtered"), True
            return failed(f"{type(error).__name__}: {short(error)}"), True
        except self._openai.APIError as error:
            return failed(f"{type(error).__name__}: {short(error)}"), True

    def _named(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings under the names that this server takes."""
        names = {"max_tokens": "max_completion_tokens"} if self._renamed else {}
        return {names.get(key, key): value for key, value in settings.items()}
