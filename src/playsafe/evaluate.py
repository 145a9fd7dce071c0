"""Prompts → completions → verdicts → estimates, each step with its own file, each resumable.

Completions are written batch by batch; a batch always holds the same prompts, so an interrupted run ends
with the same replies. Verdicts are made from the completions and can be made again without generating.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from playsafe import judges, metrics
from playsafe.config import EvaluationConfig
from playsafe.data.chat import ChatRenderer
from playsafe.metrics import Answered, SuiteKind
from playsafe.models.generate import generate
from playsafe.records import Completion, Estimate, Prompt, Role, Verdict
from playsafe.rundir import RunDir, append_jsonl, canonical, read_json, read_jsonl, write_json, write_jsonl
from playsafe.scoring import logprobs
from playsafe.sources import system_text

Advance = Callable[[int], None]


def prepare(run: RunDir, wanted: dict[str, Any]) -> bool:
    """Whether anything is left to ask or to judge. Replies that rest on other settings are removed.

    wanted: {"replies": {suite: what its replies rest on}, "verdicts": what the verdicts rest on}. With
    another judge the replies stay, so judging again never generates again.
    """
    wanted = json.loads(canonical(wanted))
    record = run / "evaluation.json"
    stored = read_json(record) if record.exists() else {"replies": {}}
    if run.finished and stored == wanted:
        return False
    changed = [name for name, how in stored["replies"].items() if wanted["replies"].get(name) != how]
    run.reopen(f"completions/{name}.jsonl" for name in changed)
    write_json(record, wanted)
    return True


def complete(
    model: Any,
    renderer: ChatRenderer,
    suite: str,
    prompts: Sequence[Prompt],
    config: EvaluationConfig,
    role: Role | None,
    run: RunDir,
    advance: Advance = lambda n: None,
) -> list[Completion]:
    """Replies to all prompts, in completions/<suite>.jsonl; goes on where an earlier call stopped.

    The prompts' texts lie beside them, in prompts/<suite>.jsonl.
    """
    texts = [{"id": p.id, "text": p.messages[-1].content, "references": p.references} for p in prompts]
    write_jsonl(run / "prompts" / f"{suite}.jsonl", texts)
    path = run / "completions" / f"{suite}.jsonl"
    found = {row["id"]: Completion(**row) for row in read_jsonl(path)}
    system = system_text(config.system, role)
    rendered = {p.id: renderer.prompt(p.messages, system=system, where=p.id) for p in prompts}
    order = sorted(prompts, key=lambda p: (len(rendered[p.id]), p.id))
    size = config.generation.batch_size
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        if not all(p.id in found for p in batch):
            replies = generate(model, renderer, [rendered[p.id] for p in batch], config.generation)
            rows = [
                Completion(p.id, suite, g.text, g.tokens, g.finish)
                for p, g in zip(batch, replies, strict=True)
            ]
            append_jsonl(path, [asdict(row) for row in rows if row.id not in found])
            found |= {row.id: row for row in rows if row.id not in found}
        advance(len(batch))
    return [found[p.id] for p in prompts]


def judge(
    answered: Answered,
    run: RunDir,
    *,
    frozen: Any = None,
    renderer: ChatRenderer | None = None,
    role: Role | None = None,
) -> Answered:
    """Verdicts on all completions, in verdicts/<suite>.<judge>.jsonl.

    With `frozen` (the aligned model), `renderer` and `role`, refusals are also asked whether they stay in
    character (see `in_character`).
    """
    items = list(zip(answered.prompts, answered.completions, strict=True))
    verdicts = judges.get(answered.judge).judge(items)
    if frozen is not None and renderer is not None and role is not None:
        verdicts = in_character(frozen, renderer, role, items, verdicts)
    write_jsonl(run / "verdicts" / f"{answered.suite}.{answered.judge}.jsonl", [asdict(v) for v in verdicts])
    return replace(answered, verdicts=verdicts)


def in_character(
    frozen: Any,
    renderer: ChatRenderer,
    role: Role,
    items: Sequence[tuple[Prompt, Completion]],
    verdicts: Sequence[Verdict],
) -> list[Verdict]:
    """Mark the refusals that speak as the role: log p(y | role prompt) > log p(y | no prompt), frozen model.

    A refusal that is likelier under the role prompt than without one carries the role's voice; a plain
    "Sorry, I cannot" is likelier without. No lexicon, no second model.
    """
    refusals = [i for i, v in enumerate(verdicts) if v.outcome == "refuse" and items[i][1].text]
    rows = {
        system: [renderer.render(items[i][0].messages, items[i][1].text, system=system) for i in refusals]
        for system in (role.prompt, None)
    }
    with_role, without = logprobs(frozen, rows[role.prompt]), logprobs(frozen, rows[None])
    marked = list(verdicts)
    for i, a, b in zip(refusals, with_role, without, strict=True):
        marked[i] = replace(verdicts[i], in_character=a.mean > b.mean)
    return marked


def evaluate(
    model: Any,
    frozen: Any,
    renderer: ChatRenderer,
    sets: Sequence[tuple[str, SuiteKind, Sequence[Prompt]]],
    config: EvaluationConfig,
    role: Role | None,
    run: RunDir,
    advance: Advance = lambda n: None,
) -> list[Estimate]:
    """Ask every suite, judge it and estimate all metrics that apply.

    sets: (name, kind, prompts). frozen: callable that gives the aligned model for the in-character measure;
    None leaves that measure out.
    """
    answers = []
    for name, kind, prompts in sets:
        completions = complete(model, renderer, name, prompts, config, role, run, advance)
        answers.append(Answered(name, kind, config.judge, prompts, completions, ()))
    estimates: list[Estimate] = []
    reference = frozen() if frozen is not None and config.in_character and role is not None else None
    for answered in answers:
        asked = reference if answered.kind == "harmful" else None
        estimates += metrics.estimates(judge(answered, run, frozen=asked, renderer=renderer, role=role))
    return estimates
