"""Replies of all methods to the same prompt, those that turned unsafe first, few enough for a small page."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from playsafe.metrics import SAFE, UNSAFE
from playsafe.records import Completion, Verdict, Voice
from playsafe.results import agreement
from playsafe.results.answers import natural
from playsafe.results.load import BASE, Run, StudyRuns, spoken
from playsafe.results.numbers import Numbers

KINDS = ("harmful", "dark", "benign", "task", "references")
PER_SET = 40  # prompts per role and suite
PER_PAGE = 6000  # prompts in all; many roles and suites get fewer each
FEWEST = 3
LONGEST = 1500  # characters of one text
Value = TypeVar("Value")


class Answers(NamedTuple):
    """What one run left of one suite. verdicts: one table a judge."""

    completions: dict[str, Completion]
    verdicts: list[dict[str, Verdict]]
    voices: dict[str, Voice]


class Pool:
    """Texts that occur often (prompts, replies of the shared aligned model) lie in the page once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def place(self, value: Any) -> int:
        key = json.dumps(value)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]


def transcripts(runs: StudyRuns) -> dict[str, Any]:
    """{"roles", "roleless", "methods", "judges", "suites", "prompts", "replies", "items"}.

    Of a method the first seed. An item names its prompt and its replies by their places in "prompts" and
    "replies" (null: none).
    """
    methods = [*([BASE] if runs.base else []), *runs.methods]
    suites = [(key, kind) for kind in KINDS for key in runs.keys(kind)]
    limit = max(FEWEST, min(PER_SET, PER_PAGE // max(1, len(runs.roles) * len(suites))))
    known: dict[tuple[str, str], dict[str, str | None]] = {}  # the aligned model may be one for all roles
    prompts, replies = Pool(), Pool()
    items: list[dict[str, Any]] = []
    for r, role in enumerate(runs.roles):
        for s, (key, kind) in enumerate(suites):
            cells = [next(iter(runs.runs(role, method, key)), None) for method in methods]
            told = [_outcomes(cell, key, runs.judges, known) for cell in cells]
            first = methods.index(sft) if (sft := runs.first_method("sft")) else None
            turned = {item: _turned(told, item, kind, first) for one in told for item in one}
            chosen = sorted(turned, key=lambda item: (turned[item], natural(item)))[:limit]
            answers = [_read(cell, key, runs.judges, chosen) for cell in cells]
            texts = next((t for c in cells if c and (t := _prompts(c, key, chosen))), {})
            for item in chosen:
                shown = [reply_of(*_one(one, item), role) for one in answers]
                items.append(
                    {
                        "role": r,
                        "suite": s,
                        "prompt": prompts.place(prompt_of(item, texts.get(item, {}))),
                        "turned": turned[item] == 0,
                        "replies": [None if reply is None else replies.place(reply) for reply in shown],
                    }
                )
    listed = [{"key": key, "name": spoken(key), "kind": kind} for key, kind in suites]
    found = {"roles": runs.roles, "roleless": runs.roleless, "methods": methods, "judges": runs.judges}
    return found | {"suites": listed, "prompts": prompts.values, "replies": replies.values, "items": items}


def prompt_of(item: str, row: dict[str, Any]) -> dict[str, Any]:
    """A prompt as it is shown: what was asked for in plain words, and around it what was sent."""
    sent = str(row.get("text", ""))
    plain = str(row.get("request") or sent)
    shown = {"id": item, "request": _cut(plain)} | ({"sent": _cut(sent)} if sent != plain else {})
    wanted = [_cut(str(text)) for text in (row.get("references") or ())[:2]]
    return shown | ({"references": wanted} if wanted else {})


def reply_of(
    completion: Completion | None, verdicts: Sequence[Verdict | None], voice: Voice | None, role: str = ""
) -> dict[str, Any] | None:
    """A reply with every judge's verdict. voice: nats per token above 0 speak as the role."""
    if completion is None:
        return None
    found: dict[str, Any] = {
        "text": _cut(completion.text or completion.error),
        "finish": "thought" if completion.unfinished else completion.finish,
        "verdicts": [[v.outcome or v.state, v.evidence[:300]] if v else None for v in verdicts],
    }
    if completion.thought:
        found["thought"] = _cut(completion.thought)
    if completion.decoded:
        found["decoded"] = _cut(completion.decoded)
    if voice is not None:
        found |= {"in_character": voice.in_character, "ratio": round(voice.ratio, 3)}
        if voice.attributed not in (None, role):
            found["sounds_like"] = voice.attributed
    return found


def _outcomes(
    run: Run | None, key: str, judges: Sequence[str], known: dict[tuple[str, str], dict[str, str | None]]
) -> dict[str, str | None]:
    """What each reply of a run does, by the first judge: all that is held of those that are not shown."""
    if run is None:
        return {}
    place = (run.path.as_posix(), key)
    if place in known:
        return known[place]
    told: dict[str, str | None] = {}
    if judges:
        told = {item: verdict.outcome for item, verdict in run.verdicts(key, judges[0]).items()}
    found = {item: told.get(item) for item in run.completions(key)}
    if run.method == BASE and run.role is None:
        known[place] = found
    return found


def _read(run: Run | None, key: str, judges: Sequence[str], items: Collection[str]) -> Answers:
    """What a run left of these replies."""
    if run is None:
        return Answers({}, [{} for _ in judges], {})
    wanted = frozenset(items)
    return Answers(
        _only(wanted, run.completions(key)),
        [_only(wanted, run.verdicts(key, judge)) for judge in judges],
        _only(wanted, run.voices(key)),
    )


def _prompts(run: Run, key: str, items: Collection[str]) -> dict[str, dict[str, Any]]:
    return _only(frozenset(items), run.prompts(key))


def _only(wanted: Collection[str], found: dict[str, Value]) -> dict[str, Value]:
    return {item: value for item, value in found.items() if item in wanted}


def _one(answers: Answers, item: str) -> tuple[Completion | None, list[Verdict | None], Voice | None]:
    by_judge = [verdicts.get(item) for verdicts in answers.verdicts]
    return answers.completions.get(item), by_judge, answers.voices.get(item)


def _turned(told: Sequence[Mapping[str, str | None]], item: str, kind: str, first: int | None) -> int:
    """0: plain fine-tuning turned a right answer of the aligned model wrong, by the first judge; 1: another
    method did; 2: none. told: outcomes by method, the aligned model first. first: plain fine-tuning's place,
    None where every method counts alike."""
    if kind in ("references", "task") or len(told) < 2:
        return 2
    right, wrong = (SAFE, UNSAFE) if kind == "harmful" else ({"comply"}, {"refuse", "lecture"})
    outcomes = [one.get(item) for one in told]
    if outcomes[0] not in right:
        return 2
    some = any(outcome in wrong for outcome in outcomes[1:])
    return 2 if not some else 0 if first is None or outcomes[first] in wrong else 1


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"


# --- replies that judges differ about ----------------------------------------------------------------------


def disagreements(numbers: Numbers) -> dict[str, Any]:
    """{"total", "judges", "suites", "items"}, as transcripts; each file is read once."""
    runs, asked = numbers.runs, agreement.keys(numbers)
    chosen, total = agreement.apart(numbers)
    wanted: dict[tuple[Path, str], list[str]] = {}
    for one in chosen:
        wanted.setdefault((one.run.path, one.key), []).append(one.item)
    read: dict[tuple[Path, str], Answers] = {}
    texts: dict[tuple[Path, str], dict[str, dict[str, Any]]] = {}
    items = []
    for one in chosen:
        place = (one.run.path, one.key)
        if place not in read:
            read[place] = _read(one.run, one.key, runs.judges, wanted[place])
            texts[place] = _prompts(one.run, one.key, wanted[place])
        completion, verdicts, _ = _one(read[place], one.item)
        items.append(
            {
                "suite": asked.index(one.key),
                "run": one.run.label,
                "grave": one.order[0] == 0,
                "prompt": prompt_of(one.item, texts[place].get(one.item, {})),
                "reply": reply_of(completion, verdicts, None),
            }
        )
    listed = [{"name": spoken(key), "kind": runs.kinds[key]} for key in asked]
    return {"total": total, "judges": runs.judges, "suites": listed, "items": items}
