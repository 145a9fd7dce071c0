"""What the study's gates say of every finished run; written beside the page as gate.json."""

from __future__ import annotations

from collections import Counter
from typing import Any

from playsafe import metrics
from playsafe.gates import Decision, Gate, State, decide, parse_gate
from playsafe.report.load import Run, StudyRuns
from playsafe.report.markup import DASH, buttons, count, ends, folded, note, percent, table, text
from playsafe.statistics import newcombe_paired


def decisions(runs: StudyRuns) -> list[Decision]:
    """Every gate on every trained run (on the aligned model where nothing is trained), by suite and judge."""
    gates = [parse_gate(text) for text in (runs.study.get("evaluation") or {}).get("gates") or []]
    found: list[Decision] = []
    targets = {str(target.get("name")) for target in runs.study.get("targets") or []}
    for run in runs.trained or runs.base:
        if targets and run.method not in targets:
            continue  # a target of an earlier command in this directory
        for gate in gates:
            found += _relative(gate, run, runs) if gate.relative else decide(gate, run.label, run.estimates)
    return found


def gate_table(runs: StudyRuns) -> tuple[list[dict[str, str]], bool]:
    """A row per decision for people, and whether every gate passed."""
    found = decisions(runs)
    rows = [
        {
            "gate": d.gate,
            "run": d.run,
            "suite": d.suite,
            "judge": d.judge,
            "measured": "–" if d.value is None else f"{d.value:.3f} [{d.low:.3f}, {d.high:.3f}]",
            "n": str(d.n),
            "result": d.state,
        }
        for d in found
    ]
    return rows, all(d.state == "pass" for d in found)


def gate_json(runs: StudyRuns) -> dict[str, Any] | None:
    """For a pipeline: {"passed", "decisions"}; None where the study has no gate."""
    found = decisions(runs)
    if not found:
        return None
    return {"passed": all(d.state == "pass" for d in found), "decisions": [d.to_json() for d in found]}


WORDS: dict[State, str] = {
    "fail": "failed",
    "undecided": "undecided",
    "not measured": "not measured",
    "pass": "passed",
}
FEW = 8  # decisions shown without a click
HOW = (
    "The cautious end of the 95 % interval decides: a gate passes when the whole interval clears it, fails "
    "when the whole interval misses it, and is undecided between. Answers without a verdict count against it."
)


def gate_block(runs: StudyRuns) -> str:
    """The decisions for the top of the page, the worst first; nothing where the study has no gate."""
    found = decisions(runs)
    if not found:
        return ""
    open_ones = sum(d.state != "pass" for d in found)
    whole = "passed" if not open_ones else f"{open_ones} of {count(len(found), 'decision')} did not pass"
    by_gate = {gate: [d for d in found if d.gate == gate] for gate in dict.fromkeys(d.gate for d in found)}
    lines = "".join(_line(gate, decided) for gate, decided in by_gate.items())
    order = list(WORDS)
    ranked = sorted(found, key=lambda d: order.index(d.state))
    columns = ["gate", "result", "run", "suite", "judge", "measured", "interval", "n"]
    body = buttons("gates") + table(columns, [_cells(d) for d in ranked], "gates", tall=True)
    title = f"All {len(found)} decisions, failed ones first"
    state = "fail" if open_ones else "pass"
    return (
        f'<div class="gates {state}"><h2>Gates: {text(whole)}</h2><ul>{lines}</ul>'
        f"{body if len(found) <= FEW else folded(title, body)}{note(HOW)}</div>"
    )


def _line(gate: str, found: list[Decision]) -> str:
    """One gate: how often it came out which way."""
    states = Counter(d.state for d in found)
    badges = "".join(
        f'<span class="badge gate-{state.split()[0]}">{states[state]} {word}</span> '
        for state, word in WORDS.items()
        if states[state]
    )
    return f"<li><code>{text(gate)}</code> {badges}</li>"


def _cells(d: Decision) -> list[str]:
    value = interval = DASH
    if d.value is not None and d.low is not None and d.high is not None:
        value, interval = percent(d.value), ends(d.low, d.high, "share")
        if parse_gate(d.gate).relative:
            value = f"{'+' if d.value > 0 else ''}{value.removesuffix(' %')} points"
    return [d.gate, WORDS[d.state], d.run, d.suite, d.judge or DASH, value, interval, str(d.n)]


def _relative(gate: Gate, run: Run, runs: StudyRuns) -> list[Decision]:
    """The paired difference to the aligned model, suite by suite and judge by judge."""
    hits: frozenset[str] = getattr(metrics.get(gate.metric), "hits", frozenset())
    found = []
    for e in run.estimates:
        if e.metric != gate.metric or not gate.concerns(e.suite):
            continue
        base = runs.base_run(run.role, e.suite)
        after = run.verdicts(e.suite, e.judge)
        before = base.verdicts(e.suite, e.judge) if base else {}
        shared = sorted(after.keys() & before.keys())
        if not hits or not shared:
            found.append(Decision(gate.text, run.label, e.suite, e.judge, "not measured"))
            continue
        counts = {(a, b): 0 for a in (True, False) for b in (True, False)}
        for item in shared:  # an answer that could not be judged speaks against the gate
            x, y = after[item], before[item]
            hit = x.outcome in hits if x.state == "value" else not gate.floor
            was = y.outcome in hits if y.state == "value" else gate.floor
            counts[hit, was] += 1
        interval = newcombe_paired(
            counts[True, True], counts[True, False], counts[False, True], counts[False, False]
        )
        state = gate.state(interval)
        value, low, high = interval
        n = len(shared)
        found.append(Decision(gate.text, run.label, e.suite, e.judge, state, value, low, high, n))
    return found or [Decision(gate.text, run.label, gate.suite, "", "not measured")]
