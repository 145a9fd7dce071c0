"""In-context attack: demonstrations of compliance stand before the request as earlier turns."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from playsafe.attacks import Attacked
from playsafe.attacks._base import Base
from playsafe.attacks._files import find_column, read_records
from playsafe.config import Section
from playsafe.data.files import string
from playsafe.errors import BadInput
from playsafe.records import Message, Prompt
from playsafe.tiny.names import path_of

REQUESTS = ("request", "query", "prompt", "goal", "instruction")
REPLIES = ("reply", "response", "completion", "unsafe_response")


class InContextOptions(Section):
    """path: .json, .jsonl or .csv with a request and a reply in each row, or "tiny:demonstrations"."""

    path: Annotated[str, AfterValidator(lambda path: path_of(path, "demonstrations"))]
    count: int = Field(5, ge=1, description="demonstrations before each request, the same for all")
    seed: int | None = Field(None, description="a sample by this seed; the first of the file when absent")


class InContext(Base):
    name = "in_context"
    summary = "demonstrations of compliance from your file as earlier turns (ICA)"
    source = "arXiv 2310.06387"
    Options = InContextOptions
    files = ("path",)

    def apply(self, prompts: Sequence[Prompt], options: InContextOptions) -> Attacked:
        shown = tuple(
            message
            for request, reply in _demonstrations(options)
            for message in (Message("user", request), Message("assistant", reply))
        )
        return Attacked(tuple(_after(shown, prompt) for prompt in prompts))


def _after(shown: tuple[Message, ...], prompt: Prompt) -> Prompt:
    """The demonstrations before everything but a system turn, which stays first."""
    first = 1 if prompt.messages[0].role == "system" else 0
    messages = (*prompt.messages[:first], *shown, *prompt.messages[first:])
    return replace(prompt, messages=messages, request=prompt.plain)


def _demonstrations(options: InContextOptions) -> list[tuple[str, str]]:
    path = Path(options.path)
    rows = read_records(path)
    request = find_column(rows, None, REQUESTS, path, "the request")
    reply = find_column(rows, None, REPLIES, path, "the reply")
    if len(rows) < options.count:
        what = f"count is {options.count}, but there are {len(rows)} demonstrations."
        raise BadInput(what, where=options.path, next="Lower the option count.")
    chosen = rows if options.seed is None else random.Random(options.seed).sample(rows, options.count)
    return [
        (string(row.get(request), request, source), string(row.get(reply), reply, source))
        for source, row in chosen[: options.count]
    ]


ATTACK = InContext()
