"""What attacks have in common: how a prompt is rewritten and what is recorded of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from playsafe.attacks._files import fingerprint
from playsafe.records import Message, Prompt


def rewritten(prompt: Prompt, text: str, number: int | None = None) -> Prompt:
    """The prompt with another last turn; `number` tells the rewritings of one prompt (a trial) apart."""
    last = prompt.messages[-1]
    return replace(
        prompt,
        id=prompt.id if number is None else f"{prompt.id}/{number}",
        messages=(*prompt.messages[:-1], Message(last.role, text)),
        request=prompt.plain,
        trial=prompt.trial or prompt.id,
    )


class Base:
    """An attack whose replies are ordinary text. files: the options that name a file of the user."""

    name: str
    version = "1"
    files: tuple[str, ...] = ()

    def decode(self, reply: str, options: Any) -> str:
        return reply

    def identity(self, options: Any) -> dict[str, Any]:
        """A file counts by its content and type, so that it may be moved."""
        given = options.model_dump(mode="json")
        files = {key: fingerprint(Path(given.pop(key))) for key in self.files if given[key] is not None}
        return {"name": self.name, "version": self.version, "options": given, "files": files}
