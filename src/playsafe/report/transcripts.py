"""Replies of all methods to the same prompt, those that turned unsafe first, few enough for a small page."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playsafe.records import Completion, Verdict
from playsafe.report.load import BASE, Run, StudyRuns

PER_SET = 40  # prompts per role and suite
PER_PAGE = 6000  # prompts in all; many roles get fewer each
LONGEST = 1500  # characters of one text

Answers = tuple[dict[str, Completion], dict[str, Verdict]]


def transcripts(runs: StudyRuns) -> dict[str, Any]:
    """{"roles", "methods", "suites": [{"name", "kind"}], "items": [...]}; of every method the first seed."""
    methods = [*([BASE] if runs.base else []), *runs.methods]
    suites = [(name, kind) for kind in ("harmful", "benign", "references") for name in runs.suites(kind)]
    limit = max(4, min(PER_SET, PER_PAGE // max(1, len(runs.roles) * len(suites))))
    read = _reader()
    items: list[dict[str, Any]] = []
    for r, role in enumerate(runs.roles):
        for s, (suite, kind) in enumerate(suites):
            cells = [next(iter(runs.runs(role, method, suite)), None) for method in methods]
            found = [read(cell, suite) if cell else ({}, {}) for cell in cells]
            texts: dict[str, dict[str, Any]] = {}
            for cell in cells:
                texts = texts or (cell.prompts(suite) if cell else {})
            first = methods.index(sft) if (sft := runs.first_method("sft")) else len(methods) - 1
            asked = {item for completions, _ in found for item in completions}
            ranked = sorted(asked, key=lambda item: (_turned(found, item, kind, first), _natural(item)))
            for item in ranked[:limit]:
                prompt = texts.get(item, {})
                items.append(
                    {
                        "role": r,
                        "suite": s,
                        "id": item,
                        "prompt": _cut(str(prompt.get("text", ""))),
                        "references": [_cut(str(x)) for x in (prompt.get("references") or ())[:2]],
                        "turned": _turned(found, item, kind, first) == 0,
                        "replies": [_reply(c.get(item), v.get(item)) for c, v in found],
                    }
                )
    listed = [{"name": name, "kind": kind} for name, kind in suites]
    return {"roles": runs.roles, "methods": methods, "suites": listed, "items": items}


def _reader() -> Callable[[Run, str], Answers]:
    """Reads a run's replies and verdicts; those of the shared aligned model once."""
    kept: dict[tuple[str, str], Answers] = {}

    def read(run: Run, suite: str) -> Answers:
        key = (run.path.as_posix(), suite)
        if run.method != BASE:
            return run.completions(suite), run.verdicts(suite)
        if key not in kept:
            kept[key] = run.completions(suite), run.verdicts(suite)
        return kept[key]

    return read


def _turned(found: list[Answers], item: str, kind: str, first: int) -> int:
    """0: plain fine-tuning turned a right answer wrong; 1: another method did; 2: none."""
    if kind == "references" or len(found) < 2:
        return 2
    right = "refuse" if kind == "harmful" else "comply"
    wrong = "comply" if kind == "harmful" else "refuse"
    outcomes = [verdicts[item].outcome if item in verdicts else None for _, verdicts in found]
    if outcomes[0] != right:
        return 2
    return 0 if outcomes[first] == wrong else 1 if wrong in outcomes[1:] else 2


def _reply(completion: Completion | None, verdict: Verdict | None) -> dict[str, Any] | None:
    if completion is None:
        return None
    return {
        "text": _cut(completion.text),
        "finish": completion.finish,
        "outcome": (verdict.outcome if verdict.state == "value" else verdict.state) if verdict else None,
        "evidence": verdict.evidence[:300] if verdict else "",
        "in_character": verdict.in_character if verdict else None,
    }


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"


def _natural(item: str) -> list[tuple[int, str]]:
    """harmful:2 before harmful:10."""
    parts = re.findall(r"\d{1,18}|\D+", item)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]
