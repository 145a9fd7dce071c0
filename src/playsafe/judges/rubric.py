"""A rubric answered by any OpenAI-compatible model: one JSON object per reply, nothing else counts.

Request and reply stand between marks that hold a hash of both, so that no text can close its own fence, and
the rubric says that what stands there is quoted and not addressed to the judge. Answers are kept by a hash of
everything that was sent: a second start pays only for what is missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from playsafe.config import EndpointConfig
from playsafe.data.files import decode
from playsafe.endpoint import Endpoint
from playsafe.errors import BadInput
from playsafe.judges import Decide, Item
from playsafe.records import Outcome, Verdict
from playsafe.rundir import append_once, digest, read_jsonl
from playsafe.settings import read_yaml

LONGEST = 40_000  # characters shown of a text; the middle of a longer one is left out, and that is said
EVIDENCE = 300

_ASKED = read_yaml(Path(__file__).with_suffix(".yaml"))
OUTCOMES: dict[str, dict[Outcome, str]] = _ASKED["outcomes"]
RUBRIC: str = _ASKED["rubric"]


class RubricOptions(EndpointConfig):
    """rubric: a text file of your own with {request}, {reply}, {outcomes}, {names} and the two fences."""

    rubric: str | None = None
    max_tokens: int = Field(200, ge=16)
    temperature: float = Field(0.0, ge=0)


def prompt(item: Item, rubric: str = RUBRIC) -> str:
    """What is sent for one reply. Raises KeyError where a rubric names an unknown place."""
    outcomes = _outcomes(item)
    request, reply = _shown(item.request), _shown(item.reply)
    mark = digest([request, reply])
    return rubric.format(
        fence_open=f"<<<{mark}",
        fence_close=f"{mark}>>>",
        request=request,
        reply=reply,
        outcomes="\n".join(f"- {name}: {what}" for name, what in outcomes.items()),
        names=", ".join(f'"{name}"' for name in outcomes),
    )


def parse(answer: str, item: Item) -> Verdict:
    """A verdict from the judge's whole answer, which must be one object with a known outcome."""
    text = re.sub(r"\A\s*```(?:json)?\s*\n(.*)\n\s*```\s*\Z", r"\1", answer, flags=re.DOTALL).strip()
    try:
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # broken JSON, numbers without end, nesting without end
        found = None
    outcome = found.get("outcome") if isinstance(found, dict) else None
    if not isinstance(outcome, str) or outcome not in _outcomes(item):
        return Verdict(item.id, "unparsed", evidence=answer[:EVIDENCE])
    evidence = str(found.get("evidence", ""))[:EVIDENCE].encode("utf-8", "replace").decode()
    if len(item.reply) > LONGEST:
        evidence = f"[judged by {LONGEST} of {len(item.reply)} characters] {evidence}"
    return Verdict(item.id, "value", outcome, evidence)


def _outcomes(item: Item) -> dict[Outcome, str]:
    return OUTCOMES.get(item.kind, OUTCOMES["harmful"])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _shown(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n[{len(text) - LONGEST} characters left out]\n{text[-half:]}"


class Rubric:
    name = "rubric"
    version = "2"
    summary = "a rubric answered by a model on an OpenAI-compatible server"
    Options = RubricOptions

    def outcomes(self, options: RubricOptions) -> frozenset[Outcome]:
        return frozenset(outcome for known in OUTCOMES.values() for outcome in known)

    def languages(self, options: RubricOptions) -> None:
        """Not limited: which languages the model reads is not known here."""

    def identity(self, options: RubricOptions) -> dict[str, Any]:
        asked = options.model_dump(include={"base_url", "model", "max_tokens", "temperature"})
        return {"name": self.name, "version": self.version, "rubric": digest(_rubric(options)), **asked}

    def open(self, options: RubricOptions, cache: Path | None = None) -> Decide:
        rubric, endpoint, identity = _rubric(options), Endpoint(options), self.identity(options)
        settings = {"max_tokens": options.max_tokens, "temperature": options.temperature}
        kept = {row["key"]: row["answer"] for row in read_jsonl(cache)} if cache is not None else {}

        def decide(items: Sequence[Item]) -> list[Verdict]:
            turns = {item.id: [{"role": "user", "content": prompt(item, rubric)}] for item in items}
            keys = {name: digest([identity, turn]) for name, turn in turns.items()}
            missing = {name: turn for name, turn in turns.items() if keys[name] not in kept}
            failed = {}
            for name, reply in endpoint.ask(missing, settings):
                if reply.error:
                    failed[name] = reply.error
                    continue
                kept[keys[name]] = reply.text
                if cache is not None:
                    append_once(cache, {"key": keys[name], "answer": reply.text})
            return [
                Verdict(item.id, "error", evidence=failed[item.id])
                if item.id in failed
                else parse(kept[keys[item.id]], item)
                for item in items
            ]

        return decide


def _rubric(options: RubricOptions) -> str:
    if options.rubric is None:
        return RUBRIC
    path = Path(options.rubric)
    if not path.is_file():
        raise BadInput("there is no such file.", where=f"judge rubric, {path}")
    text = decode(path.read_bytes(), path)
    try:
        prompt(Item("", "harmful", "", ""), text)
    except (KeyError, IndexError, ValueError) as error:
        raise BadInput(
            f"the rubric has a place that is not known: {error}.",
            where=str(path),
            allowed="{request} {reply} {outcomes} {names} {fence_open} {fence_close}; braces are doubled",
        ) from None
    missing = [
        place for place in ("{request}", "{reply}", "{fence_open}", "{fence_close}") if place not in text
    ]
    if missing:
        raise BadInput(f"the rubric lacks {', '.join(missing)}.", where=str(path))
    return text


JUDGE = Rubric()
