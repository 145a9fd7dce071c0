"""Asking an OpenAI-compatible server (vLLM, SGLang, llama.cpp, `transformers serve`, a vendor).

Retries and back-off are the `openai` library's. What is ours: several requests at once, a budget, limits of
time and size (see `transport`), a failed request that is an error of its own and not of the run, and a stop
when the server is gone or refuses everything.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from playsafe import secrets
from playsafe.answers import Reply, failed, read_answer, short
from playsafe.config import EndpointConfig
from playsafe.errors import BadInput, MissingExtra
from playsafe.transport import Unreadable, client

OPENAI = "api.openai.com"
Turns = Sequence[Mapping[str, str]]


class Asked(NamedTuple):
    """What became of a request. there: whether a server took it. refusal: what no repetition mends: a key
    that is not known, a model that is not there."""

    reply: Reply
    there: bool = True
    refusal: BadInput | None = None


class Endpoint:
    """One model on one server. BadInput where the variable of its key is not set, or the key would be sent
    without encryption."""

    def __init__(self, config: EndpointConfig) -> None:
        try:
            import openai
        except ModuleNotFoundError:
            raise MissingExtra("openai", "asking a server") from None
        self.config, self._openai = config, openai
        self.asked = 0
        self._renamed = False  # newer models refuse max_tokens
        address, key = urlsplit(config.base_url), _key(config)
        self._client = openai.OpenAI(
            base_url=config.base_url,
            api_key=key or "none",
            max_retries=config.retries,
            timeout=config.timeout,
            http_client=client(str(address.hostname), key, config.timeout),
        )

    def ask(self, turns: Mapping[str, Turns], settings: Mapping[str, Any]) -> Iterator[tuple[str, Reply]]:
        """(id, reply) for each of `turns` as they come; ids whose request failed have a reply with an error.

        After `concurrency` requests in a row were taken by no server, the others are errors without being
        sent. BadInput where the first ones are refused and none is answered; those in flight are told first.
        """
        left = iter(turns.items())
        lost, answered = 0, False
        refusal: BadInput | None = None
        with ThreadPoolExecutor(self.config.concurrency) as pool:
            try:
                pending: dict[Future[Asked], str] = {}
                while True:
                    held = refusal is not None and not answered  # those in flight decide what it means
                    while not held and len(pending) < self.config.concurrency:
                        if (one := next(left, None)) is None:
                            break
                        if why := self._unsent(lost):
                            yield one[0], failed(why)
                        else:
                            self.asked += 1
                            pending[pool.submit(self._one, one[1], settings)] = one[0]
                    if not pending:
                        if held and refusal is not None:
                            raise refusal
                        return
                    for future in wait(pending, return_when=FIRST_COMPLETED).done:
                        reply, there, refused = future.result()
                        lost = 0 if there else lost + 1
                        refusal = refusal or refused
                        answered = answered or not reply.error
                        yield pending.pop(future), reply
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def check(self) -> str:
        """Ask for the list of models, once and for seconds only; says where no server answers. BadInput where
        it refuses the key. Servers that have no such list pass."""
        quick = self._client.with_options(max_retries=0, timeout=min(10.0, self.config.timeout))
        try:
            quick.models.with_raw_response.list()
        except (self._openai.AuthenticationError, self._openai.PermissionDeniedError) as error:
            raise self._refused(error) from None
        except self._openai.APIConnectionError as error:
            return f"no server answers at {self._where} yet ({short(error.__cause__ or error)})"
        except Exception:  # whatever it answered, it is there; what it makes of prompts will show
            return ""
        return ""

    def _unsent(self, lost: int) -> str:
        if lost >= self.config.concurrency:
            return "the server has gone or refuses everything; not asked"
        if self.config.max_requests is not None and self.asked >= self.config.max_requests:
            return f"the budget of {self.config.max_requests} requests is spent"
        return ""

    def close(self) -> None:
        self._client.close()

    def _one(self, messages: Turns, settings: Mapping[str, Any]) -> Asked:
        """What became of a request. Never raises: whatever a server does is an error of this request."""
        try:
            answer = self._client.chat.completions.with_raw_response.create(
                model=self.config.model,
                messages=list(messages),  # type: ignore[arg-type]
                **(sent := self._named(settings)),
            )
            return Asked(_redacted(read_answer(answer.http_response.content)))
        except self._openai.APITimeoutError:
            return Asked(failed(f"no answer within {self.config.timeout:g} s"))
        except self._openai.APIConnectionError as error:
            cause = error.__cause__
            if isinstance(cause, Unreadable):
                return Asked(failed(cause))
            return Asked(failed(f"{short(error)} {short(cause or '')}"), there=False)
        except (self._openai.AuthenticationError, self._openai.PermissionDeniedError) as error:
            return Asked(failed(error), False, self._refused(error))
        except self._openai.NotFoundError as error:
            refusal = BadInput(f"the server does not know this: {short(error)}.", where=self._where)
            return Asked(failed(error), False, refusal)
        except self._openai.BadRequestError as error:
            if "max_completion_tokens" in str(error) and "max_tokens" in sent:
                self._renamed = True
                return self._one(messages, settings)
            if error.code == "content_filter":
                return Asked(Reply("", 0, "filtered"))
            return Asked(failed(_said(error)))
        except Exception as error:  # of the wire, of the library, of a body that it cannot make sense of
            return Asked(failed(_said(error)))

    @property
    def _where(self) -> str:
        return f"{self.config.base_url} ({self.config.model})"

    def _refused(self, error: Exception) -> BadInput:
        return BadInput(
            f"the server refuses the key: {short(error)}.",
            where=self._where,
            next="Name the environment variable that holds this server's key: api_key_env (--endpoint-key).",
        )

    def _named(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings under the names that this server takes."""
        names = {"max_tokens": "max_completion_tokens"} if self._renamed else {}
        return {names.get(key, key): value for key, value in settings.items()}


def _key(config: EndpointConfig) -> str | None:
    """The key that was named for this server; OpenAI's own variable is for OpenAI's own host."""
    address = urlsplit(config.base_url)
    own = address.hostname == OPENAI and address.scheme == "https"
    name = config.api_key_env or ("OPENAI_API_KEY" if own else None)
    key = secrets.read(name) if name else None
    if config.api_key_env and key is None:
        raise BadInput(
            f"the environment variable {config.api_key_env} is not set.",
            where=config.base_url,
            next="Set it to the server's key, or remove api_key_env.",
        )
    if key is not None and not key.isascii():
        raise BadInput(f"the key in {name} holds characters that no key has.", where=config.base_url)
    if (
        key is not None
        and address.scheme != "https"
        and not (config.plain_http or _is_here(address.hostname))
    ):
        raise BadInput(
            "the key would travel over plain http, readable by everybody on the way.",
            where=config.base_url,
            next="Use https or a tunnel to this machine; plain_http: true sends it all the same.",
        )
    return key


def _is_here(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _said(error: Exception) -> str:
    """What a library says of an error, and the server where it is no JSON and left out."""
    body = getattr(error, "body", None)
    own = "" if body is None or isinstance(body, dict) else f": {short(body)}"
    return f"{type(error).__name__}: {short(error)}{own}"


def _redacted(reply: Reply) -> Reply:
    """The reply without the key, which a server may send back."""
    text, error, thought = map(secrets.redacted, (reply.text, reply.error, reply.thought))
    return reply._replace(text=text, error=error, thought=thought)
