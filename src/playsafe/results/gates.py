"""What the study's gates say of every finished run; written beside the page as gate.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from playsafe import metrics
from playsafe.gates import Decision, Gate, decide, decision, missing, parse_gate, unmeasured
from playsafe.records import Estimate
from playsafe.results.load import Run, StudyRuns
from playsafe.statistics import Interval, bootstrap_mean, effective, newcombe_paired


def decisions(runs: StudyRuns) -> list[Decision]:
    """Every gate on every trained run (on the aligned model where nothing is trained), by suite and judge."""
    gates = [parse_gate(text) for text in runs.evaluation.get("gates") or []]
    found: list[Decision] = []
    for run in runs.trained or runs.base:
        for gate in gates:
            found += _relative(gate, run, runs) if gate.relative else decide(gate, run.label, run.estimates)
    return found


def gate_table(runs: StudyRuns) -> tuple[list[dict[str, str]], bool]:
    """A row per decision for people, and whether every gate passed."""
    found, rows = decisions(runs), []
    for d in found:
        value = "–" if d.value is None else f"{d.value:.3f} [{d.low:.3f}, {d.high:.3f}]"
        what = {"gate": d.gate, "run": d.run, "suite": d.suite, "judge": d.judge, "measured": value}
        rows.append(what | {"unit": d.unit, "n": str(d.n), "errors": str(d.errors), "result": d.state})
    return rows, all(d.state == "pass" for d in found)


def gate_json(runs: StudyRuns) -> dict[str, Any] | None:
    """For a pipeline: {"passed", "suites", "decisions"}; None where the study has no gate."""
    found = decisions(runs)
    if not found:
        return None
    passed = all(d.state == "pass" for d in found)
    return {"passed": passed, "suites": runs.asks, "decisions": [d.to_json() for d in found]}


def _relative(gate: Gate, run: Run, runs: StudyRuns) -> list[Decision]:
    """The paired difference to the aligned model, suite by suite and judge by judge."""
    own = [e for e in run.estimates if e.metric == gate.metric and gate.concerns(e.suite)]
    found = [_compared(gate, run, runs.base_run(run.role, e.suite), e) for e in own]
    return found or [missing(gate, run.label)]


def _compared(gate: Gate, run: Run, base: Run | None, e: Estimate) -> Decision:
    pairs = _pairs(run, base, e) if base else []
    missed = sum(pair.missed for pair in pairs)
    each = Counter(pair.trial for pair in pairs)
    trials = effective([*each.values()]) if len(each) < len(pairs) else None
    if unmeasured(len(pairs) - missed, missed):
        return decision(gate, run.label, e, "not measured", None, len(pairs), missed, trials)
    is_share = gate.unit == "share"
    interval = _share(gate, pairs) if is_share else _mean(gate, pairs)
    state = gate.state(interval, 0 if is_share else missed + (len(each) == 1))
    return decision(gate, run.label, e, state, interval, len(pairs), missed, trials)


class Pair(NamedTuple):
    """A reply's value after and before (None: not measured), and the request that it answers."""

    after: float | None
    before: float | None
    trial: str

    @property
    def missed(self) -> bool:
        return self.after is None or self.before is None


def _pairs(run: Run, base: Run, e: Estimate) -> list[Pair]:
    """Of the replies that count in both runs; one that only one of them was asked for was not measured."""
    own, others = ({row["id"]: row for row in one.valued(e.suite)} for one in (run, base))

    def value(rows: Mapping[str, Any], name: str) -> tuple[bool, float | None]:
        """Whether the reply counts, and its value."""
        given = rows[name]["values"].get(e.judge, {}) if name in rows else {e.metric: None}
        return e.metric in given, given.get(e.metric)

    found = []
    for name in sorted(own.keys() | others.keys()):
        (counts, after), (counted, before) = value(own, name), value(others, name)
        if counts and counted:
            found.append(Pair(after, before, (own.get(name) or others[name])["trial"]))
    return found


def _share(gate: Gate, pairs: Sequence[Pair]) -> Interval:
    """Newcombe's, over requests; a reply that could not be measured speaks against the gate."""
    counts = {(a, b): 0.0 for a in (True, False) for b in (True, False)}
    alone = effective([*Counter(pair.trial for pair in pairs).values()]) / len(pairs)
    for x, y, _ in pairs:
        counts[not gate.floor if x is None else x > 0, gate.floor if y is None else y > 0] += 1
    return newcombe_paired(*(alone * count for count in counts.values()))


def _mean(gate: Gate, pairs: Sequence[Pair]) -> Interval:
    """The paired bootstrap over requests; a relative change where the measure lies on a log scale."""
    known = [(x - y, trial) for x, y, trial in pairs if x is not None and y is not None]
    ends = bootstrap_mean([apart for apart, _ in known], trials=[trial for _, trial in known])
    return Interval(*np.expm1(ends).tolist()) if metrics.get(gate.metric).log else ends
