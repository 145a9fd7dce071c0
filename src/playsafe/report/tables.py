"""Tables of a study: the summary, the paired differences, every measure, every estimate as it is stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from playsafe import metrics
from playsafe.metrics import Measure
from playsafe.report.text import DASH, apart, count, percent, points, shown
from playsafe.results.load import BASE, Run, StudyRuns
from playsafe.results.numbers import Numbers, Stat
from playsafe.results.unmeasured import counted
from playsafe.statistics import by_trial, holm, mcnemar

EVERY_ROLE = "all roles"
Rows = tuple[list[str], list[list[str]]]  # columns and rows
Found = dict[Measure, Stat | None]


def summary_table(runs: StudyRuns, *, intervals: bool = False, numbers: Numbers | None = None) -> Rows:
    """A row per role and method, seeds pooled and suites averaged; the aligned model first.

    The headline measure always carries its interval; with `intervals` the others do as well. The aligned
    model stands in one row where it was asked without role prompts, else in one per role. flagged: share of
    the role's rows above the RDS threshold, a property of the role. Where nobody plays a role, there is no
    column about roles. n, errors: replies measured, and those missing or unjudged, where there are any.
    """
    numbers = numbers or Numbers(runs)
    rows: list[tuple[list[str], Sequence[Run]]] = []  # with the runs that each is about
    named = [metric.heading for metric in runs.shown]
    if runs.roleless:
        for method in [BASE, *runs.methods]:
            means: Found = {metric: numbers.mean(method, metric.name) for metric in runs.shown}
            own = [run for run in runs.every if run.method == method]
            if own or any(means.values()):
                rows.append(([method, *_measures(runs, means, intervals)], own))
        return _with_errors(numbers, ["method", *named], rows)
    shared = {*runs.suites("harmful"), *runs.suites("benign")}
    if runs.base and all(run.role is None for run in runs.base if shared & run.asked.keys()):
        means = {metric: numbers.mean(BASE, metric.name) for metric in runs.shown}
        rows.append(([EVERY_ROLE, DASH, BASE, *_measures(runs, means, intervals), DASH], runs.base))
    elif runs.base:
        own_of = {role: [run for run in runs.base if run.role == role] for role in runs.roles}
        rows += [(_row(numbers, role, BASE, intervals), own) for role, own in own_of.items()]
    for role in runs.roles:
        for method in runs.methods:
            if cell := runs.cell(role, method):
                rows.append((_row(numbers, role, method, intervals), cell))
    return _with_errors(numbers, ["role", "temper", "method", *named, "flagged"], rows)


def _with_errors(
    numbers: Numbers, columns: list[str], rows: Sequence[tuple[list[str], Sequence[Run]]]
) -> Rows:
    """With the replies measured and those missing or unjudged on the suites that are shown, where any are."""
    shown_first = [metric.name for metric in numbers.runs.shown]
    suites = {suite for name in shown_first for suite in numbers.suites(name)}
    judges = {numbers.judge_of(name) for name in shown_first}
    replies = [counted(own, suites, judges) for _, own in rows]
    if not any(errors for _, errors in replies):
        return columns, [row for row, _ in rows]
    made = [[*row, str(n), str(errors)] for (row, _), (n, errors) in zip(rows, replies, strict=True)]
    return [*columns, "n", "errors"], made


def difference_table(numbers: Numbers) -> Rows:
    """Every method against the aligned model and against plain fine-tuning, over all roles and per temper."""
    runs = numbers.runs
    groups = [(EVERY_ROLE, runs.roles)]
    if len(runs.tempers) > 1:
        groups += [(temper or DASH, runs.of_temper(temper)) for temper in runs.tempers]
    rows = []
    for a, b in _pairs(runs):
        for name, roles in groups:
            found = {m: numbers.difference(a, b, m.name, roles) for m in runs.shown}
            if any(found.values()):
                cells = [points(stat, apart(metric)) for metric, stat in found.items()]
                both = {role for m in found for role in numbers.common((a, b), m.name) if role in roles}
                over = [] if runs.roleless else [name, str(len(both))]
                rows.append([f"{a} − {b}", *over, *cells])
    head = ["difference"] if runs.roleless else ["difference", "roles", "n roles"]
    return [*head, *(metric.heading for metric in runs.shown)], rows


def every_table(numbers: Numbers) -> Rows:
    """A row per measure that some run has, those shown first in front: its mean under every method."""
    runs, rows = numbers.runs, []
    methods = [BASE, *runs.methods]
    for metric in runs.measured:
        stats = [numbers.mean(method, metric.name) for method in methods]
        if any(stats):
            what = [metric.title or metric.name, metric.unit or DASH, metric.better]
            judge = numbers.judge_of(metric.name).replace(metrics.UNJUDGED, DASH)
            rows.append([*what, judge, *(shown(stat, metric.unit) for stat in stats)])
    return ["measure", "unit", "better", "judge", *methods], rows


def mcnemar_table(numbers: Numbers) -> Rows:
    """Per comparison and role: exact McNemar test of the headline measure, first seeds; Holm's
    adjustment over roles (none where nobody plays one)."""
    runs, rows = numbers.runs, []
    for a, b in _pairs(runs):
        tested = [(role, found) for role in runs.roles if (found := _discordant(numbers, role, a, b))]
        adjusted = holm([mcnemar(only_a, only_b) for _, (_, only_a, only_b) in tested])
        for (role, (n, only_a, only_b)), p in zip(tested, adjusted, strict=True):
            cells = [str(n), str(only_a), str(only_b), _p(mcnemar(only_a, only_b))]
            rows.append([f"{a} − {b}", *cells] if runs.roleless else [f"{a} − {b}", role, *cells, _p(p)])
    counted = [f"{runs.safety.title}: only {which}" for which in ("first", "second")]
    own, holms = ([], []) if runs.roleless else (["role"], ["p (Holm)"])
    return ["difference", *own, "n prompts", *counted, "p", *holms], rows


def _discordant(numbers: Numbers, role: str, a: str, b: str) -> tuple[int, int, int] | None:
    """Requests judged for both, and counted by one alone (by one more often, where they have several texts);
    suites together. None where nothing is paired."""
    n = only_a = only_b = 0
    safety = numbers.runs.safety.name
    for suite in numbers.suites(safety):
        if not all(numbers.runs.runs(role, method, suite) for method in (a, b)):
            continue
        first = [numbers.seeds(role, method, suite, safety)[0] for method in (a, b)]
        both = ~np.isnan(first[0]) & ~np.isnan(first[1])
        apart_P = np.where(both, np.sign(first[0]) - np.sign(first[1]), 0.0)
        trial_P = numbers.values.block(numbers.runs.every, suite, apart_P[None]).trial_P
        apart_T, asked_T = (by_trial(part[None], trial_P)[0] for part in (apart_P, both))
        n += int((asked_T > 0).sum())
        only_a, only_b = only_a + int((apart_T > 0).sum()), only_b + int((apart_T < 0).sum())
    return (n, only_a, only_b) if n else None


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _pairs(runs: StudyRuns) -> list[tuple[str, str]]:
    """Every method against the aligned model and against plain fine-tuning."""
    sft = runs.first_method("sft")
    pairs = [(method, BASE) for method in runs.methods if runs.base]
    return pairs + [(method, sft) for method in runs.methods if sft and method != sft]


def estimate_rows(runs: StudyRuns) -> Rows:
    """Every stored estimate of every run."""
    who_and_what = ["role", "method", "seed", "suite", "metric", "judge"]
    columns = [*who_and_what, "value", "low", "high", "unit", "n", "errors", "interval"]
    rows = []
    for run in runs.every:
        who = DASH if runs.roleless else run.role or EVERY_ROLE
        head = [who, run.method, DASH if run.seed is None else str(run.seed)]
        for e in run.estimates:
            numbers = [DASH if x is None else f"{x:.4f}" for x in (e.value, e.low, e.high)]
            unit = metrics.known(e.metric).unit or DASH
            rows.append(
                [*head, e.suite, e.metric, e.judge, *numbers, unit, str(e.n), str(e.errors), e.method]
            )
    return columns, rows


def interval_note(runs: StudyRuns) -> str:
    """How the intervals of the summary were made, in a sentence or two."""
    seeds, suites = len(runs.seeds), max(len(runs.suites("harmful")), len(runs.suites("benign")))
    if seeds > 1:
        note = (
            f"95 % intervals by redrawing {count(seeds, 'seed')} and the prompts, of shares never narrower "
            "than Wilson's."
        )
    elif suites > 1:
        note = "95 % intervals: bootstrap over the prompts of each suite, of shares at least Wilson's."
    else:
        others = "" if all(m.is_share for m in runs.shown) else ", bootstrap over prompts for the others"
        note = f"95 % intervals: Wilson for shares{others}."
    if any(e.method == "sequential" for run in runs.every for e in run.estimates):
        note += " Suites that may stop early: exact for all planned looks at once (sequential)."
    if len(runs.judges) > 1:
        numbers = Numbers(runs)
        by = {m.title or m.name: numbers.judge_of(m.name) for m in runs.shown}
        told = [f"{title} by {judge}" for title, judge in by.items() if judge != metrics.UNJUDGED]
        note += f" Judged: {', '.join(told)}."
    if suites > 1:
        note += " Several suites of one kind count alike: their plain mean."
    if len(runs.roles) > 1:
        note += " Means over roles redraw the roles as well"
        note += "; two or three roles make them very wide." if len(runs.roles) < 4 else "."
    return note


def _row(numbers: Numbers, role: str, method: str, intervals: bool) -> list[str]:
    found: Found = {m: numbers.cell(role, method, m.name) for m in numbers.runs.shown}
    tags = ", ".join(numbers.runs.tags[role]) or DASH
    measured = _measures(numbers.runs, found, intervals)
    return [role, tags, method, *measured, percent(numbers.flagged(role))]


def _measures(runs: StudyRuns, found: Found, intervals: bool) -> list[str]:
    return [shown(stat, m.unit, intervals or m is runs.safety) for m, stat in found.items()]
