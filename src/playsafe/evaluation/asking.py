"""Asking: prompts → completions, and likelihoods of references; both resumable.

    prompts/<key>.jsonl  completions/<key>.jsonl  likelihoods/<key>.jsonl

Completions are written as they come; the last line of an id counts, and an id whose last line is an error is
asked again by the next start. Likelihoods rest on no completion and no decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from playsafe.evaluation.stopping import Stopping
from playsafe.probes import ProbeSet
from playsafe.progress import Reporter
from playsafe.records import Completion, LogProb, Prompt, Role
from playsafe.rundir import RunDir, append_jsonl, read_jsonl, write_jsonl
from playsafe.sources import system_text
from playsafe.thoughts import split_thought

if TYPE_CHECKING:
    from playsafe.targets import Target

LONGEST = 1_000_000  # characters of a reply; no model answers more, and every later stage would hold them
SCORED = ("task", "pairs")  # kinds of suites whose references' likelihood is measured


def files(probes: Sequence[ProbeSet], basis: Any) -> dict[str, Any]:
    """The files of this stage, each with what it rests on. basis: decoding, or a file's hash."""
    asked = {
        f"completions/{probe.key}.jsonl": [probe.identity, basis] for probe in probes if probe.kind != "pairs"
    }
    scored = {f"likelihoods/{probe.key}.jsonl": probe.identity for probe in probes if probe.kind in SCORED}
    shown = {f"prompts/{probe.key}.jsonl": probe.identity for probe in probes}
    return asked | scored | shown


def completions(run: RunDir, key: str) -> dict[str, Completion]:
    """What was answered, by id."""
    return {row["id"]: Completion(**row) for row in read_jsonl(run / "completions" / f"{key}.jsonl")}


def likelihoods(run: RunDir, key: str) -> dict[str, tuple[LogProb, ...]]:
    """Of each prompt's references, by prompt id."""
    rows = read_jsonl(run / "likelihoods" / f"{key}.jsonl")
    return {row["id"]: tuple(LogProb(**one) for one in row["logprobs"]) for row in rows}


def ask(
    run: RunDir,
    label: str,
    probes: Sequence[ProbeSet],
    target: Target,
    role: Role | None,
    stopping: Stopping,
    reporter: Reporter,
) -> tuple[dict[str, int], int]:
    """Ask everything that has no good answer yet; suite → how many prompts were asked, and the errors."""
    for probe in probes:
        write_jsonl(run / "prompts" / f"{probe.key}.jsonl", map(_shown, probe.prompts))
    asked: dict[str, int] = {}
    failed: list[Completion] = []
    total = sum(len(probe.prompts) for probe in probes if probe.kind != "pairs")
    with reporter.task(f"evaluate {label}", total) as advance:
        for probe in probes:
            replies = _ask(run, probe, target, role, stopping, advance) if probe.kind != "pairs" else []
            asked[probe.key] = len(replies) if probe.kind != "pairs" else len(probe.prompts)
            failed += [c for c in replies if c.finish == "error"]
    _score(run, label, probes, asked, target, role, stopping, reporter)
    if failed:
        reporter.note(
            f"{label}: {len(failed)} of {total} replies are errors ({failed[0].error}); "
            "repeat the command to ask for them again"
        )
    return asked, len(failed)


def _ask(
    run: RunDir,
    probe: ProbeSet,
    target: Target,
    role: Role | None,
    stopping: Stopping,
    advance: Callable[[int], None],
) -> list[Completion]:
    """Replies to all prompts of a suite, or to fewer where the gates are decided."""
    path = run / "completions" / f"{probe.key}.jsonl"
    found = completions(run, probe.key)
    good = {name for name, completion in found.items() if completion.finish != "error"}
    system, asked, blocks = system_text(probe.system, role), list[Prompt](), stopping.blocks(probe)
    for block in blocks:
        advance(sum(p.id in good for p in block))
        for group in target.answers(block, system, good):
            rows = [_decoded(_answer(completion), probe) for completion in group]
            append_jsonl(path, map(asdict, rows))
            found |= {row.id: row for row in rows}
            advance(len(rows))
        asked += block
        if len(blocks) > 1 and stopping.settled(probe, asked, found):
            break
    return [found[p.id] for p in asked]


def _score(
    run: RunDir,
    label: str,
    probes: Sequence[ProbeSet],
    asked: dict[str, int],
    target: Target,
    role: Role | None,
    stopping: Stopping,
    reporter: Reporter,
) -> None:
    """Likelihoods of references, where they are wanted and can be had."""
    without = []
    for probe in (probe for probe in probes if probe.kind in SCORED):
        prompts = stopping.asked(probe, asked[probe.key])
        if {p.id for p in prompts} <= likelihoods(run, probe.key).keys():
            continue
        with reporter.task(f"likelihoods {label} {probe.key}", len(prompts)) as advance:
            found = target.likelihoods(prompts, system_text(probe.system, role))
            advance(len(prompts))
        if found is None:
            without.append(probe.key)
            continue
        rows = zip(prompts, found, strict=True)
        write_jsonl(
            run / "likelihoods" / f"{probe.key}.jsonl",
            [{"id": p.id, "logprobs": list(map(asdict, one))} for p, one in rows],
        )
    if without:
        reporter.note(
            f"{label}: no likelihoods can be had from this target, so {', '.join(without)} "
            "has no reward gap and no perplexity"
        )


def _shown(prompt: Prompt) -> dict[str, Any]:
    """A prompt as people look it up beside its reply."""
    row = {"id": prompt.id, "text": prompt.messages[-1].content, "references": prompt.references}
    return row | ({"request": prompt.request} if prompt.request else {})


def _answer(completion: Completion) -> Completion:
    """The reply without its thought, where who gave it has not parted them; an error where it is too long."""
    if (length := len(completion.thought) + len(completion.text)) > LONGEST:
        problem = f"a reply of {length:,} characters is over the {LONGEST:,} that are read"
        return Completion(completion.id, completion.suite, "", completion.tokens, "error", problem)
    if completion.thought or completion.unfinished or not completion.text:
        return completion
    thought, answer = split_thought(completion.text, cut=completion.finish == "length")
    return replace(completion, text=answer or "", thought=thought, unfinished=answer is None)


def _decoded(completion: Completion, probe: ProbeSet) -> Completion:
    plain = probe.read(completion.text) if completion.text else ""
    plain = plain.encode("utf-8", "replace").decode()  # character codes may name half a surrogate pair
    return replace(completion, decoded="" if plain == completion.text else plain)
