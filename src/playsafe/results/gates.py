"""What the study's gates say of every finished run; written beside the page as gate.json."""

from __future__ import annotations

from typing import Any

import numpy as np

from playsafe import metrics
from playsafe.gates import Decision, Gate, decide, parse_gate
from playsafe.records import Estimate
from playsafe.results.load import Run, StudyRuns
from playsafe.statistics import Interval, newcombe_paired, paired_bootstrap

Pairs = list[tuple[float | None, float | None]]  # a reply's value after and before; None: not measured


def decisions(runs: StudyRuns) -> list[Decision]:
    """Every gate on every trained run (on the aligned model where nothing is trained), by suite and judge."""
    gates = [parse_gate(text) for text in runs.evaluation.get("gates") or []]
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
    found, rows = decisions(runs), []
    for d in found:
        value = "–" if d.value is None else f"{d.value:.3f} [{d.low:.3f}, {d.high:.3f}]"
        what = {"gate": d.gate, "run": d.run, "suite": d.suite, "judge": d.judge, "measured": value}
        rows.append(what | {"unit": d.unit, "n": str(d.n), "result": d.state})
    return rows, all(d.state == "pass" for d in found)


def gate_json(runs: StudyRuns) -> dict[str, Any] | None:
    """For a pipeline: {"passed", "decisions"}; None where the study has no gate."""
    found = decisions(runs)
    if not found:
        return None
    return {"passed": all(d.state == "pass" for d in found), "decisions": [d.to_json() for d in found]}


def _relative(gate: Gate, run: Run, runs: StudyRuns) -> list[Decision]:
    """The paired difference to the aligned model, suite by suite and judge by judge."""
    own = [e for e in run.estimates if e.metric == gate.metric and gate.concerns(e.suite)]
    found = [_compared(gate, run, runs.base_run(run.role, e.suite), e) for e in own]
    return found or [Decision(gate.text, run.label, gate.suite, "", "not measured", unit=gate.unit)]


def _compared(gate: Gate, run: Run, base: Run | None, e: Estimate) -> Decision:
    after = _values(run, e)
    before = _values(base, e) if base else {}
    pairs = [(after[name], before[name]) for name in sorted(after.keys() & before.keys())]
    missed = sum(None in pair for pair in pairs)
    interval = _share(gate, pairs) if gate.unit == "share" else _mean(gate, pairs)
    if interval is None:
        return Decision(gate.text, run.label, e.suite, e.judge, "not measured", unit=gate.unit)
    state = gate.state(interval, 0 if gate.unit == "share" else missed)
    return Decision(gate.text, run.label, e.suite, e.judge, state, *interval, n=len(pairs), unit=gate.unit)


def _values(run: Run, e: Estimate) -> dict[str, float | None]:
    """Of the replies that count, by prompt id."""
    rows = run.values(e.suite).items()
    return {name: row[e.judge][e.metric] for name, row in rows if e.metric in row.get(e.judge, {})}


def _share(gate: Gate, pairs: Pairs) -> Interval | None:
    """Newcombe's; a reply that could not be measured speaks against the gate."""
    counts = {(a, b): 0 for a in (True, False) for b in (True, False)}
    for x, y in pairs:
        counts[not gate.floor if x is None else x > 0, gate.floor if y is None else y > 0] += 1
    return newcombe_paired(*counts.values()) if pairs else None


def _mean(gate: Gate, pairs: Pairs) -> Interval | None:
    """The paired bootstrap over prompts; a relative change where the measure lies on a log scale."""
    apart = [x - y for x, y in pairs if x is not None and y is not None]
    if not apart:
        return None
    ends = paired_bootstrap(np.array([apart]))
    return Interval(*np.expm1(ends).tolist()) if metrics.get(gate.metric).log else ends
