"""Jailbreak templates from the user's file, such as AIM: the request is put into each of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from playsafe.attacks import Attacked
from playsafe.attacks._base import Base, rewritten
from playsafe.attacks._files import read_texts
from playsafe.config import Section
from playsafe.errors import BadInput
from playsafe.matters import Matters
from playsafe.records import Prompt

COLUMNS = ("template", "final_template", "jailbreak", "prompt", "text", "content")
PLACEHOLDERS = (
    *("[INSERT PROMPT HERE]", "[REPLACE]", "[PROMPT]", "[QUERY]", "[GOAL]"),
    *("{{prompt}}", "{{query}}", "{{goal}}", "{prompt}", "{query}", "{goal}"),  # longer before shorter
)
_PLACEHOLDER = re.compile("|".join(map(re.escape, PLACEHOLDERS)), re.IGNORECASE)


CHOSEN = Matters(lambda own, uses: own.choice == "one", "choice 'one'")


class TemplateOptions(Section):
    """path: .txt (one template), .json, .jsonl or .csv."""

    path: str
    column: str | None = Field(None, description="where the templates stand in a file of rows")
    limit: int | None = Field(None, ge=1, description="the first so many templates")
    choice: Literal["all", "one"] = Field("all", description="one: a template by the hash of id and seed")
    seed: Annotated[int, CHOSEN] = 0


class Template(Base):
    name = "template"
    summary = "the request inside templates from your file (AIM and its kin)"
    source = "arXiv 2307.02483"
    Options = TemplateOptions
    files = ("path",)

    def apply(self, prompts: Sequence[Prompt], options: TemplateOptions) -> Attacked:
        templates = _templates(options)
        if options.choice == "one" or len(templates) == 1:
            return Attacked(
                tuple(rewritten(p, _filled(_one(p, templates, options.seed), p)) for p in prompts)
            )
        return Attacked(
            tuple(rewritten(p, _filled(t, p), n) for p in prompts for n, t in enumerate(templates, 1))
        )


def _templates(options: TemplateOptions) -> list[str]:
    path = Path(options.path)
    found = read_texts(path, options.column, COLUMNS)[: options.limit]
    for source, text in found:
        _check(text, source)
    return [text for _, text in found]


def _check(template: str, source: str) -> None:
    """Exactly one kind of placeholder, as often as it likes: a second kind may be meant as text."""
    places = list(_PLACEHOLDER.finditer(template))
    kinds = list(dict.fromkeys(place.group().upper() for place in places))
    if not places:
        raise BadInput("the template has no placeholder.", where=source, allowed=", ".join(PLACEHOLDERS))
    if len(kinds) > 1:
        other = next(place for place in places if place.group().upper() == kinds[1])
        if source.endswith(".txt:1"):
            source = f"{source[:-1]}{template.count(chr(10), 0, other.start()) + 1}"
        raise BadInput(
            f"the template mixes {places[0].group()} and {other.group()}.",
            where=source,
            next="Keep the one that stands for the request.",
        )


def _one(prompt: Prompt, templates: list[str], seed: int) -> str:
    digest = hashlib.sha256(f"{seed}/{prompt.id}".encode()).digest()
    return templates[int.from_bytes(digest[:8], "big") % len(templates)]


def _filled(template: str, prompt: Prompt) -> str:
    """In one pass, so that braces in the request stay what they are."""
    return _PLACEHOLDER.sub(lambda _: prompt.messages[-1].content, template)


ATTACK = Template()
